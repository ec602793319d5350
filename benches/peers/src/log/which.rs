use std::path::Path;

use standpipe_harness::{Context, Outcome, Sample};

use super::{
    append::{fill, on_threads},
    engine::{Engine, Promise, Replayed},
    home::MutexFile,
    okaywal::OkayWal,
    raft_engine::RaftEngine,
    record::Seen,
    standpipe::Standpipe,
    wal_db::WalDb,
};

/// The engines by their names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Which {
    Standpipe,
    RaftEngine,
    OkayWal,
    WalDb,
    #[cfg(feature = "rocksdb")]
    RocksDb,
    MutexFile,
}

/// A name, through what it works, and which it is.
pub(crate) const ENGINES: &[(&str, &str, Which)] = &[
    ("standpipe", "standpipe-wal with its defaults", Which::Standpipe),
    (
        "raft-engine",
        "raft-engine 0.4, a raft group for each writer, write with sync where durable",
        Which::RaftEngine,
    ),
    ("okaywal", "okaywal 0.3, an entry for each append, files of 64 MiB", Which::OkayWal),
    ("wal-db", "wal-db 1.1, append_and_sync where durable, one sync for a batch", Which::WalDb),
    #[cfg(feature = "rocksdb")]
    ("rocksdb", "RocksDB, put with sync where durable, which fills a memtable too", Which::RocksDb),
    (
        "home-mutex-file",
        "Mutex<File>, write_all, and sync_data where durable, for each append",
        Which::MutexFile,
    ),
];

impl Which {
    /// Whether it has a way to append with just this promise.
    pub(crate) fn keeps(self, promise: Promise) -> bool {
        promise == Promise::Durable || self != Which::OkayWal
    }

    /// What a log is made with that is read back after a proper close: ours with its default, for what it does not sync it
    /// lays down otherwise; others with the weaker promise where there is one, for they write the same.
    pub(crate) fn made_with(self) -> Promise {
        if self.keeps(Promise::Os) && self != Which::Standpipe { Promise::Os } else { Promise::Durable }
    }

    pub(crate) fn append(
        self,
        context: &Context,
        promise: Promise,
        threads: u64,
        batch: usize,
    ) -> Outcome<Sample> {
        match self {
            Which::Standpipe => on_threads::<Standpipe>(context, promise, threads, batch),
            Which::RaftEngine => on_threads::<RaftEngine>(context, promise, threads, batch),
            Which::OkayWal => on_threads::<OkayWal>(context, promise, threads, batch),
            Which::WalDb => on_threads::<WalDb>(context, promise, threads, batch),
            #[cfg(feature = "rocksdb")]
            Which::RocksDb => on_threads::<super::rocksdb::RocksDb>(context, promise, threads, batch),
            Which::MutexFile => on_threads::<MutexFile>(context, promise, threads, batch),
        }
    }

    /// Makes a log of so many records of several writers, closes it, and says how many are whose.
    pub(crate) fn fill(self, dir: &Path, promise: Promise, records: u64) -> Outcome<Vec<u64>> {
        match self {
            Which::Standpipe => fill::<Standpipe>(dir, promise, records),
            Which::RaftEngine => fill::<RaftEngine>(dir, promise, records),
            Which::OkayWal => fill::<OkayWal>(dir, promise, records),
            Which::WalDb => fill::<WalDb>(dir, promise, records),
            #[cfg(feature = "rocksdb")]
            Which::RocksDb => fill::<super::rocksdb::RocksDb>(dir, promise, records),
            Which::MutexFile => fill::<MutexFile>(dir, promise, records),
        }
    }

    pub(crate) fn replay(self, dir: &Path, seen: Seen) -> Outcome<Replayed> {
        match self {
            Which::Standpipe => Standpipe::replay(dir, seen),
            Which::RaftEngine => RaftEngine::replay(dir, seen),
            Which::OkayWal => OkayWal::replay(dir, seen),
            Which::WalDb => WalDb::replay(dir, seen),
            #[cfg(feature = "rocksdb")]
            Which::RocksDb => super::rocksdb::RocksDb::replay(dir, seen),
            Which::MutexFile => MutexFile::replay(dir, seen),
        }
    }
}
