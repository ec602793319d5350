//! Conformance suite for [`Storage`] and [`File`]: each case is named for the duty that it checks and panics with it.
//!
//! What survives power loss cannot be seen from outside: see [`NOT_CHECKED`]. [`MemStorage`](crate::MemStorage) shows those
//! duties in its own tests; a storage on real disks has to argue them.

use std::io::ErrorKind;

use standpipe_log::{File, FileExt, Storage};

/// A case: its name, and the check. The check gets a fresh, empty directory.
pub type Case<S> = (&'static str, fn(&S));

/// The duties that no program can check without taking the power away.
pub const NOT_CHECKED: [&str; 4] = [
    "Storage 1: names survive power loss only after sync_dir",
    "Storage 5: a lock goes with its holder when the process is killed",
    "File 2: bytes are durable only after a sync",
    "File 3: nothing is concluded after a failed sync",
];

/// Runs every case, each on a directory that `make` makes for it, and returns how many there were.
///
/// # Panics
/// When a case finds a broken duty, with the duty's number and text.
pub fn run<S: Storage>(make: impl Fn() -> S) -> usize {
    let cases = cases::<S>();
    for (_, check) in &cases {
        check(&make());
    }
    cases.len()
}

/// Every case, for those who want to run them one by one.
#[must_use]
pub fn cases<S: Storage>() -> Vec<Case<S>> {
    vec![
        ("duty_1_sync_dir_keeps_names", duty_1_sync_dir_keeps_names),
        ("duty_2_create_refuses_existing", duty_2_create_refuses_existing),
        ("duty_2_open_refuses_missing", duty_2_open_refuses_missing),
        ("duty_3_rename_replaces", duty_3_rename_replaces),
        ("duty_4_list_names_every_file_once", duty_4_list_names_every_file_once),
        ("duty_5_second_lock_would_block", duty_5_second_lock_would_block),
        ("duty_6_names_are_one_component", duty_6_names_are_one_component),
        ("file_duty_1_written_bytes_are_read_at_once", file_duty_1_written_bytes_are_read_at_once),
        ("file_duty_2_syncs_keep_bytes", file_duty_2_syncs_keep_bytes),
        ("file_duty_4_counts_are_true", file_duty_4_counts_are_true),
        ("file_duty_5_allocate_makes_zeros", file_duty_5_allocate_makes_zeros),
    ]
}

/// Duty 1, as far as it is seen from outside: `sync_dir` succeeds and changes no name.
pub fn duty_1_sync_dir_keeps_names<S: Storage>(storage: &S) {
    const DUTY: &str = "Storage duty 1 (sync_dir makes names durable)";
    put(storage, "a", b"1", DUTY);
    put(storage, "b", b"2", DUTY);
    ok(storage.rename("a", "c"), DUTY);
    ok(storage.remove("b"), DUTY);
    ok(storage.sync_dir(), DUTY);
    assert_eq!(listed(storage, DUTY), ["c"], "{DUTY}: names after sync_dir");
    assert!(!storage.describe().is_empty(), "{DUTY}: describe() says nothing");
}

/// Duty 2: `create` refuses a name that exists, and leaves that file alone.
pub fn duty_2_create_refuses_existing<S: Storage>(storage: &S) {
    const DUTY: &str = "Storage duty 2 (create refuses a name that exists)";
    put(storage, "a", b"precious", DUTY);
    match storage.create("a") {
        Ok(_) => panic!("{DUTY}: it was made a second time"),
        Err(error) => assert_eq!(error.kind(), ErrorKind::AlreadyExists, "{DUTY}: {error}"),
    }
    assert_eq!(contents(storage, "a", DUTY), b"precious", "{DUTY}: the refused create touched the file");
}

/// Duty 2: `open` and `remove` refuse a name that doesn't exist; `open` does not make it.
pub fn duty_2_open_refuses_missing<S: Storage>(storage: &S) {
    const DUTY: &str = "Storage duty 2 (open refuses a name that doesn't exist)";
    match storage.open("a") {
        Ok(_) => panic!("{DUTY}: it was opened"),
        Err(error) => assert_eq!(error.kind(), ErrorKind::NotFound, "{DUTY}: {error}"),
    }
    match storage.remove("a") {
        Ok(()) => panic!("{DUTY}: it was removed"),
        Err(error) => assert_eq!(error.kind(), ErrorKind::NotFound, "{DUTY}: {error}"),
    }
    assert!(storage.rename("a", "b").is_err(), "{DUTY}: a missing file was renamed");
    assert!(listed(storage, DUTY).is_empty(), "{DUTY}: a refused call made a file");
}

/// Duty 3: `rename` puts a file in place of another; an open handle follows its file.
pub fn duty_3_rename_replaces<S: Storage>(storage: &S) {
    const DUTY: &str = "Storage duty 3 (rename replaces the new name's file)";
    put(storage, "old", b"old", DUTY);
    let new = put(storage, "new", b"new", DUTY);
    ok(storage.rename("new", "old"), DUTY);
    assert_eq!(contents(storage, "old", DUTY), b"new", "{DUTY}: the contents under the new name");
    assert_eq!(listed(storage, DUTY), ["old"], "{DUTY}: names");
    ok(new.write_all_at(b"NEW", 0), DUTY);
    assert_eq!(contents(storage, "old", DUTY), b"NEW", "{DUTY}: a handle lost its file");
}

/// Duty 4: `list` names every file once and nothing else.
pub fn duty_4_list_names_every_file_once<S: Storage>(storage: &S) {
    const DUTY: &str = "Storage duty 4 (list names every file once, and nothing else)";
    assert!(listed(storage, DUTY).is_empty(), "{DUTY}: a fresh directory is not empty");
    let lock = ok(storage.lock(), DUTY);
    let mut expected: Vec<String> = (0..40).map(|number| format!("segment-{number:03}")).collect();
    for name in &expected {
        put(storage, name, b"", DUTY);
    }
    ok(storage.remove("segment-007"), DUTY);
    expected.remove(7);
    assert_eq!(listed(storage, DUTY), expected, "{DUTY}");
    drop(lock);
}

/// Duty 5: a second lock fails with `WouldBlock` while the first lives, and is given once it is dropped.
pub fn duty_5_second_lock_would_block<S: Storage>(storage: &S) {
    const DUTY: &str = "Storage duty 5 (one lock at a time, gone with its holder)";
    for _ in 0..2 {
        let first = ok(storage.lock(), DUTY);
        match storage.lock() {
            Ok(_) => panic!("{DUTY}: a second lock was given"),
            Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock, "{DUTY}: {error}"),
        }
        drop(first);
    }
}

