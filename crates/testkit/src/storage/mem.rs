use std::{
    fmt, io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use standpipe_log::Storage;

use super::{
    call::{Call, CallKind},
    cut::Cut,
    disk::{Change, Disk},
    fault::{Fault, Plan, PowerGone},
    file::MemFile,
};

/// A directory in memory that models what a disk may do: lose, tear and reorder what was not synced, fail any call,
/// run full, and mark pages clean after a failed sync.
///
/// Clones share one directory. Everything is deterministic: the same calls, plans and seeds give the same bytes. No
/// call blocks, except in a hook given to [`on_call`](MemStorage::on_call).
///
/// ```
/// use standpipe_log::{File, Storage};
/// use standpipe_testkit::{Cut, MemStorage};
///
/// let disk = MemStorage::new();
/// let file = disk.create("a")?;
/// disk.sync_dir()?;
/// file.write_at(b"kept", 0)?;
/// file.sync_data()?;
/// file.write_at(b"lost", 4)?;
/// let after = disk.power_cut(Cut::LoseUnsynced);
/// assert_eq!(after.contents("a").as_deref(), Some(&b"kept"[..]));
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Default)]
pub struct MemStorage {
    pub(crate) shared: Arc<Shared>,
}

type Hook = Arc<dyn Fn(&Call) + Send + Sync>;

#[derive(Default)]
pub(crate) struct Shared {
    state: Mutex<State>,
}

#[derive(Default)]
pub(crate) struct State {
    pub(crate) disk: Disk,
    plan: Plan,
    trace: Vec<Call>,
    locked: bool,
    hook: Option<Hook>,
}

/// A call that has its number: what it is to do.
pub(crate) struct Entered {
    pub(crate) fault: Option<Fault>,
    /// A sync covers what was written before it began, not what is written while it runs.
    pub(crate) latest_change: u64,
}

impl Entered {
    pub(crate) fn failure(&self) -> Option<io::Error> {
        self.fault.as_ref().and_then(Fault::error)
    }
}

impl Shared {
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Numbers the call, records it, runs the hook and finds what the call is to do.
    pub(crate) fn enter(
        &self,
        kind: CallKind,
        file: &str,
        to: Option<&str>,
        offset: u64,
        len: u64,
    ) -> io::Result<Entered> {
        let (call, hook, entered) = {
            let mut state = self.state();
            let number = state.trace.len() as u64 + 1;
            let call = Call { number, kind, file: file.to_owned(), to: to.map(str::to_owned), offset, len };
            state.trace.push(call.clone());
            if !state.plan.has_power(number) {
                return Err(io::Error::other(PowerGone));
            }
            let fault = state.plan.take(&call);
            let entered = Entered { fault, latest_change: state.disk.latest_change() };
            (call, state.hook.clone(), entered)
        };
        if let Some(hook) = hook {
            hook(&call);
            if !self.state().plan.has_power(call.number) {
                return Err(io::Error::other(PowerGone));
            }
        }
        if entered.fault == Some(Fault::Panic) {
            panic!("planted panic in call {} ({kind:?} {file})", call.number);
        }
        Ok(entered)
    }

    /// For calls that fail without any effect.
    fn enter_or_fail(&self, kind: CallKind, file: &str, to: Option<&str>) -> io::Result<Entered> {
        let entered = self.enter(kind, file, to, 0, 0)?;
        match entered.failure() {
            Some(error) => Err(error),
            None => Ok(entered),
        }
    }
}

impl MemStorage {
    /// An empty directory on a disk without limit.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets how many bytes all files together may take. Writes and allocations that need more fail with
    /// `StorageFull`; a write of which a part fits is short. May be raised or lowered at any time.
    pub fn capacity(&self, bytes: u64) {
        self.shared.state().disk.capacity_bytes = Some(bytes);
    }

    /// The bytes that all files together take.
    #[must_use]
    pub fn used_bytes(&self) -> u64 {
        self.shared.state().disk.used_bytes()
    }

    /// Plans a fault for the call with this running number (the first call is 1).
    pub fn fail_call(&self, number: u64, fault: Fault) {
        self.shared.state().plan.at(number, fault);
    }

    /// Plans a fault for the `nth` call of this kind counted from now (the next one is 1).
    pub fn fail_nth(&self, kind: CallKind, nth: u64, fault: Fault) {
        self.shared.state().plan.nth(kind, nth, fault);
    }

    /// Plans a fault for every call of this kind until [`clear_faults`](MemStorage::clear_faults).
    pub fn fail_every(&self, kind: CallKind, fault: Fault) {
        self.shared.state().plan.every(kind, fault);
    }

    /// Forgets all planned faults.
    pub fn clear_faults(&self) {
        self.shared.state().plan.clear();
    }

    /// Cuts the power after the call with number `calls`: every later one fails with [`PowerGone`] and does nothing.
    pub fn stop_after(&self, calls: u64) {
        self.shared.state().plan.stop_after(calls);
    }

    /// Cuts the power now: every later call, and every call that is held in a hook, fails with [`PowerGone`] and does
    /// nothing.
    pub fn power_off(&self) {
        self.shared.state().plan.power_off();
    }

    /// How many calls were made, failed ones included.
    #[must_use]
    pub fn calls(&self) -> u64 {
        self.shared.state().trace.len() as u64
    }

    /// Every call so far, in order.
    #[must_use]
    pub fn trace(&self) -> Vec<Call> {
        self.shared.state().trace.clone()
    }

    /// Runs `hook` in the calling thread before each call takes effect. It may block, which makes a slow disk; it must
    /// not call this storage.
    pub fn on_call(&self, hook: impl Fn(&Call) + Send + Sync + 'static) {
        self.shared.state().hook = Some(Arc::new(hook));
    }

