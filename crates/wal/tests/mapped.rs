//! Mapped replay against read replay: the same records, the same verdict on damage, and no SIGBUS from a file that is cut
//! short (row L13 of `docs/known-failures.md`). `cargo test -p standpipe-wal --features mmap,planted --test mapped`
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::{fs, io, path::Path};

use common::{batch, payload, small};
use standpipe_testkit::Random;
use standpipe_wal::{
    Compression, Dir, Log, LogError, Lsn, Record, Replay, ReplayError, Replayed, Settings, Ticket, Wal,
    inspect,
};

type Records = Vec<(u64, Vec<u8>)>;

fn settings(segment_bytes: u64, compression: Compression) -> Settings {
    // Every opening draws other numbers, as processes do.
    let entropy = Settings::default().entropy;
    Settings { segment_bytes, compression, entropy, record_bytes_max: 1 << 20, ..small() }
}

/// A closed log of several lives, in segments of all sizes up to this.
fn fill(path: &Path, seed: u64, bytes: usize, settings: impl Fn() -> Settings) {
    let mut random = Random::new(seed);
    for life in 0..3 {
        let log = Wal::open(path, settings()).unwrap();
        let mut left = bytes / 3;
        while left > 0 {
            let several: Vec<_> = (0..1 + random.below(60))
                .map(|at| {
                    let bytes = payload(life * 1000 + at, random.below(900) as usize);
                    if random.below(2) == 0 { bytes } else { bytes.repeat(4) }
                })
                .collect();
            left = left.saturating_sub(several.iter().map(Vec::len).sum());
            match random.below(20) {
                0 => drop(log.pin(b"key", &several[0]).unwrap().wait().unwrap()),
                1 => log.advance_to(Lsn::new(log.end().number() + random.below(50))).unwrap(),
                2 => drop(log.append(Record::new(&[&several[0]])).unwrap().wait().unwrap()),
                _ => drop(batch(&log, &several).unwrap()),
            }
        }
        log.close().unwrap();
    }
}

