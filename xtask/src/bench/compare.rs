//! Holds today against a baseline.

use std::{path::PathBuf, time::Duration};

use clap::Args;
use standpipe_harness::Listed;

use super::{
    Ending,
    args::Measuring,
    baseline,
    catalogue::Catalogue,
    date,
    judge::{Limits, VALUES_LEAST},
    machine::Machine,
    measurement::Measurement,
    progress::Progress,
    record::Record,
    run::{announce, built},
    table::{Tone, painted},
    units,
    verdicts::{Pairing, Verdicts},
};

/// The arguments of `bench compare`.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct CompareArgs {
    /// The baseline's name
    #[arg(value_parser = baseline::name)]
    name: String,
    #[command(flatten)]
    limits: Limits,
    /// Only this group, or this workload, of the baseline's; may be given again
    #[arg(long, value_name = "GROUP|WORKLOAD")]
    group: Vec<String>,
    /// Where the workloads write; should be on the filesystem of the baseline
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// How often a workload may be measured until it is called too noisy; by default three times as often as in the
    /// baseline
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(5..=1000))]
    rounds_max: Option<u32>,
    /// Print every figure, and not only those that changed
    #[arg(long)]
    all: bool,
}

const EXAMPLES: &str = "\
Examples:
  cargo xtask bench compare main
  cargo xtask bench compare main --group log --throughput-drop 5

Workloads, spans and settings are the baseline's. A regression is a median beyond the limit and a 95% interval whose
near end is beyond half the limit. What is too noisy to say is measured again, up to --rounds-max.

Exit codes: 0 no regression, 1 a regression, 2 nothing could be measured, 3 too noisy to say, 130 interrupted";

const DAY_S: u64 = 86_400;

pub(crate) fn run(args: &CompareArgs) -> Result<Ending, String> {
    let mut base = baseline::read(&args.name)?;
    let measuring = repeated(&base, args)?;
    let (build, catalogue, _programs) = built()?;
    catalogue.check_settings(&base.settings).map_err(|error| format!("baseline {}: {error}", args.name))?;
    let (workloads, gone) = shared(&base, &catalogue, &args.group)?;
    base.results.retain(|one| workloads.iter().any(|listed| listed.name == one.workload));
    let (_scratch, sampler) = measuring.sampler()?;

    let rounds_base =
        base.results.iter().flat_map(|one| &one.figures).map(|series| series.values.len()).max();
    let rounds_first = rounds_base.unwrap_or_default().max(VALUES_LEAST);
    let rounds_max = args.rounds_max.map_or(3 * rounds_first, |rounds| rounds as usize);
    let rounds_first = rounds_first.min(rounds_max);
    announce(workloads.len(), u32::try_from(rounds_first).unwrap_or(u32::MAX), sampler.span);
    let mut measurement = Measurement::begin(&build, &sampler);
    for warning in warnings(&base, &measurement.record) {
        println!("{}", painted(&warning, Tone::Warning));
    }
    let mut progress = Progress::of((workloads.len() * rounds_first) as u64);
    measurement.rounds(&workloads, rounds_first, &mut progress)?;
    let judge = |measurement: &Measurement<'_>| {
        Verdicts::of(&base.results, &measurement.record.results, &args.limits, Pairing::Unpaired)
    };
    let mut rounds = rounds_first;
    let mut verdicts = judge(&measurement);
    while rounds < rounds_max {
        let open = verdicts.open();
        let again: Vec<_> = workloads.iter().filter(|one| open.contains(&one.name)).cloned().collect();
        if again.is_empty() {
            break;
        }
        let more = ROUNDS_MORE.min(rounds_max - rounds);
        progress.more((again.len() * more) as u64);
        let (workloads, rounds_more) = (units::times(again.len(), "workload"), units::times(more, "round"));
        progress.say(&format!("{workloads} could go either way: {rounds_more} more"));
        measurement.rounds(&again, more, &mut progress)?;
        rounds += more;
        verdicts = judge(&measurement);
    }
    drop(progress);
    verdicts.apart.extend(gone);
    let table = verdicts.table(args.all);
    if !table.is_empty() {
        println!("{}\n", table.shown());
    }
    println!("{}", verdicts.told());
    measurement.outcome()?;
    Ok(verdicts.ending())
}

/// Rounds between two looks.
const ROUNDS_MORE: usize = 3;

/// How the baseline was measured.
fn repeated(base: &Record, args: &CompareArgs) -> Result<Measuring, String> {
    if !["quick", "full", "once"].contains(&base.scale.as_str()) || base.span_ms == 0 {
        let (scale, span_ms) = (&base.scale, base.span_ms);
        return Err(format!("baseline {}: scale {scale}, span {span_ms} ms: can't be repeated", args.name));
    }
    Ok(Measuring {
        quick: base.scale == "quick",
        full: base.scale == "full",
        once: base.scale == "once",
        group: Vec::new(),
        set: base.settings.clone(),
        dir: args.dir.clone(),
        span: Some(Duration::from_millis(base.span_ms)),
    })
}