/// Duty 6: what is no single path component is refused by every call that takes a name.
pub fn duty_6_names_are_one_component<S: Storage>(storage: &S) {
    const DUTY: &str = "Storage duty 6 (a name is one path component)";
    put(storage, "a", b"", DUTY);
    for name in ["", ".", "..", "a/b", "/a", "../a", "a/"] {
        let refused = [
            storage.create(name).map(drop),
            storage.open(name).map(drop),
            storage.remove(name),
            storage.rename("a", name),
            storage.rename(name, "b"),
        ];
        for (call, result) in ["create", "open", "remove", "rename to", "rename from"].iter().zip(refused) {
            match result {
                Ok(()) => panic!("{DUTY}: {call} took {name:?}"),
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::InvalidInput, "{DUTY}: {call} {name:?}: {error}");
                }
            }
        }
    }
    assert_eq!(listed(storage, DUTY), ["a"], "{DUTY}: a refused call changed the directory");
}

/// Duty 1 of `File`: written bytes are read back at once, through any handle, also after the name is gone.
pub fn file_duty_1_written_bytes_are_read_at_once<S: Storage>(storage: &S) {
    const DUTY: &str = "File duty 1 (written bytes are read back at once)";
    let writer = ok(storage.create("a"), DUTY);
    let reader = ok(storage.open("a"), DUTY);
    write(&writer, b"hello world", 0, DUTY);
    write(&writer, b"W", 6, DUTY);
    for file in [&writer, &reader] {
        assert_eq!(read(file, 0, 64, DUTY), b"hello World", "{DUTY}");
    }
    write(&writer, b"!", 20, DUTY);
    assert_eq!(read(&reader, 11, 64, DUTY), b"\0\0\0\0\0\0\0\0\0!", "{DUTY}: a hole reads as zeros");
}

