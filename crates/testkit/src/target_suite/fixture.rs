use std::sync::Arc;

use standpipe_core::{Mode, TableName, Target, Type, async_trait};

use crate::poll::yield_once;

/// What the suite needs of a target that is to be checked.
#[async_trait]
pub trait TargetFixture: Sync {
    /// A fresh connection to the same database; called many times.
    async fn open(&self) -> Arc<dyn Target>;

    /// The committed rows of a table, read past the target: in the order in which they were applied, where the
    /// database keeps one, their values in the order of the columns and as text (`None` is NULL). What [`same_text`](super::same_text)
    /// takes for the same is good enough.
    ///
    /// For a table of dead letters one entry a letter; what is in it is not looked at.
    async fn rows(&self, table: &TableName) -> Vec<Vec<Option<String>>>;

    /// Gives calls that are under way on other connections time to reach the lock they wait for. A database behind a
    /// network may look into its own lock table here, or wait for a bounded time; no case fails for a wait too short.
    async fn settle(&self) {
        for _ in 0..16 {
            yield_once().await;
        }
    }

    /// Appended to every name of a stream or table, for a database that outlives a run: letters, digits, at most 16.
    fn suffix(&self) -> String {
        String::new()
    }

    /// The modes that the target can do.
    fn modes(&self) -> Vec<Mode> {
        vec![Mode::Append, Mode::Upsert, Mode::Replace, Mode::Ignore]
    }

    /// The types that the target has.
    fn types(&self) -> Vec<Type> {
        Type::ALL.to_vec()
    }

    /// Whether readers of a table that is being emptied wait for the commit, rather than see its old rows until then.
    fn empties_behind_a_lock(&self) -> bool {
        false
    }

    /// What the target's numeric columns take besides numbers, of `NaN`, `Infinity` and `-Infinity`.
    fn special_numerics(&self) -> Vec<&'static str> {
        vec!["NaN", "Infinity", "-Infinity"]
    }

    /// Makes the next commit lose its reply, carried out or not; false where the fixture cannot do so, and the case is
    /// skipped.
    fn lose_next_commit(&self, committed: bool) -> bool {
        let _ = committed;
        false
    }
}
