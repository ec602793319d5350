//! Streams rows into a table by COPY, and finds the bad ones among them.

use std::{borrow::Cow, ops::Range};

use standpipe_core::{Block, Error};

use crate::{
    blame::{self, Blame},
    error::{Failure, Refusal},
    plan::Form,
    planted::{self, Plant},
    rows::Rows,
    session::Session,
    sqlstate::{self, Means},
};

/// What COPY BINARY begins with: its signature, no flags, no extension.
const HEADER: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
/// What it ends with.
const TRAILER: &[u8] = &(-1_i16).to_be_bytes();

/// A row that the server refused, by its number among those that were sent.
pub(crate) struct Refused {
    pub(crate) number: u32,
    pub(crate) column: Option<String>,
    pub(crate) refusal: Refusal,
}

/// Why rows could not be written that is no fault of theirs.
pub(crate) enum Stop {
    /// The table is not as the plan has it. The session is undone to its mark.
    Shape(Box<Refusal>),
    Failed(Error),
}

/// Where rows are copied to.
pub(crate) struct Copying<'a> {
    pub(crate) statement: &'a str,
    pub(crate) form: Form,
    /// The relation that error contexts name.
    pub(crate) relation: &'a str,
    pub(crate) blocks: &'a [Block],
    /// Rows of the first attempt; fewer where bad ones are expected.
    pub(crate) step: u32,
    /// Whether this is where the rows are meant to be, and not a place on their way.
    pub(crate) is_table: bool,
}

/// Rows still to be written.
struct Part {
    range: Range<u32>,
    /// Known or believed to hold no bad row, and sent at once.
    is_trusted: bool,
}

/// Writes all rows in order but those that the server refuses.
///
/// The server says at which row it stopped. What came before it is sent again without it, and the row by itself, because
/// what the server says is not always so: only a row that is refused alone is bad. Where nothing is said the rows are halved.
pub(crate) async fn append(
    session: &mut Session,
    rows: &mut Rows,
    to: &Copying<'_>,
) -> Result<Vec<Refused>, Stop> {
    let mut refused = Vec::new();
    let mut doubts = Doubts::default();
    let mut parts = vec![Part { range: 0..rows.count(), is_trusted: false }];
    let mut step = to.step.max(1);
    while let Some(part) = parts.pop() {
        let (range, rest) = cut(part, step);
        parts.extend(rest);
        if range.is_empty() {
            continue;
        }
        let length = range.end - range.start;
        rows.prepare(&range, to.blocks).map_err(Stop::Failed)?;
        let refusal = match copy(session, rows, to, range.clone()).await? {
            None => {
                doubts.have_others = true;
                if to.is_table {
                    session.count_written();
                }
                step = step.saturating_mul(2);
                continue;
            }
            Some(refusal) => refusal,
        };
        session.undo().await.map_err(stopped)?;
        if length == 1 {
            let column = refusal.column.clone().or_else(|| column_of(&refusal, to.relation));
            doubts.hear(blame_of(&refusal, to), &refusal)?;
            refused.push(Refused { number: range.start, column, refusal });
            continue;
        }
        // A batch of bad rows alone must not be sent whole for each of them.
        step = (length / 2).max(1);
        let suspect = line_of(&refusal, to.relation)
            .map(|line| range.start + (line - 1))
            .filter(|at| range.contains(at));
        let part = |range, is_trusted| Part { range, is_trusted };
        match suspect {
            Some(at) => {
                parts.push(part(at + 1..range.end, false));
                parts.push(part(at..at + 1, true));
                parts.push(part(range.start..at, true));
            }
            None => {
                let middle = range.start + length / 2;
                parts.push(part(middle..range.end, false));
                parts.push(part(range.start..middle, true));
            }
        }
    }
    doubts.settle()?;
    Ok(refused)
}

fn blame_of(refusal: &Refusal, to: &Copying<'_>) -> Blame {
    let column = column_of(refusal, to.relation);
    blame::of_copy(refusal, to.form, line_of(refusal, to.relation), column.as_deref())
}

/// Rows that were refused for a reason that may not be theirs.
#[derive(Default)]
pub(crate) struct Doubts {
    refusal: Option<Box<Refusal>>,
    count: u32,
    /// A row was taken: then the reason is that of the rows that were not.
    pub(crate) have_others: bool,
}

/// So many rows are tried before a reason counts as one of all rows.
const DOUBTS_MAX: u32 = 8;

impl Doubts {
    /// Takes note of a row that was refused alone.
    pub(crate) fn hear(&mut self, blame: Blame, refusal: &Refusal) -> Result<(), Stop> {
        if blame != Blame::RowIfOthersFit || self.have_others {
            return Ok(());
        }
        self.count += 1;
        self.refusal = Some(Box::new(refusal.clone()));
        if self.count < DOUBTS_MAX { Ok(()) } else { self.settle() }
    }