    /// The bytes that a reader sees now; `None` when there is no such file. Not a call.
    #[must_use]
    pub fn contents(&self, name: &str) -> Option<Vec<u8>> {
        let state = self.shared.state();
        let id = state.disk.visible.get(name)?;
        state.disk.files.get(id).map(|contents| contents.visible.clone())
    }

    /// The names that a reader sees now, in order. Not a call.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        self.shared.state().disk.visible.keys().cloned().collect()
    }

    /// How many writes and changes of names are unsynced and would be made durable by a sync.
    #[must_use]
    pub fn unsynced(&self) -> usize {
        let state = self.shared.state();
        let writes: usize = state.disk.files.values().map(|contents| contents.unsynced.len()).sum();
        writes + state.disk.unsynced_names.len()
    }

    /// Damages a file on the disk and in the cache: `bytes` are put at `offset` as if they had been there all along.
    /// Returns false when there is no such file. Not a call.
    pub fn damage(&self, name: &str, offset: u64, bytes: &[u8]) -> bool {
        let mut state = self.shared.state();
        let Some(id) = state.disk.visible.get(name).copied() else { return false };
        let contents = state.disk.contents_mut(id);
        let change = Change { order: 0, offset, bytes: bytes.to_vec() };
        change.apply(&mut contents.visible);
        change.apply(&mut contents.durable);
        true
    }

    /// Cuts a file off at `len` bytes on the disk and in the cache, as a file system repair may. Returns false when there is
    /// no such file. Not a call.
    pub fn shorten(&self, name: &str, len: u64) -> bool {
        let mut state = self.shared.state();
        let Some(id) = state.disk.visible.get(name).copied() else { return false };
        let contents = state.disk.contents_mut(id);
        let len = usize::try_from(len).unwrap_or(usize::MAX);
        contents.unsynced.clear();
        contents.limbo.clear();
        contents.visible.truncate(len);
        contents.durable = contents.visible.clone();
        true
    }

    /// The machine after a power cut: a new storage with what the disk may hold, no lock, no plans, no trace, the same
    /// capacity. This one is left as it is.
    #[must_use]
    pub fn power_cut(&self, cut: Cut) -> MemStorage {
        let state = self.shared.state();
        Self::with_disk(Disk::settled(state.disk.cut(cut), state.disk.capacity_bytes))
    }

    /// The machine after the process was killed: a new storage with the page cache as it is (what was unsynced still is),
    /// no lock, no plans, no trace. This one is left as it is.
    #[must_use]
    pub fn process_killed(&self) -> MemStorage {
        let mut disk = self.shared.state().disk.clone();
        disk.files.values_mut().for_each(|contents| contents.handles = 0);
        Self::with_disk(disk)
    }

    fn with_disk(disk: Disk) -> Self {
        let state = State { disk, ..State::default() };
        MemStorage { shared: Arc::new(Shared { state: Mutex::new(state) }) }
    }
}

impl Storage for MemStorage {
    type File = MemFile;
    type Lock = MemLock;

    fn create(&self, name: &str) -> io::Result<MemFile> {
        check_name(name)?;
        self.shared.enter_or_fail(CallKind::Create, name, None)?;
        let id = self.shared.state().disk.create(name)?;
        Ok(MemFile::new(Arc::clone(&self.shared), id, name))
    }

    fn open(&self, name: &str) -> io::Result<MemFile> {
        check_name(name)?;
        self.shared.enter_or_fail(CallKind::Open, name, None)?;
        let id = self.shared.state().disk.open(name)?;
        Ok(MemFile::new(Arc::clone(&self.shared), id, name))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        check_name(from)?;
        check_name(to)?;
        self.shared.enter_or_fail(CallKind::Rename, from, Some(to))?;
        self.shared.state().disk.rename(from, to)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        check_name(name)?;
        self.shared.enter_or_fail(CallKind::Remove, name, None)?;
        self.shared.state().disk.remove(name)
    }

    fn list(&self) -> io::Result<Vec<String>> {
        self.shared.enter_or_fail(CallKind::List, "", None)?;
        Ok(self.names())
    }

    fn lock(&self) -> io::Result<MemLock> {
        self.shared.enter_or_fail(CallKind::Lock, "", None)?;
        let mut state = self.shared.state();
        if state.locked {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        state.locked = true;
        Ok(MemLock { shared: Arc::clone(&self.shared) })
    }

    /// A failed one leaves the changes unsynced; a later good one makes them durable.
    fn sync_dir(&self) -> io::Result<()> {
        let entered = self.shared.enter_or_fail(CallKind::SyncDir, "", None)?;
        self.shared.state().disk.sync_names(entered.latest_change);
        Ok(())
    }

    fn describe(&self) -> String {
        "a directory in memory".to_owned()
    }
}

impl fmt::Debug for MemStorage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemStorage")
            .field("names", &self.names())
            .field("calls", &self.calls())
            .field("unsynced", &self.unsynced())
            .finish_non_exhaustive()
    }
}

/// Ownership of a [`MemStorage`] and its clones; given up on drop.
#[must_use = "the directory is free again as soon as this is dropped"]
pub struct MemLock {
    shared: Arc<Shared>,
}

impl Drop for MemLock {
    fn drop(&mut self) {
        self.shared.state().locked = false;
    }
}

impl fmt::Debug for MemLock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MemLock")
    }
}

fn check_name(name: &str) -> io::Result<()> {
    if name.is_empty() || name == "." || name == ".." || name.contains(['/', '\\', '\0']) {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!("{name:?} is not one path component"),
        ));
    }
    Ok(())
}
