use std::{
    io,
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use standpipe_log::{File, FileExt, Storage};

use super::Times;
use crate::dir::{Dir, DirFile};

/// The size of each file, in bytes.
pub(super) const FILE_BYTES: u64 = 8 << 20;
const PAGE_BYTES: u64 = 4096;

/// How long each write with its sync took.
#[derive(Debug, Default)]
pub(super) struct Loop {
    nanos: Vec<u64>,
    busy: Duration,
}

impl Loop {
    pub(super) fn add(&mut self, more: Loop) {
        self.nanos.extend(more.nanos);
        self.busy += more.busy;
    }

    pub(super) fn times(self) -> Times {
        Times::of(self.nanos, self.busy)
    }
}

/// 4 KiB writes into a file that was written and synced before, from its start to its end, again and again.
#[derive(Debug)]
pub(super) struct Written(DirFile);

impl Written {
    pub(super) fn make(dir: &Dir) -> io::Result<Self> {
        let file = dir.create("written")?;
        let filler = vec![0x5a; 1 << 20];
        for at in (0..FILE_BYTES).step_by(filler.len()) {
            file.write_all_at(&filler, at)?;
        }
        file.sync_all()?;
        dir.sync_dir()?;
        Ok(Written(file))
    }

    pub(super) fn run(&mut self, span: Duration, stop: &AtomicBool) -> io::Result<Loop> {
        sync_loop(span, stop, &mut self.0, |_| Ok(None))
    }
}

/// The same into space that was allocated and never written.
pub(super) fn fresh(dir: &Dir, span: Duration, stop: &AtomicBool) -> io::Result<Loop> {
    let make = || {
        let file = dir.create("fresh")?;
        file.allocate(FILE_BYTES)?;
        file.sync_all()?;
        dir.sync_dir()?;
        Ok(file)
    };
    let next =
        |page: u64| if page == 0 { dir.remove("fresh").and_then(|()| make()).map(Some) } else { Ok(None) };
    sync_loop(span, stop, &mut make()?, next)
}

/// The same at the end of a file that grows.
pub(super) fn appended(dir: &Dir, span: Duration, stop: &AtomicBool) -> io::Result<Loop> {
    let make = || {
        let file = dir.create("appended")?;
        file.sync_all()?;
        dir.sync_dir()?;
        Ok(file)
    };
    let next =
        |page: u64| if page == 0 { dir.remove("appended").and_then(|()| make()).map(Some) } else { Ok(None) };
    sync_loop(span, stop, &mut make()?, next)
}

/// Writes and syncs page after page; before each, `next` may give another file. Only writing and syncing is timed.
fn sync_loop(
    span: Duration,
    stop: &AtomicBool,
    file: &mut DirFile,
    next: impl Fn(u64) -> io::Result<Option<DirFile>>,
) -> io::Result<Loop> {
    let mut page = [0; PAGE_BYTES as usize];
    let mut done = Loop::default();
    let began = Instant::now();
    let mut count = 0u64;
    while began.elapsed() < span && !stop.load(Ordering::Relaxed) {
        let at = count % (FILE_BYTES / PAGE_BYTES);
        if count > 0
            && let Some(other) = next(at)?
        {
            *file = other;
        }
        count += 1;
        page[..8].copy_from_slice(&count.to_le_bytes());
        let start = Instant::now();
        file.write_all_at(&page, at * PAGE_BYTES)?;
        file.sync_data()?;
        let took = start.elapsed();
        done.busy += took;
        done.nanos.push(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX));
    }
    Ok(done)
}
