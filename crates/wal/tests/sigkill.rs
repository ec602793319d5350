//! A real process appends from threads and tasks at each durability and is killed at a random moment, again and again, on one
//! directory for each durability; what it had said to be durable is there.
//!
//! `KILLS=200 KILL_SEED=7 cargo test -p standpipe-wal --test sigkill -- --nocapture` for more than the twenty of every run.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout)]

mod common;

use std::{
    collections::{BTreeMap, HashMap},
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Child, Command, Stdio},
    sync::{Arc, mpsc},
    thread,
    time::{Duration, Instant},
};

use common::{PATIENCE, diary::Mark, read_all};
use rustix::process::{Pid, Signal, kill_process};
use standpipe_testkit::Random;
use standpipe_wal::{Dir, Durability, Log, Lsn, Record, Settings, Ticket, Wal, WalTicket, verify};

const LEVELS: [(&str, Durability); 4] = [
    ("group", Durability::Group),
    ("sync", Durability::Sync),
    ("periodic", Durability::Periodic(Duration::from_millis(2))),
    ("os", Durability::Os),
];
/// How many records a living process keeps behind the end.
const KEPT: u64 = 1500;

fn settings(level: usize) -> Settings {
    let durability = LEVELS[level].1;
    Settings { durability, segment_bytes: 128 << 10, size_bytes_max: 256 << 20, ..Settings::default() }
}