/// The baseline's workloads that this tree has and that are wanted, and what can't be compared and why.
fn shared(
    base: &Record,
    catalogue: &Catalogue,
    wanted: &[String],
) -> Result<(Vec<Listed>, Vec<String>), String> {
    let chosen =
        if wanted.is_empty() { catalogue.workloads.clone() } else { catalogue.select(wanted, false)? };
    let (mut shared, mut gone) = (Vec::new(), Vec::new());
    for before in &base.results {
        let name = &before.workload;
        match catalogue.workloads.iter().find(|one| one.name == *name) {
            None => gone.push(format!("{name}: this tree has it no more")),
            Some(now) if now.revision != before.revision => gone.push(format!(
                "{name}: measures something else now (revision {} to {})",
                before.revision, now.revision
            )),
            Some(now) => shared.extend(chosen.iter().find(|one| one.name == now.name).cloned()),
        }
    }
    // What the baseline's set has gained. A group that the baseline has nothing of was left out of it on purpose.
    let is_new = |one: &&Listed| {
        base.results.iter().any(|before| before.group == one.group)
            && !base.results.iter().any(|before| before.workload == one.name)
            && (one.quick || base.scale != "quick")
    };
    gone.extend(chosen.iter().filter(is_new).map(|one| format!("{}: not in the baseline", one.name)));
    if shared.is_empty() {
        return Err(format!("nothing to compare: {}", gone.join("; ")));
    }
    Ok((shared, gone))
}

/// Why this comparison is not one to trust.
fn warnings(base: &Record, now: &Record) -> Vec<String> {
    let mut reasons = differences(&base.machine, &now.machine);
    let age_s = date::now_s().saturating_sub(base.made_at_s);
    if age_s > DAY_S {
        reasons.push(format!("the baseline is {} old", units::times((age_s / DAY_S) as usize, "day")));
    }
    if reasons.is_empty() {
        return Vec::new();
    }
    let mut lines =
        vec!["WARNING: these figures and the baseline's are not of one machine and hour:".to_owned()];
    lines.extend(reasons.iter().map(|reason| format!("  {reason}")));
    let commit = &base.commit.id;
    lines.push(format!(
        "  `cargo xtask bench ab {commit}` measures both side by side and is the one to trust"
    ));
    lines
}

fn differences(was: &Machine, is: &Machine) -> Vec<String> {
    let differs = |what: &str, was: &str, is: &str| (was != is).then(|| format!("{what}: {was}, now {is}"));
    [
        differs("processor", &was.cpu, &is.cpu),
        differs("cores", &was.cores.to_string(), &is.cores.to_string()),
        differs("memory in MiB", &was.memory_mib.to_string(), &is.memory_mib.to_string()),
        differs("kernel", &was.kernel, &is.kernel),
        differs("filesystem", &was.filesystem, &is.filesystem),
        differs("compiler", &was.rustc, &is.rustc),
    ]
    .into_iter()
    .flatten()
    .collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use standpipe_harness::{Driver, Figure, Sample};

    use super::*;

    fn listed(name: &str, revision: u32) -> Listed {
        Listed {
            name: name.to_owned(),
            group: name.split('.').next().unwrap_or_default().to_owned(),
            measures: String::new(),
            quick: true,
            revision,
            driver: Driver::Scenario,
        }
    }

    fn record(workloads: &[Listed]) -> Record {
        let mut record = Record::begin(Path::new("."), "quick", 500, &[]);
        for workload in workloads {
            record.add(workload, Sample::of([Figure::throughput(1.0, 1.0, "rows/s")]));
        }
        record
    }

    #[test]
    fn only_what_both_sides_measure_alike_is_shared() -> Result<(), String> {
        let base =
            record(&[listed("log.a", 1), listed("log.gone", 1), listed("log.other", 1), listed("pool.a", 1)]);
        let workloads =
            vec![listed("log.a", 1), listed("log.new", 1), listed("log.other", 2), listed("pool.a", 1)];
        let catalogue = Catalogue { workloads, reserved: Vec::new(), keys: Vec::new() };
        let names = |shared: Vec<Listed>| shared.into_iter().map(|one| one.name).collect::<Vec<_>>();
        let (all, gone) = shared(&base, &catalogue, &[])?;
        assert_eq!(names(all), ["log.a", "pool.a"]);
        assert_eq!(gone.len(), 3, "{gone:?}");
        let (pool, _) = shared(&base, &catalogue, &["pool".to_owned()])?;
        assert_eq!(names(pool), ["pool.a"]);
        assert!(shared(&base, &catalogue, &["log.new".to_owned()]).is_err());
        Ok(())
    }

    #[test]
    fn another_machine_and_an_old_baseline_are_told_once() {
        let now = record(&[]);
        let mut base = now.clone();
        assert!(warnings(&base, &now).is_empty());
        base.machine.cpu = "another".to_owned();
        base.made_at_s -= 3 * DAY_S;
        let text = warnings(&base, &now).join("\n");
        assert!(text.contains("processor: another") && text.contains("3 days old"), "{text}");
        assert_eq!(text.matches("bench ab").count(), 1);
    }
}
