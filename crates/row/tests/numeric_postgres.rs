//! A PostgreSQL server reads the same numbers, sends the same bytes, and takes the tuples of a block untouched.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr)] // A skipped test says so.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;

use standpipe_core::{Block, Column, Schema, Type};
use standpipe_row::{BlockBuilder, NonFinite, Numeric, Tuples, Value, parse_numeric};

/// The server's address, unless there is none: then this says so and counts it.
fn server() -> Option<String> {
    let why = match std::env::var("STANDPIPE_TEST_POSTGRES") {
        Ok(url) if Command::new("psql").arg("--version").stdout(Stdio::null()).status().is_ok() => {
            return Some(url);
        }
        Ok(_) => "there is no psql",
        Err(_) => "STANDPIPE_TEST_POSTGRES is not set",
    };
    let line = format!("skipped: {why}: run 'cargo xtask test', or 'eval \"$(cargo xtask services env)\"'\n");
    eprint!("{line}");
    if let Some(path) = std::env::var_os("STANDPIPE_TEST_SKIPS") {
        let mut skips = std::fs::OpenOptions::new().append(true).create(true).open(path).unwrap();
        skips.write_all(line.as_bytes()).unwrap();
    }
    None
}

/// What psql prints for a script that is one session.
fn psql(url: &str, script: String) -> String {
    let mut child = Command::new("psql")
        .args([url, "-qAtX", "-v", "ON_ERROR_STOP=1"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let writer = std::thread::spawn(move || stdin.write_all(script.as_bytes()));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    assert!(output.status.success(), "psql failed");
    String::from_utf8(output.stdout).unwrap()
}

/// Numbers of a kind that errors are made of, the same in each run (splitmix64).
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % bound as u64) as usize
    }

    fn digits(&mut self, most: usize) -> String {
        let runs = self.below(4) + 1;
        let mut digits = String::new();
        for _ in 0..runs {
            // Long runs of one digit find the ends of groups.
            let digit = ["0", "0", "9", "1", "5"][self.below(5)];
            digits += &digit.repeat(self.below(most / 4 + 1));
            digits += &self.below(100_000).to_string();
        }
        digits.truncate(self.below(most) + 1);
        digits
    }

    fn number(&mut self) -> String {
        let sign = ["", "", "-", "+"][self.below(4)];
        let mut text = format!("{sign}{}", self.digits(40));
        if self.below(3) > 0 {
            text = format!("{text}.{}", self.digits(40));
        }
        if self.below(3) == 0 {
            text = format!("{text}{}{}", ["e", "E-", "e+"][self.below(3)], self.below(300));
        }
        text
    }

    /// Mostly none.
    fn nonsense(&mut self) -> String {
        (0..self.below(7))
            .map(|_| ["0", "1", "9", ".", "-", "+", "e", "E5", "NaN", "inf", "inity"][self.below(11)])
            .collect()
    }
}

fn spellings() -> Vec<String> {
    let mut random = Random(6);
    let mut texts: Vec<String> = (0..6_000).map(|_| random.number()).collect();
    texts.extend((0..4_000).map(|_| random.nonsense()));
    let long = |digit: &str, times: usize| digit.repeat(times);
    texts.extend([
        "0e1073741822".to_owned(),
        "0e1073741824000".to_owned(),
        "1e131071".to_owned(),
        "1e131072".to_owned(),
        "-9.5e131071".to_owned(),
        "1e-16383".to_owned(),
        "1e-16384".to_owned(),
        "0e-16383".to_owned(),
        "0e-16384".to_owned(),
        "1.0e-16383".to_owned(),
        format!("{}7", long("0", 140_000)),
        long("9", 131_072),
        long("9", 131_073),
        format!("{}.{}", long("9", 131_072), long("9", 16_383)),
        format!("0.{}", long("0", 16_383)),
        format!("0.{}", long("0", 16_384)),
        format!("1{}e-20000", long("0", 20_000)),
    ]);
    texts
}

#[test]
fn every_spelling_means_the_same_to_the_server() {
    let Some(url) = server() else { return };
    let texts = spellings();
    let mut script = "create function pg_temp.read(t text) returns text language plpgsql as $$ begin
        return encode(numeric_send(t::numeric), 'hex') || ' ' || t::numeric::text;
        exception when others then return sqlstate; end $$;
        create temp table spelled (id int, t text);
        copy spelled from stdin;\n"
        .to_owned();
    for (id, text) in texts.iter().enumerate() {
        script += &format!("{id}\t{text}\n");
    }
    script += "\\.\nselect pg_temp.read(t) from spelled order by id;\n";
    let told = psql(&url, script);
    let told: Vec<&str> = told.lines().collect();
    assert_eq!(told.len(), texts.len());
    let mut taken = 0;
    for (text, told) in texts.iter().zip(told) {
        let mut bytes = Vec::new();
        let ours = match parse_numeric(text.as_bytes(), &mut bytes) {
            Ok(()) => {
                taken += 1;
                let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
                format!("{hex} {}", Numeric::new(&bytes).unwrap())
            }
            Err("a number") => "22P02".to_owned(),
            Err(_) => "22003".to_owned(),
        };
        assert!(ours == told, "{text:.200}: {ours:.200} here, {told:.200} there");
    }
    assert!((6_000..9_000).contains(&taken), "{taken} of {} are numbers", texts.len());
}

/// A file of COPY BINARY around the tuples, as they are.
fn copy_file(block: &Block, name: &str) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}", std::process::id()));
    let file = [b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0", &block.tuples[..], &[0xff, 0xff]].concat();
    std::fs::write(&path, file).unwrap();
    path
}

#[test]
fn the_tuples_of_a_block_are_copied_untouched_both_ways() {
    let Some(url) = server() else { return };
    let schema = Schema::new(vec![Column::new("id", Type::Int4), Column::new("n", Type::Numeric)]).unwrap();
    let mut builder = BlockBuilder::new(Arc::new(schema));
    builder.set_non_finite(NonFinite::Allow);
    for (id, text) in (0..).zip(spellings()) {
        let _ = builder.begin_row().int(id).parse(text.as_bytes()).end_row();
    }
    let block = builder.finish();
    assert!(block.rows > 6_000);
    let sent = copy_file(&block, "sent");
    let back = sent.with_extension("back");
    let told = psql(
        &url,
        format!(
            "create temp table t (id int4, n numeric);
            \\copy t from '{}' with (format binary)
            \\copy (select * from t order by id) to '{}' with (format binary)
            select n from t order by id;\n",
            sent.display(),
            back.display()
        ),
    );
    assert!(
        std::fs::read(&sent).unwrap() == std::fs::read(&back).unwrap(),
        "the server sends other bytes than it got"
    );
    let mut lines = told.lines();
    for tuple in Tuples::new(&block) {
        let Some(Ok(Value::Numeric(number))) = tuple.unwrap().fields().nth(1).map(|field| field.value())
        else {
            panic!("a numeric");
        };
        assert_eq!(lines.next().unwrap(), number.to_string());
    }
    assert_eq!(lines.next(), None);
    for path in [sent, back] {
        std::fs::remove_file(path).unwrap();
    }
}
