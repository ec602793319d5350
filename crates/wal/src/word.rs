//! A number that threads sleep on until it changes. Under `--cfg loom` everything is loom's, so that the protocol
//! around it is tried in every order.

#[cfg(not(loom))]
mod real {
    use std::sync::atomic::{AtomicU32, Ordering::SeqCst};

    use rustix::thread::futex;

    #[derive(Debug, Default)]
    pub(crate) struct Word(AtomicU32);

    impl Word {
        pub(crate) fn load(&self) -> u32 {
            self.0.load(SeqCst)
        }

        pub(crate) fn add(&self, count: u32) {
            self.0.fetch_add(count, SeqCst);
        }

        /// Changes it, where `change` says to; whether it did.
        pub(crate) fn update(&self, change: impl FnMut(u32) -> Option<u32>) -> bool {
            self.0.fetch_update(SeqCst, SeqCst, change).is_ok()
        }

        pub(crate) fn reset(&mut self) {
            *self.0.get_mut() = 0;
        }

        /// Returns when someone wakes, at once when it is not `seen` any more, or for no reason.
        pub(crate) fn sleep(&self, seen: u32) {
            let _ = futex::wait(&self.0, futex::Flags::PRIVATE, seen, None);
        }

        /// Wakes as many of those who sleep. A call of the system, if anyone does or not.
        pub(crate) fn wake(&self, count: u32) {
            // It fails for no reason that leaves anyone asleep.
            let _ = futex::wake(&self.0, futex::Flags::PRIVATE, count);
        }
    }

    pub(crate) use std::sync::{
        Mutex,
        atomic::{AtomicBool, AtomicU32 as Count, fence},
    };
}

#[cfg(loom)]
mod real {
    use loom::sync::Condvar;

    #[derive(Debug)]
    pub(crate) struct Word(Mutex<u32>, Condvar);

    impl Default for Word {
        fn default() -> Self {
            Word(Mutex::new(0), Condvar::new())
        }
    }

    impl Word {
        pub(crate) fn load(&self) -> u32 {
            *self.0.lock().unwrap()
        }

        pub(crate) fn add(&self, count: u32) {
            *self.0.lock().unwrap() += count;
        }

        pub(crate) fn update(&self, mut change: impl FnMut(u32) -> Option<u32>) -> bool {
            let mut word = self.0.lock().unwrap();
            change(*word).map(|new| *word = new).is_some()
        }

        pub(crate) fn reset(&mut self) {
            *self.0.lock().unwrap() = 0;
        }

        pub(crate) fn sleep(&self, seen: u32) {
            let word = self.0.lock().unwrap();
            if *word == seen {
                drop(self.1.wait(word).unwrap());
            }
        }

        pub(crate) fn wake(&self, count: u32) {
            // As the system does: whoever is about to sleep has looked, or sleeps.
            let _word = self.0.lock().unwrap();
            if count == 1 { self.1.notify_one() } else { self.1.notify_all() }
        }
    }

    pub(crate) use loom::sync::{
        Mutex,
        atomic::{AtomicBool, AtomicU32 as Count, fence},
    };
}

pub(crate) use real::{AtomicBool, Count, Mutex, Word, fence};
