//! Seeded runs: writes, faults, crashes and restarts of sink, log and target, and then every row is looked for.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::time::Duration;

use common::*;
use standpipe_core::{ErrorKind, LaneId};
use standpipe_sink::{Settings, Sink, SinkError, Stream};
use standpipe_testkit::{
    Crash, Cut, History, Random, SimTarget, Summary, VecLog, VecStore,
    target::{CallKind, Fault, Mistake, Value},
};

const SEEDS: u64 = 300;

struct World {
    random: Random,
    store: VecStore,
    target: SimTarget,
    history: History<i64>,
    next: i64,
    faults: u64,
    lives: u64,
}

/// What became of one seed.
struct Told {
    outcome: Result<Summary, String>,
    faults: u64,
    lives: u64,
}

async fn run(seed: u64, mistake: Option<Mistake>) -> Told {
    let target = target(&["a", "b"]);
    // Every 13th row is bad.
    target.reject_if(|_, tuple| i64::from_be_bytes(tuple[6..14].try_into().unwrap()) % 13 == 12);
    if let Some(mistake) = mistake {
        target.plant(mistake);
    }
    let (random, store) = (Random::new(seed), VecStore::new());
    let mut world = World { random, store, target, history: History::new(), next: 0, faults: 0, lives: 0 };
    for _ in 0..5 {
        world.life().await;
    }
    world.target.clear_faults();
    world.target.up();
    let ended = world.last_life().await;
    let outcome = ended.and_then(|()| world.look().map_err(|violation| format!("seed {seed}: {violation}")));
    Told { outcome, faults: world.faults, lives: world.lives }
}

impl World {
    async fn open(&mut self) -> Result<Sink<VecLog>, SinkError> {
        self.lives += 1;
        let chosen = Settings {
            workers: 1 + self.random.below(3) as usize,
            batch_rows_max: 1 + self.random.below(8),
            lanes_per_commit: 1 + self.random.below(4) as usize,
            ..settings()
        };
        open(&self.store, &self.target, chosen).await
    }

    async fn life(&mut self) {
        self.plan_faults();
        let Ok(sink) = self.open().await else { return };
        let mut streams = Vec::new();
        for name in ["a", "b"] {
            match sink.stream(spec(name, 2)).await {
                Ok(stream) => streams.push(stream),
                Err(_) => return,
            }
        }
        let mut receipts = Vec::new();
        for _ in 0..self.random.below(12) {
            let stream = &streams[self.random.below(2) as usize];
            self.step(&sink, stream, &mut receipts).await;
        }
        if self.random.chance(4) {
            self.acknowledge(&mut receipts).await;
        }
        match self.random.below(4) {
            0 => {
                self.store.hold_syncs();
                let stream = &streams[0];
                self.step(&sink, stream, &mut receipts).await;
                let seed = self.random.next_u64();
                self.store.crash(if seed.is_multiple_of(2) {
                    Crash::Kill
                } else {
                    Crash::Power(Cut::Subset { seed })
                });
            }
            1 => {
                let _ = tokio::time::timeout(Duration::from_millis(2), sink.flush()).await;
            }
            2 => {
                let _ = tokio::time::timeout(Duration::from_millis(20), sink.checkpoint()).await;
            }
            _ => {
                let _ = within(sink.close(Duration::from_millis(5))).await;
                return self.acknowledge(&mut receipts).await;
            }
        }
        drop(sink);
        // What was acknowledged by then counts, whoever asks later.
        self.acknowledge(&mut receipts).await;
    }

    async fn step(
        &mut self,
        sink: &Sink<VecLog>,
        stream: &Stream,
        receipts: &mut Vec<(LaneId, i64, standpipe_sink::Receipt)>,
    ) {
        let (id, at) = (self.next, self.random.below(2) as u32);
        self.next += 1;
        self.history.submitted(id);
        if self.random.chance(1) {
            self.target.down();
            self.faults += 1;
        } else {
            self.target.up();
        }
        let written = sink.write(stream, in_lane(stream, at, [id]));
        // A tenth of the writes are given up at once.
        let written = match self.random.below(10) {
            0 => tokio::time::timeout(Duration::ZERO, written).await.ok(),
            _ => Some(within(written).await),
        };
        if let Some(Ok(receipt)) = written {
            receipts.push((lane(stream.id().as_str(), at), id, receipt));
        }
        if self.random.chance(1) {
            let _ = tokio::time::timeout(Duration::from_millis(3), sink.flush()).await;
        }
    }