/// Duty 2 of `File`, as far as it is seen from outside: both syncs succeed and change nothing.
pub fn file_duty_2_syncs_keep_bytes<S: Storage>(storage: &S) {
    const DUTY: &str = "File duty 2 (a sync makes bytes durable)";
    let file = put(storage, "a", b"bytes", DUTY);
    ok(file.sync_data(), DUTY);
    ok(file.sync_all(), DUTY);
    assert_eq!(contents(storage, "a", DUTY), b"bytes", "{DUTY}: contents after a sync");
}

/// Duty 4 of `File`: the counts of `write_at` and `read_at` are true; 0 bytes are read only at the end.
pub fn file_duty_4_counts_are_true<S: Storage>(storage: &S) {
    const DUTY: &str = "File duty 4 (write_at and read_at say how much)";
    let file = ok(storage.create("a"), DUTY);
    assert!(ok(file.is_empty(), DUTY), "{DUTY}: a new file is not empty");
    let bytes: Vec<u8> = (0..5000_u32).map(|number| (number % 251) as u8 + 1).collect();
    let written = ok(file.write_at(&bytes, 0), DUTY);
    assert!(written > 0 && written <= bytes.len(), "{DUTY}: write_at says {written} of {}", bytes.len());
    assert_eq!(ok(file.len(), DUTY), written as u64, "{DUTY}: the length after a write of {written}");
    assert_eq!(read(&file, 0, 6000, DUTY), bytes[..written], "{DUTY}: what write_at said it took");
    let mut one = [0_u8; 1];
    assert_eq!(ok(file.read_at(&mut one, written as u64 - 1), DUTY), 1, "{DUTY}: the last byte");
    assert_eq!(ok(file.read_at(&mut one, written as u64), DUTY), 0, "{DUTY}: at the end");
    assert_eq!(ok(file.read_at(&mut one, written as u64 + 100), DUTY), 0, "{DUTY}: beyond the end");
}

/// Duty 5 of `File`: `allocate` lengthens with zeros, keeps what was written, never shrinks.
pub fn file_duty_5_allocate_makes_zeros<S: Storage>(storage: &S) {
    const DUTY: &str =
        "File duty 5 (allocate makes the file at least that long, zeros where nothing was written)";
    let file = put(storage, "a", b"bytes", DUTY);
    ok(file.allocate(4096), DUTY);
    assert_eq!(ok(file.len(), DUTY), 4096, "{DUTY}: the length");
    let mut expected = b"bytes".to_vec();
    expected.resize(4096, 0);
    assert_eq!(read(&file, 0, 8192, DUTY), expected, "{DUTY}: the contents");
    ok(file.allocate(10), DUTY);
    assert_eq!(ok(file.len(), DUTY), 4096, "{DUTY}: a smaller length shrank the file");
    write(&file, b"end", 4093, DUTY);
    assert_eq!(ok(file.len(), DUTY), 4096, "{DUTY}: a write inside changed the length");
}

#[track_caller]
fn ok<T>(result: std::io::Result<T>, duty: &str) -> T {
    match result {
        Ok(value) => value,
        Err(error) => panic!("{duty}: a call that must succeed failed: {error}"),
    }
}

fn put<S: Storage>(storage: &S, name: &str, bytes: &[u8], duty: &str) -> S::File {
    let file = ok(storage.create(name), duty);
    write(&file, bytes, 0, duty);
    file
}

fn write(file: &impl File, bytes: &[u8], offset: u64, duty: &str) {
    ok(file.write_all_at(bytes, offset), duty);
}

fn read(file: &impl File, offset: u64, most: usize, duty: &str) -> Vec<u8> {
    let mut bytes = vec![0; most];
    let filled = ok(file.read_full_at(&mut bytes, offset), duty);
    bytes.truncate(filled);
    bytes
}

fn contents<S: Storage>(storage: &S, name: &str, duty: &str) -> Vec<u8> {
    read(&ok(storage.open(name), duty), 0, 64 * 1024, duty)
}

fn listed<S: Storage>(storage: &S, duty: &str) -> Vec<String> {
    let mut names = ok(storage.list(), duty);
    names.sort();
    names
}
