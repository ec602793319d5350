use std::time::Duration;

use standpipe_pool::{Pool, Settings};
use standpipe_testkit::{AcquireFixture, SimConnect, acquire_suite, block_on};

/// Our pool, which checks what was idle for so long.
struct Ours {
    check_after_idle: Duration,
}

impl AcquireFixture for Ours {
    type Pool = Pool<SimConnect>;

    fn open(&self, connect: SimConnect, most: usize) -> Self::Pool {
        let check_after_idle = self.check_after_idle;
        Pool::new(
            connect,
            Settings {
                connections_max: most,
                check_after_idle,
                backoff_min: Duration::from_millis(1),
                ..Settings::default()
            },
        )
    }
}

#[test]
fn the_pool_does_the_duties_of_acquire() {
    for check_after_idle in [Duration::ZERO, Duration::MAX] {
        assert_eq!(block_on(acquire_suite::run(&Ours { check_after_idle })), acquire_suite::CASES.len());
    }
}