/// One process to be killed: appends until then, and says what is durable.
#[test]
#[ignore = "run, and killed, by the test of this file"]
fn child() {
    let Some(place) = std::env::var_os("STANDPIPE_PLACE") else { return };
    let number_of = |name: &str| std::env::var(name).unwrap().parse::<u32>().unwrap();
    let life = number_of("STANDPIPE_LIFE");
    let log = Arc::new(Wal::open(place, settings(number_of("STANDPIPE_LEVEL") as usize)).unwrap());
    for writer in 0..3 {
        let log = log.clone();
        thread::spawn(move || {
            for number in 0.. {
                let lsn = single(&log, life, writer, number).wait().unwrap();
                tell(&format!("a {life} {writer} {number} 1 {lsn}\n"));
            }
        });
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    for writer in 200..206 {
        let log = log.clone();
        runtime.spawn(async move {
            for number in 0.. {
                let lsn = single(&log, life, writer, number).await.unwrap();
                tell(&format!("a {life} {writer} {number} 1 {lsn}\n"));
            }
        });
    }
    batches(&log, life, 100);
}

fn single(log: &Wal, life: u32, writer: u32, number: u32) -> WalTicket {
    let record = Mark { life, writer, number, part: 0, parts: 1 }.record();
    log.append(Record::new(&[&record])).unwrap()
}

fn batches(log: &Wal, life: u32, writer: u32) {
    for number in 0.. {
        let parts = 2 + (number % 7) as u16;
        let records: Vec<_> =
            (0..parts).map(|part| Mark { life, writer, number, part, parts }.record()).collect();
        let slices: Vec<[&[u8]; 1]> = records.iter().map(|record| [record.as_slice()]).collect();
        let records: Vec<Record<'_>> = slices.iter().map(|parts| Record::new(parts)).collect();
        let last = log.append_batch(&records).unwrap().wait().unwrap();
        tell(&format!("a {life} {writer} {number} {parts} {last}\n"));
        if number % 16 == 15 && last.number() > KEPT {
            let floor = Lsn::new(last.number() - KEPT);
            tell(&format!("t {life} 0 0 0 {floor}\n"));
            log.truncate_before(floor).unwrap();
        }
    }
}

/// One line in one write, so that lines of several threads never mix. Whoever reads them may be gone: then this process goes.
fn tell(line: &str) {
    if std::io::stdout().write_all(line.as_bytes()).is_err() {
        std::process::exit(1);
    }
}

/// What a directory must hold, by all that was said.
#[derive(Default)]
struct Told {
    /// The last record of what was acknowledged, and whose it is.
    acknowledged: BTreeMap<u64, Mark>,
    /// What an opening showed.
    shown: BTreeMap<u64, Mark>,
    floor: u64,
}

#[derive(Debug, Default)]
struct Tally {
    kills: usize,
    acknowledged: usize,
    read: usize,
    lost: usize,
    doubled: usize,
    before_the_first: usize,
    stopped: usize,
}

impl Told {
    fn hear(&mut self, line: &str) -> usize {
        // The test harness may have begun the line.
        let words: Vec<&str> = line.rsplit("... ").next().unwrap_or(line).split(' ').collect();
        let [what @ ("a" | "t"), life, writer, number, parts, lsn] = words[..] else { return 0 };
        let lsn: u64 = lsn.parse().unwrap();
        if what == "t" {
            self.floor = self.floor.max(lsn);
            return 0;
        }
        let parts: u16 = parts.parse().unwrap();
        let word = |text: &str| text.parse::<u32>().unwrap();
        let mark =
            Mark { life: word(life), writer: word(writer), number: word(number), part: parts - 1, parts };
        assert_eq!(self.acknowledged.insert(lsn, mark), None, "{lsn} was acknowledged twice");
        usize::from(parts)
    }

    /// Opens what the dead left.
    fn check(&mut self, place: &Path, level: usize, tally: &mut Tally) {
        assert!(verify(&Dir::open_existing(place).unwrap()).unwrap().is_sound());
        let log = Wal::open(place, settings(level)).unwrap();
        let found = read_all(&log).unwrap();
        let mut whose = BTreeMap::new();
        let mut last_of: HashMap<(u32, u32), (u32, u16)> = HashMap::new();
        for (lsn, record) in &found {
            let mark = Mark::of(record).unwrap_or_else(|| panic!("record {lsn} is not whole"));
            assert_eq!(whose.insert(*lsn, mark), None, "{lsn} twice");
            let place = (mark.number, mark.part);
            match last_of.insert((mark.life, mark.writer), place) {
                // The first one of a writer that is left may be in the middle of a batch: whole segments are removed.
                Some(before) if before >= place => tally.doubled += 1,
                Some((number, part)) if number == mark.number => {
                    assert_eq!(part + 1, mark.part, "{lsn}: a batch has a hole");
                }
                Some((number, _)) => {
                    assert_eq!((number + 1, 0), place, "{lsn}: {mark:?} does not follow");
                }
                None => {}
            }
        }
        for ((life, writer), (number, part)) in last_of {
            let is_last = |mark: &&Mark| (mark.life, mark.writer, mark.number) == (life, writer, number);
            let parts = whose.values().find(is_last).unwrap().parts;
            assert_eq!(part + 1, parts, "the last batch of {writer} in life {life} is not whole");
        }
        for (lsn, mark) in self.acknowledged.range(self.floor..).chain(self.shown.range(self.floor..)) {
            if whose.get(lsn) != Some(mark) {
                println!("{} lost record {lsn}, {mark:?}: {:?}", LEVELS[level].0, whose.get(lsn));
                tally.lost += 1;
            }
        }
        tally.read += found.len();
        self.shown = whose;
        self.acknowledged.clear();
    }
}

fn spawn(place: &Path, level: usize, life: usize) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child", "--ignored", "--nocapture"])
        .env("STANDPIPE_PLACE", place)
        .env("STANDPIPE_LEVEL", level.to_string())
        .env("STANDPIPE_LIFE", life.to_string())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// One life, and its end. Returns what it said.
fn live_and_die(mut child: Child, random: &mut Random, tally: &mut Tally) -> Vec<String> {
    let output = BufReader::new(child.stdout.take().unwrap());
    let (begun, begins) = mpsc::channel();
    let reader = thread::spawn(move || {
        let mut lines = Vec::new();
        let mut output = output;
        let mut line = String::new();
        while output.read_line(&mut line).unwrap() > 0 {
            // The last line may have been cut off with its writer.
            if line.ends_with('\n') {
                lines.push(std::mem::take(&mut line).trim_end().to_owned());
            }
            if lines.len() == 5 {
                let _ = begun.send(());
            }
            line.clear();
        }
        lines
    });
    if random.chance(1) {
        // Also while it opens.
        let _ = begins.recv_timeout(Duration::from_micros(random.below(9_000)));
    } else {
        begins.recv_timeout(PATIENCE).expect("the process never began");
        // The moment of death is what is random here; nothing is waited for.
        let _ = begins.recv_timeout(Duration::from_micros(random.below(120_000)));
    }
    if random.chance(2) {
        // It stands still for a while, and its clock leaps.
        let id = Pid::from_child(&child);
        kill_process(id, Signal::STOP).unwrap();
        let _ = begins.recv_timeout(Duration::from_millis(30));
        kill_process(id, Signal::CONT).unwrap();
        let _ = begins.recv_timeout(Duration::from_millis(random.below(20)));
        tally.stopped += 1;
    }
    child.kill().unwrap();
    child.wait().unwrap();
    tally.kills += 1;
    reader.join().unwrap()
}

#[test]
fn kills_lose_and_double_nothing() {
    let number_of = |name: &str| std::env::var(name).ok().and_then(|number| number.parse::<u64>().ok());
    let (kills, seed) = (number_of("KILLS").unwrap_or(20), number_of("KILL_SEED").unwrap_or(1));
    let mut random = Random::new(seed);
    let mut tally = Tally::default();
    let began = Instant::now();
    for level in 0..LEVELS.len() {
        let place = tempfile::tempdir().unwrap();
        let mut told = Told::default();
        for life in 0..kills.div_ceil(LEVELS.len() as u64) as usize {
            let child = spawn(place.path(), level, life);
            let lines = live_and_die(child, &mut random, &mut tally);
            let said: usize = lines.iter().map(|line| told.hear(line)).sum();
            tally.before_the_first += usize::from(said == 0);
            tally.acknowledged += said;
            if place.path().read_dir().unwrap().next().is_some() {
                told.check(place.path(), level, &mut tally);
            }
        }
    }
    println!("{tally:?} in {:.1} s, seed {seed}", began.elapsed().as_secs_f64());
    assert_eq!((tally.lost, tally.doubled), (0, 0));
    assert!(tally.acknowledged > 20 * tally.kills, "hardly anything was written");
}
