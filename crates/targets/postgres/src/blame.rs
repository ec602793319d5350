//! Whether what the server says is about a row, beyond what its code says: triggers raise under any code, and types refuse
//! texts under codes that otherwise are about statements.

use crate::{error::Refusal, plan::Form, sqlstate};

/// How much is known about who is at fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Blame {
    Row,
    /// A row, if others of its kind are taken.
    RowIfOthersFit,
    /// The statement, the transaction or the server.
    Other,
}

/// Of a COPY, at whose line `place` it stopped.
pub(crate) fn of_copy(refusal: &Refusal, form: Form, line: Option<u32>, column: Option<&str>) -> Blame {
    if sqlstate::of_write(&refusal.code) == sqlstate::Means::Row || is_raised(refusal) {
        return Blame::Row;
    }
    if is_passing(refusal) || line.is_none() {
        return Blame::Other;
    }
    match (form, column) {
        // A type's own reading of a text.
        (Form::Text, Some(_)) if !is_within_function(refusal) => Blame::Row,
        // What is no such type's binary form tells of another type.
        (Form::Untouched | Form::Binary, Some(_)) if !is_within_function(refusal) => Blame::Other,
        _ => Blame::RowIfOthersFit,
    }
}

/// Of a statement that merges rows, and that is taken without any.
pub(crate) fn of_merge(refusal: &Refusal) -> Blame {
    if sqlstate::of_write(&refusal.code) == sqlstate::Means::Row || is_raised(refusal) {
        Blame::Row
    } else if is_passing(refusal) {
        Blame::Other
    } else if is_within_function(refusal) || is_right(refusal) {
        Blame::RowIfOthersFit
    } else {
        Blame::Row
    }
}

/// A function of the table's has raised it, under whatever code.
fn is_raised(refusal: &Refusal) -> bool {
    let first = refusal.context.as_deref().and_then(|context| context.lines().next());
    !refusal.is_fatal && first.is_some_and(|line| line.starts_with("PL/pgSQL") && line.ends_with(" RAISE"))
}

/// A right that is lacking, or a policy that lets a row not in.
fn is_right(refusal: &Refusal) -> bool {
    refusal.code.starts_with("28") || refusal.code == "42501"
}

/// It happened in a function that the table calls.
fn is_within_function(refusal: &Refusal) -> bool {
    let context = refusal.context.as_deref().unwrap_or("");
    context.lines().any(|line| line.starts_with("PL/") || line.starts_with("SQL function"))
}

/// It passes by itself or is no answer to a statement: locks, resources, interventions, connections, damage.
fn is_passing(refusal: &Refusal) -> bool {
    use standpipe_core::ErrorKind::{Corrupt, Retry};
    refusal.is_fatal || matches!(sqlstate::of(&refusal.code), Retry | Corrupt)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(code: &str, context: &str) -> Refusal {
        Refusal {
            code: code.into(),
            message: String::new(),
            detail: None,
            hint: None,
            column: None,
            context: Some(context.into()),
            is_fatal: false,
        }
    }

    #[test]
    fn what_a_trigger_raises_is_its_rows_and_what_it_meets_is_not() {
        let raised = "PL/pgSQL function f() line 1 at RAISE\nCOPY t, line 2";
        let met = "SQL statement \"UPDATE x\"\nPL/pgSQL function f() line 1 at SQL statement\nCOPY t, line 2";
        for code in ["40001", "57014", "42P01", "53100", "XX000"] {
            assert_eq!(of_copy(&refusal(code, raised), Form::Untouched, Some(2), None), Blame::Row, "{code}");
        }
        assert_eq!(of_copy(&refusal("55P03", met), Form::Text, Some(2), None), Blame::Other);
        assert_eq!(of_copy(&refusal("42P01", met), Form::Text, Some(2), None), Blame::RowIfOthersFit);
        assert_eq!(of_merge(&refusal("42P01", met)), Blame::RowIfOthersFit);
        let read = "COPY t, line 2, column v: \"a 'b\"";
        assert_eq!(of_copy(&refusal("42601", read), Form::Text, Some(2), Some("v")), Blame::Row);
        assert_eq!(of_copy(&refusal("22P03", read), Form::Binary, Some(2), Some("v")), Blame::Other);
        assert_eq!(of_copy(&refusal("42501", ""), Form::Binary, None, None), Blame::Other);
    }
}
