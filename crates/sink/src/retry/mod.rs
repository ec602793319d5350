//! Dead letters in a table of the target, tried again or thrown away.

mod attempt;
mod discard;
mod filter;
mod page;
mod patience;
mod resolve;

use std::ops::ControlFlow;

use standpipe_core::{
    DeadLetter, Error, ErrorKind, Guarantee, LetterId, LetterPage, Mode, TableName, Target,
};

pub use discard::{Discarded, discard_dead_letters};
pub use filter::LetterFilter;

use crate::Retry;
use attempt::{Outcome, attempt};
use page::Page;
use patience::Patience;

/// Which dead letters are tried again, and how.
#[derive(Clone, Debug)]
pub struct LetterRetry {
    /// The table that holds the letters.
    pub letters: TableName,
    /// Which of them.
    pub filter: LetterFilter,
    /// Where the rows go, if not to the table that each was meant for.
    pub to_table: Option<TableName>,
    /// What a row does to a row with the same key (append).
    pub mode: Mode,
    /// The key's columns, for every mode but append.
    pub key: Vec<String>,
    /// How many letters at most (all).
    pub letters_max: u64,
    /// Letters of one commit at most (10,000).
    pub batch_rows: u64,
    /// Bytes of their rows, after which a commit takes no further one (4 MiB). A retry needs a few times that in memory.
    pub batch_bytes: u64,
    /// How calls that may succeed later are tried again; gives up after 60 s without success.
    pub retry: Retry,
}

impl LetterRetry {
    /// Every letter of this table, into the table that it was meant for.
    #[must_use]
    pub fn of(letters: TableName) -> Self {
        LetterRetry {
            letters,
            filter: LetterFilter::default(),
            to_table: None,
            mode: Mode::Append,
            key: Vec::new(),
            letters_max: u64::MAX,
            batch_rows: 10_000,
            batch_bytes: 4 << 20,
            retry: patience::default_retry(),
        }
    }

    fn page(&self, after: Option<LetterId>) -> LetterPage {
        LetterPage { after, letters_max: self.batch_rows.max(1), bytes_max: self.batch_bytes.max(1) }
    }

    fn check(&self, target: &dyn Target) -> Result<(), Error> {
        if self.mode != Mode::Append && self.key.is_empty() {
            return Err(Error::invalid(format!("mode {} needs to know the key", self.mode.name())));
        }
        check_target(target)
    }
}

/// What became of the letters that were tried again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Retried {
    /// Their rows are written, and the letters gone.
    pub applied: u64,
    /// The target, or the table's shape, refused them again; they are kept, with the new reason.
    pub refused_again: u64,
    /// Their rows are no JSON objects, so nothing is known of their fields; they are left as they were.
    pub unreadable: u64,
}

impl Retried {
    /// All letters that were looked at.
    #[must_use]
    pub fn letters(&self) -> u64 {
        self.applied + self.refused_again + self.unreadable
    }
}

/// One commit of a retry.
#[derive(Debug)]
pub struct RetryStep<'a> {
    /// What became of all letters so far.
    pub so_far: &'a Retried,
    /// Those of this commit that were refused again, with their new reasons.
    pub refused: &'a [DeadLetter],
    /// Those that were left as they were.
    pub unreadable: &'a [DeadLetter],
}

/// Tries dead letters again, page by page in the order of their ids: each row is written to its table, or its letter is kept
/// with the new reason, **exactly once**, whoever dies or does the same meanwhile.
///
/// A commit takes the letters out, writes their rows and keeps again what was refused, all or none of it. A commit whose
/// outcome is unknown is resolved by whether its letters are still there. Several may retry the same letters at once:
/// each letter is taken out by one of them. (A letter may then be counted as applied by both, if a commit of one was in
/// doubt; its row is there once.) Letters that come while this runs may be tried or not.
///
/// `told` hears of every commit, and breaks off between two of them; what was done stays done. Memory is bounded by
/// [`batch_bytes`](LetterRetry::batch_bytes) and the largest row.
///
/// # Errors
/// [`Invalid`](standpipe_core::ErrorKind::Invalid): the target does not commit rows and letters together or keeps no letters,
/// or the mode and key do not fit the table. [`Retry`](standpipe_core::ErrorKind::Retry) and
/// [`InDoubt`](standpipe_core::ErrorKind::InDoubt) after trying for as long as the settings say. What was committed before
/// stays; the same call goes on, after whatever error.
///
/// # Cancel safety
/// A future that is dropped leaves each row written or its letter kept.
pub async fn retry_dead_letters(
    target: &dyn Target,
    retry: &LetterRetry,
    mut told: impl FnMut(&RetryStep<'_>) -> ControlFlow<()>,
) -> Result<Retried, Error> {
    retry.check(target)?;
    let mut so_far = Retried::default();
    let mut patience = Patience::new(&retry.retry);
    let mut after = None;
    while so_far.letters() < retry.letters_max {
        let read = async {
            let mut letters = target.dead_letters(&retry.letters, &retry.page(after.clone())).await?;
            let Some(last) = letters.last().map(DeadLetter::id) else { return Ok(None) };
            letters.retain(|letter| retry.filter.takes(letter));
            letters.truncate(usize::try_from(retry.letters_max - so_far.letters()).unwrap_or(usize::MAX));
            Ok(Some((last, Page::of(target, retry, letters).await?)))
        };
        let (last, page) = match read.await {
            Ok(Some(read)) => read,
            Ok(None) => break,
            Err(error) => {
                patience.pause(error).await?;
                continue;
            }
        };
        match attempt(target, retry, &page, &mut patience).await {
            Ok(Outcome::Done(refused)) => {
                patience.renew();
                so_far.applied += (page.letters.len() - refused.len()) as u64;
                so_far.refused_again += refused.len() as u64;
                so_far.unreadable += page.unreadable.len() as u64;
                after = Some(last);
                let step = RetryStep { so_far: &so_far, refused: &refused, unreadable: &page.unreadable };
                if told(&step).is_break() {
                    break;
                }
            }
            Ok(Outcome::Overtaken) => patience.overtaken().await?,
            Err(error) if error.kind() == ErrorKind::InDoubt => return Err(error),
            Err(error) => patience.pause(error).await?,
        }
    }
    Ok(so_far)
}

fn check_target(target: &dyn Target) -> Result<(), Error> {
    if target.guarantee() == Guarantee::Transactional {
        return Ok(());
    }
    Err(Error::invalid(
        "this target does not commit rows and dead letters together, so a retry could lose or double them",
    ))
}
