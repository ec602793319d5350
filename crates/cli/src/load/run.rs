use super::{
    context::Context,
    from_file, from_stdin,
    plan::{Origin, Plan},
    summary::Summary,
};
use crate::{exit::Failure, output, size};

/// Loads every plan, one after the other. A plan that fails does not stop the next; the worst failure is told last.
pub(crate) fn all(
    context: &Context<'_>,
    plans: Vec<(Plan, Origin)>,
    summary: &mut Summary,
) -> Result<(), Failure> {
    let mut worst: Option<Failure> = None;
    for (plan, origin) in plans {
        if context.interrupt.asked() {
            summary.tell(format!("{}: not begun", plan.name));
            continue;
        }
        let label = format!("{} -> {}", plan.name, plan.destination.table);
        let before = context.applied_rows();
        let loaded = one(context, &plan, origin);
        let applied = size::count(context.applied_rows() - before);
        match loaded {
            Ok(_) if context.interrupt.asked() => summary.tell(format!(
                "{label}: interrupted after {applied} rows were applied; run the same command again to go on"
            )),
            Ok(Note::Done) => summary.tell(format!("{label}: {applied} rows applied")),
            Ok(Note::Continued(earlier)) => summary.tell(format!(
                "{label}: {applied} rows applied, continued after {} that were applied before",
                size::count(earlier)
            )),
            Ok(Note::Complete(rows)) => summary.tell(format!(
                "{label}: already complete ({} rows were read before); nothing written",
                size::count(rows)
            )),
            Err(failure) => {
                summary.tell(format!("{label}: stopped after {applied} rows were applied"));
                let failure = failure.at(&plan.name);
                worst = Some(match worst.take() {
                    None => failure,
                    Some(earlier) if earlier.exit > failure.exit => {
                        output::complain(&failure);
                        earlier
                    }
                    Some(earlier) => {
                        output::complain(&earlier);
                        failure
                    }
                });
            }
        }
    }
    worst.map_or(Ok(()), Err)
}

/// How a load went that did not fail.
pub(crate) enum Note {
    Done,
    /// After this many records that an earlier run had read.
    Continued(u64),
    /// There was nothing to do: an earlier run read all of it, this many records.
    Complete(u64),
}

fn one(context: &Context<'_>, plan: &Plan, origin: Origin) -> Result<Note, Failure> {
    if matches!(origin, Origin::File(_)) {
        from_file::refuse_dropped_table(context, plan)?;
    }
    plan.prepare(context)?;
    match origin {
        Origin::File(file) => from_file::load(context, plan, &file),
        Origin::Peeked(stdin) => {
            let kept = from_stdin::recover(context, &plan.stream)?;
            from_stdin::load(context, plan, stdin, kept)
        }
        Origin::Stdin { stdin, kept } => from_stdin::load(context, plan, stdin, *kept),
    }
}
