use std::thread;

use standpipe_log::{Entry, LogError, Lsn, Storage};

use super::{
    Key, Replay, ReplayError, Replayed,
    feed::Feed,
    progress::Meter,
    run::wanted,
    yard::{Closing, Place, Yard},
};

impl<S: Storage> Replay<'_, S> {
    /// Applies records on as many threads as [`workers`](Replay::workers) says.
    ///
    /// Records with the same key are applied in the order of the log, by the same thread. A record without a key is a barrier:
    /// everything before it is applied first, then it alone (on the caller's thread), and nothing after it starts
    /// earlier. `key_of` is called for each record in order, on the caller's thread. With one worker all is as
    /// [`each`](Replay::each) does it, and `key_of` is not called.
    ///
    /// What waits to be applied is bounded: see [`block`](Replay::block).
    ///
    /// # Errors
    /// [`ReplayError::Apply`] with the error of the lowest record that failed. Every record below it was applied; of
    /// those above, with other keys, some may be too. [`ReplayError::Log`]: every record before the failure was
    /// applied. All threads have ended then.
    ///
    /// # Panics
    /// Where `apply` or `key_of` does: on the caller's thread, after all threads have ended.
    pub fn by_key<E: Send>(
        self,
        mut key_of: impl FnMut(&Entry<'_>) -> Option<Key>,
        apply: impl Fn(&Entry<'_>) -> Result<(), E> + Sync,
    ) -> Result<Replayed, ReplayError<E>> {
        if self.workers < 2 {
            return self.each(apply);
        }
        let (from, lanes) = (self.from(), self.workers);
        self.run(|replay, feed, meter| {
            let yard = Yard::new(lanes, replay.block_bytes);
            let handed = thread::scope(|scope| {
                let _closing = Closing(&yard);
                for lane in 0..lanes {
                    let (yard, apply) = (&yard, &apply);
                    let named = thread::Builder::new().name("standpipe-apply".to_owned());
                    let spawned = named.spawn_scoped(scope, move || yard.work(lane, apply));
                    spawned.map_err(|error| LogError::io("starting a thread of a replay", error))?;
                }
                Dispatch { yard: &yard, from, lists: vec![Vec::new(); lanes] }.run(
                    feed,
                    meter,
                    &mut key_of,
                    &apply,
                )
            });
            // What a thread could not apply lies below whatever stopped the handing out.
            match yard.into_failure() {
                Some((lsn, error)) => Err(ReplayError::Apply { lsn, error }),
                None => handed,
            }
        })
    }
}

/// Hands out the records of a log.
struct Dispatch<'a, E> {
    yard: &'a Yard<E>,
    from: Lsn,
    /// What goes to each lane next.
    lists: Vec<Vec<Place>>,
}

impl<E> Dispatch<'_, E> {
    fn run<S: Storage>(
        mut self,
        feed: &mut Feed<'_, S>,
        meter: &mut Meter<'_>,
        key_of: &mut impl FnMut(&Entry<'_>) -> Option<Key>,
        apply: &impl Fn(&Entry<'_>) -> Result<(), E>,
    ) -> Result<(), ReplayError<E>> {
        loop {
            self.yard.wait_for_room();
            let Some(block) = feed.block(self.yard.spare())? else { return Ok(()) };
            let load = self.yard.load(block);
            for (at, frame) in load.block.frames.iter().enumerate() {
                let payload = load.block.payload(frame);
                let (mut walk, mut records) = (frame.walk(), 0);
                while let Some(item) = walk.next(payload) {
                    let Some((lsn, bytes)) = wanted(item, self.from)? else { continue };
                    records += 1;
                    let entry = Entry { lsn, payload: &payload[bytes.clone()] };
                    if let Some(key) = key_of(&entry) {
                        let lane = key.lane(self.lists.len());
                        self.lists[lane].push(Place::new(lsn, at, &bytes));
                        continue;
                    }
                    self.yard.send(&load, &mut self.lists);
                    self.yard.wait_for_all();
                    if self.yard.has_failed() {
                        return Ok(());
                    }
                    apply(&entry).map_err(|error| ReplayError::Apply { lsn, error })?;
                }
                meter.passed(records, frame.span, frame.end);
            }
            self.yard.send(&load, &mut self.lists);
            self.yard.unload(load);
            if self.yard.has_failed() {
                return Ok(());
            }
        }
    }
}