/// What a replay from a number on delivers, and how it ends. `seen` hears of each record.
fn replay(
    path: &Path,
    from: Option<Lsn>,
    how: fn(Replay<'_, Dir>) -> Replay<'_, Dir>,
    mut seen: impl FnMut(Lsn),
) -> (Records, Result<Replayed, ReplayError<io::Error>>) {
    let recovering = Wal::recover(path, settings(1 << 20, Compression::None)).unwrap();
    let mut records = Vec::new();
    let ended = how(recovering.replay(from.unwrap_or(recovering.start()))).each(|entry| {
        seen(entry.lsn);
        records.push((entry.lsn.number(), entry.payload.to_vec()));
        Ok(())
    });
    (records, ended)
}

fn read(replay: Replay<'_, Dir>) -> Replay<'_, Dir> {
    replay
}

fn mapped(replay: Replay<'_, Dir>) -> Replay<'_, Dir> {
    replay.mapped()
}

#[test]
fn both_ways_give_the_same_records() {
    for seed in 0..12 {
        let place = tempfile::tempdir().unwrap();
        let compression = [Compression::None, Compression::lz4()][seed as usize % 2];
        let segment_bytes = [16 << 10, 256 << 10, 4 << 20][seed as usize % 3];
        fill(place.path(), seed, 3 << 20, || settings(segment_bytes, compression));
        let (expected, ended) = replay(place.path(), None, read, |_| {});
        ended.unwrap();
        assert!(expected.len() > 1000, "{}", expected.len());
        for at in [0, 1, expected.len() / 3, expected.len() / 2, expected.len() - 1] {
            let from = Some(Lsn::new(expected[at].0));
            let (found, ended) = replay(place.path(), from, mapped, |_| {});
            assert_eq!(ended.unwrap().records, (expected.len() - at) as u64, "seed {seed} from {at}");
            assert!(found == expected[at..], "seed {seed} from {at}");
        }
    }
}

#[test]
fn every_way_to_apply_takes_a_mapped_log() {
    let place = tempfile::tempdir().unwrap();
    fill(place.path(), 77, 6 << 20, || settings(1 << 20, Compression::lz4()));
    let (expected, ended) = replay(place.path(), None, read, |_| {});
    ended.unwrap();
    let recovering = Wal::recover(place.path(), settings(1 << 20, Compression::None)).unwrap();
    let mapped = || recovering.replay(recovering.start()).workers(3).mapped();
    let mut found = Vec::new();
    let told = mapped().batches(|entries| {
        found.extend(entries.iter().map(|entry| (entry.lsn.number(), entry.payload.to_vec())));
        Ok::<(), io::Error>(())
    });
    assert_eq!(told.unwrap().records, expected.len() as u64);
    assert!(found == expected);
    let all = std::sync::Mutex::new(Vec::new());
    let told = mapped().by_key(
        |entry| Some(entry.lsn.number().into()),
        |entry| {
            all.lock().unwrap().push((entry.lsn.number(), entry.payload.to_vec()));
            Ok::<(), io::Error>(())
        },
    );
    assert_eq!(told.unwrap().records, expected.len() as u64);
    let mut all = all.into_inner().unwrap();
    all.sort();
    assert!(all == expected);
}

/// The name and the length in use of the longest segment that has a successor, and its first number.
fn longest(path: &Path) -> (String, u64, Lsn) {
    let found = inspect(&Dir::open_existing(path).unwrap()).unwrap();
    let sealed = &found.segments[..found.segments.len() - 1];
    let longest = sealed.iter().max_by_key(|segment| segment.used_bytes).unwrap();
    (longest.name.clone(), longest.used_bytes, longest.base)
}

#[test]
fn damage_is_told_as_by_reading() {
    let place = tempfile::tempdir().unwrap();
    fill(place.path(), 5, 3 << 20, || settings(1 << 20, Compression::lz4()));
    let (name, used_bytes, _) = longest(place.path());
    let file = place.path().join(name);
    let sound = fs::read(&file).unwrap();
    let mut random = Random::new(9);
    for _ in 0..40 {
        // Behind the first frames, which opening looks at.
        let at = (200_000 + random.below(used_bytes - 200_000)) as usize;
        let mut damaged = sound.clone();
        damaged[at] ^= 1 << random.below(8);
        fs::write(&file, damaged).unwrap();
        let (expected, said) = replay(place.path(), None, read, |_| {});
        let (found, told) = replay(place.path(), None, mapped, |_| {});
        assert!(found == expected, "byte {at}");
        assert_eq!(format!("{told:?}"), format!("{said:?}"), "byte {at}");
    }
}

/// Cuts a segment when one of its first records is delivered; how that ends.
fn cut_under(path: &Path, how: fn(Replay<'_, Dir>) -> Replay<'_, Dir>) -> (Records, String) {
    let (name, used_bytes, base) = longest(path);
    let file = path.join(name);
    let sound = fs::read(&file).unwrap();
    assert!(used_bytes > 4 << 20, "{used_bytes}");
    let (found, ended) = replay(path, None, how, |lsn| {
        if lsn == base {
            fs::OpenOptions::new().write(true).open(&file).unwrap().set_len(2_500_000).unwrap();
        }
    });
    fs::write(&file, sound).unwrap();
    assert!(matches!(&ended, Err(ReplayError::Log(LogError::Corrupt { .. }))), "{ended:?}");
    (found, format!("{ended:?}"))
}

#[test]
fn l13_a_file_cut_short_under_a_mapping_is_reported() {
    let place = tempfile::tempdir().unwrap();
    fill(place.path(), 6, 48 << 20, || settings(16 << 20, Compression::None));
    let (expected, said) = cut_under(place.path(), read);
    let (found, told) = cut_under(place.path(), mapped);
    assert_eq!(told, said);
    assert!(found == expected);
}

#[test]
fn l13_nobody_truncates_or_recycles_under_a_mapping() {
    let place = tempfile::tempdir().unwrap();
    fill(place.path(), 8, 3 << 20, || settings(256 << 10, Compression::None));
    let (expected, ended) = replay(place.path(), None, read, |_| {});
    ended.unwrap();
    let (found, ended) = replay(place.path(), None, mapped, |_| {
        // The one who could is refused, whenever he comes.
        let refused = Wal::open(place.path(), small()).unwrap_err();
        assert!(matches!(refused, LogError::InUse { .. }), "{refused}");
    });
    ended.unwrap();
    assert!(found == expected);
    // And once the replay is over, he may.
    let log = Wal::open(place.path(), settings(256 << 10, Compression::None)).unwrap();
    log.truncate_before(log.end()).unwrap();
    assert_eq!(log.start(), log.end());
}

/// That the check finds something: without asking first, the process dies.
#[cfg(feature = "planted")]
mod planted {
    use std::{env, os::unix::process::ExitStatusExt, process::Command};

    use standpipe_wal::planted::{Plant, plant};

    const CHILD: &str = "STANDPIPE_L13_PLACE";
    const SIGBUS: i32 = 7;

    #[test]
    fn l13_an_unasked_mapping_is_found() {
        let place = tempfile::tempdir().unwrap();
        super::fill(place.path(), 6, 48 << 20, || {
            super::settings(16 << 20, standpipe_wal::Compression::None)
        });
        let mut child = Command::new(env::current_exe().unwrap());
        child.args(["--exact", "planted::child", "--ignored", "--test-threads=1"]);
        let ended = child.env(CHILD, place.path()).output().unwrap();
        assert_eq!(ended.status.signal(), Some(SIGBUS), "{ended:?}");
    }

    #[test]
    #[ignore = "what the test above runs in a process of its own"]
    fn child() {
        let place = env::var_os(CHILD).expect("run by the test above");
        plant(Some(Plant::TrustsMappings));
        super::cut_under(place.as_ref(), super::mapped);
    }
}