    /// # Errors
    /// The reason, where no row was taken. The table may be another by now.
    pub(crate) fn settle(&mut self) -> Result<(), Stop> {
        match self.refusal.take() {
            Some(refusal) if !self.have_others => Err(Stop::Shape(refusal)),
            _ => Ok(()),
        }
    }
}

fn cut(part: Part, step: u32) -> (Range<u32>, Option<Part>) {
    let range = part.range;
    let length = range.end - range.start;
    if part.is_trusted || length <= step {
        return (range, None);
    }
    let middle = range.start + step;
    (range.start..middle, Some(Part { range: middle..range.end, is_trusted: false }))
}

/// `None` when all of them are in.
async fn copy(
    session: &mut Session,
    rows: &Rows,
    to: &Copying<'_>,
    range: Range<u32>,
) -> Result<Option<Refusal>, Stop> {
    let (header, trailer): (&[u8], &[u8]) = match to.form {
        Form::Untouched | Form::Binary => (HEADER, TRAILER),
        Form::Text => (&[], &[]),
    };
    let pieces = std::iter::once(header).chain(rows.bytes(range)).chain(std::iter::once(trailer));
    // What was written before stays, whatever this meets: said in the same breath.
    let statement = match session.marking() {
        "" => Cow::Borrowed(to.statement),
        mark => Cow::Owned(format!("{mark}{}", to.statement)),
    };
    session.wrote();
    match session.link().map_err(Stop::Failed)?.copy(&statement, pieces).await {
        Ok(_) => Ok(None),
        Err(Failure::Server(refusal))
            if sqlstate::of_write(&refusal.code) != Means::Row && blame_of(&refusal, to) != Blame::Other =>
        {
            Ok(Some(*refusal))
        }
        Err(Failure::Server(refusal)) => match sqlstate::of_write(&refusal.code) {
            Means::Row if planted::is(Plant::WholeBatchFails) => {
                Err(Stop::Failed(refusal.explain("writing")))
            }
            Means::Row => Ok(Some(*refusal)),
            Means::Shape => {
                session.undo().await.map_err(stopped)?;
                Err(Stop::Shape(refusal))
            }
            Means::Transaction(kind) => {
                Err(Stop::Failed(refusal.as_kind(kind, &format!("writing to table {}", to.relation))))
            }
        },
        Err(failure) => Err(stopped(failure)),
    }
}

pub(crate) fn stopped(failure: Failure) -> Stop {
    Stop::Failed(failure.explain("writing rows"))
}

/// The line of a COPY that an error names, from 1: `COPY relation, line 7, column x: "value"`, in any language.
fn line_of(refusal: &Refusal, relation: &str) -> Option<u32> {
    let place = place_of(refusal, relation)?;
    let digits =
        place.split(|character: char| !character.is_ascii_digit()).find(|digits| !digits.is_empty())?;
    digits.parse().ok().filter(|line| *line > 0)
}

fn column_of(refusal: &Refusal, relation: &str) -> Option<String> {
    let (_, column) = place_of(refusal, relation)?.split_once(", column ")?;
    // Behind the name may come the value: `column x: "value"`.
    Some(column.split_once(": ").map_or(column, |(name, _)| name).to_owned())
}

/// What stands behind `COPY relation, `: triggers put their own lines above it.
fn place_of<'a>(refusal: &'a Refusal, relation: &str) -> Option<&'a str> {
    let context = refusal.context.as_deref()?;
    let mut lines = context
        .lines()
        .filter_map(|line| line.strip_prefix("COPY ")?.strip_prefix(relation)?.strip_prefix(", "));
    lines.next_back()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(context: &str) -> Refusal {
        Refusal {
            code: "23514".into(),
            message: String::new(),
            detail: None,
            hint: None,
            column: None,
            context: Some(context.into()),
            is_fatal: false,
        }
    }

    #[test]
    fn the_line_is_found_in_what_the_server_says() {
        let at = |context: &str, relation: &str| {
            let refusal = refusal(context);
            (line_of(&refusal, relation), column_of(&refusal, relation))
        };
        assert_eq!(at("COPY t, line 7", "t"), (Some(7), None));
        assert_eq!(at("COPY t, line 7, column a b: \"x\"", "t"), (Some(7), Some("a b".into())));
        assert_eq!(
            at("PL/pgSQL function f() line 3 at RAISE\nCOPY a, line 9, line 12", "a, line 9"),
            (Some(12), None)
        );
        assert_eq!(at("SQL statement \"COPY x, line 3\"", "t"), (None, None));
        assert_eq!(at("COPY t, Zeile 5", "t"), (Some(5), None));
    }
}
