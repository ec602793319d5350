//! What the models of this crate have in common: `RUSTFLAGS="--cfg loom" cargo test --release --lib loom`
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use loom::model::Builder;

/// Every order with at most so many threads stopped midway.
pub(crate) fn model(preemptions: usize, run: impl Fn() + Send + Sync + 'static) {
    let runs = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&runs);
    #[cfg(feature = "planted")]
    faults::plant_what_is_asked();
    let mut builder = Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.check(move || {
        counted.fetch_add(1, Ordering::Relaxed);
        run();
    });
    println!("{} orders", runs.load(Ordering::Relaxed));
}

/// The models with a fault planted, which they must find. A model that ends in the middle cannot clean up, so it
/// ends its process: each runs in one of its own.
#[cfg(feature = "planted")]
mod faults {
    use std::env;
    use std::process::Command;

    use crate::planted::{Plant, plant};

    const ASKED: &str = "PLANTED";
    const FAULTS: [(Plant, &str); 8] = [
        (Plant::FlagsLate, "budget::loom_tests::loom_one_that_goes_away_leaves_nothing_and_wakes_the_next"),
        (
            Plant::ForgetsCancelled,
            "budget::loom_tests::loom_one_that_goes_away_leaves_nothing_and_wakes_the_next",
        ),
        (Plant::CalmsBlindly, "budget::loom_tests::loom_no_beginning_of_pressure_is_missed"),
        (
            Plant::PublishesFirst,
            "queue::loom_tests::loom_each_item_once_and_in_order_over_the_end_of_a_segment",
        ),
        (Plant::LeavesEarly, "queue::loom_tests::loom_a_segment_comes_back_while_a_producer_is_slow"),
        (Plant::CountsFirst, "lane_models::loom_whatever_was_pushed_is_looked_at"),
        (Plant::UnmarksLate, "lane_models::loom_whatever_was_pushed_is_looked_at"),
        (Plant::ForgetsStuck, "lane_models::loom_whatever_was_pushed_is_looked_at"),
    ];

    /// All of a model's threads are one thread of the system, so the switch reaches them.
    pub(super) fn plant_what_is_asked() {
        let Ok(asked) = env::var(ASKED) else { return };
        let (fault, _) = FAULTS.iter().find(|(fault, _)| format!("{fault:?}") == asked).unwrap();
        plant(Some(*fault));
    }

    #[test]
    fn loom_planted_faults_are_found() {
        for (fault, test) in FAULTS {
            let run = |asked: Option<String>| {
                let mut command = Command::new(env::current_exe().unwrap());
                command.args(["--exact", test, "--nocapture"]).env_remove(ASKED);
                let output = command.envs(asked.map(|asked| (ASKED, asked))).output().unwrap();
                let said = [output.stdout, output.stderr].concat();
                (output.status.success(), String::from_utf8_lossy(&said).into_owned())
            };
            let (passed, said) = run(None);
            assert!(passed && said.contains("1 passed"), "{said}");
            let (passed, said) = run(Some(format!("{fault:?}")));
            assert!(!passed, "{fault:?} was not found by {test}: {said}");
            let told = said.lines().find(|line| {
                ["deadlock", "assertion", "Causality", "panicked"].iter().any(|word| line.contains(word))
            });
            println!("{fault:?}: {}", told.expect("what was found"));
        }
    }
}