    async fn acknowledge(&mut self, receipts: &mut Vec<(LaneId, i64, standpipe_sink::Receipt)>) {
        for (lane, id, receipt) in receipts.drain(..) {
            if within(receipt.durable()).await.is_ok() {
                self.history.acknowledged(&lane, id as u64, id);
            }
        }
    }

    fn plan_faults(&mut self) {
        let kinds = [
            CallKind::Begin,
            CallKind::Write,
            CallKind::DeadLetter,
            CallKind::Advance,
            CallKind::Commit,
            CallKind::Commit,
            CallKind::Resolve,
            CallKind::Rollback,
            CallKind::Claim,
        ];
        for _ in 0..self.random.below(5) {
            let kind = kinds[self.random.below(kinds.len() as u64) as usize];
            let fault = match (kind, self.random.below(5)) {
                (CallKind::Commit, 0 | 1) => Fault::in_doubt(true),
                (CallKind::Commit, 2) => Fault::in_doubt(false),
                (CallKind::Claim, _) => Fault::FailAfter(ErrorKind::Retry),
                (_, 3) => Fault::Panic,
                (_, 4) => Fault::Fail(ErrorKind::Invalid),
                _ => Fault::Fail(ErrorKind::Retry),
            };
            self.target.fail_nth(kind, 1 + self.random.below(6), fault);
            self.faults += 1;
        }
        if self.random.chance(1) {
            self.store.fail_next_sync();
            self.faults += 1;
        }
    }

    async fn last_life(&mut self) -> Result<(), String> {
        // A planned failure of the next sync may still be open: one life may fall to it.
        for _ in 0..2 {
            let opened = self.open().await;
            if let Ok(sink) = opened
                && sink.stream(spec("a", 2)).await.is_ok()
                && within(sink.close(Duration::from_secs(20))).await.is_ok()
            {
                return Ok(());
            }
        }
        let sink = self.open().await.map_err(|error| error.to_string())?;
        within(sink.close(Duration::from_secs(20))).await.map(drop).map_err(|error| error.to_string())
    }

    fn look(&mut self) -> Result<Summary, standpipe_testkit::Violation<i64>> {
        for name in ["a", "b"] {
            for row in self.target.rows(&table(name)) {
                let Some(Value::Int8(id)) = row.value("id") else { panic!("{row:?}") };
                self.history.applied(&row.lane, id);
            }
        }
        for (_, letter) in self.target.dead_letters() {
            let text = String::from_utf8_lossy(&letter.row).into_owned();
            let id = text.split([':', ',']).nth(1).and_then(|id| id.parse().ok()).unwrap();
            self.history.dead_lettered(id);
        }
        self.history.check()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn random_runs_lose_and_double_nothing() {
    let (mut acknowledged, mut applied, mut letters, mut faults, mut lives) = (0, 0, 0, 0, 0);
    for seed in 0..SEEDS {
        let told = run(seed, None).await;
        let summary = told.outcome.unwrap_or_else(|violation| panic!("{violation}"));
        acknowledged += summary.acknowledged;
        applied += summary.applied;
        letters += summary.dead_lettered;
        faults += told.faults;
        lives += told.lives;
    }
    println!(
        "{SEEDS} seeds, {lives} lives, {faults} faults: acknowledged {acknowledged}, applied {applied}, \
         dead-lettered {letters}, lost 0, duplicated 0"
    );
    assert!(acknowledged > 10 * SEEDS && letters > SEEDS / 2, "{acknowledged} {letters}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn random_runs_find_targets_that_break_their_duties() {
    let mistakes = [
        Mistake::CommitWithoutLedger,
        Mistake::TruthlessResolve,
        Mistake::DropsRejects,
        Mistake::LettersAtOnce,
        Mistake::WritesAtOnce,
        Mistake::SwallowCommitError,
        Mistake::HalfCommit,
    ];
    for mistake in mistakes {
        let mut found = None;
        for seed in 0..SEEDS {
            if run(seed, Some(mistake)).await.outcome.is_err() {
                found = Some(seed);
                break;
            }
        }
        println!("{mistake:?} is found by seed {found:?}");
        assert!(found.is_some(), "{mistake:?}");
    }
}
