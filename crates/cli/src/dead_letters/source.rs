use std::{
    ops::ControlFlow,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use standpipe::{
    DeadLetterFile, LetterFilter, TableName, Target, TargetUrl,
    core::{DeadLetter, LetterPage},
    open_target_within,
};
use tokio::runtime::Runtime;

use super::DeadLettersArgs;
use crate::{exit::Failure, load::runtime};

/// Letters that are read at once.
const PAGE_LETTERS: u64 = 5_000;
/// Bytes of their rows.
const PAGE_BYTES: u64 = 1 << 20;
/// How long one call waits for somebody else's lock.
const LOCK_WAIT: Duration = Duration::from_secs(10);

/// Where the letters are.
pub(crate) enum Source {
    Table { target: Arc<dyn Target>, table: TableName, runtime: Runtime },
    File(PathBuf),
}

impl Source {
    pub(crate) fn open(args: &DeadLettersArgs) -> Result<Self, Failure> {
        let url = args.place.parse::<TargetUrl>();
        if args.place.contains("://")
            && let Err(error) = url
        {
            // No file's name; and what is in it must not be repeated, for it may be a password.
            return Err(Failure::usage(error.to_string()));
        }
        if let Ok(url) = url {
            let runtime = runtime()?;
            let wait = if args.retry { LOCK_WAIT.min(args.retry_for) } else { LOCK_WAIT };
            let target = runtime.block_on(open_target_within(&url, false, wait))?;
            return Ok(Source::Table { target, table: url.table(&args.table), runtime });
        }
        let path = Path::new(&args.place);
        if !path.is_file() {
            // What is no path may hold a password.
            let shown = if args.place.contains(['@', '=']) { "what was given" } else { &args.place };
            return Err(Failure::usage(format!(
                "{shown}: no such file; give a dead-letter file, or a target such as sqlite:flights.db"
            )));
        }
        Ok(Source::File(path.to_owned()))
    }

    /// Reads letter by letter, few at a time, until told to break off.
    pub(crate) fn each(
        &self,
        filter: &LetterFilter,
        mut each: impl FnMut(DeadLetter) -> Result<ControlFlow<()>, Failure>,
    ) -> Result<(), Failure> {
        match self {
            Source::File(path) => {
                for letter in DeadLetterFile::letters(path)? {
                    let letter = letter?;
                    if filter.takes(&letter) && each(letter)?.is_break() {
                        return Ok(());
                    }
                }
            }
            Source::Table { target, table, runtime } => {
                let mut page = LetterPage { after: None, letters_max: PAGE_LETTERS, bytes_max: PAGE_BYTES };
                loop {
                    let letters = runtime.block_on(target.dead_letters(table, &page))?;
                    let Some(last) = letters.last() else { break };
                    page.after = Some(last.id());
                    for letter in letters.into_iter().filter(|letter| filter.takes(letter)) {
                        if each(letter)?.is_break() {
                            return Ok(());
                        }
                    }
                }
            }
        }
        Ok(())
    }

    /// Ends the connections; what went wrong before goes first.
    pub(crate) fn close<T>(self, ended: Result<T, Failure>) -> Result<T, Failure> {
        if let Source::Table { target, runtime, .. } = self {
            let closed = runtime.block_on(target.close());
            return ended.and_then(|ended| Ok(closed.map(|()| ended)?));
        }
        ended
    }
}
