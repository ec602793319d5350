//! Wrong usage of each option, and the help of each command.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use common::Place;

#[test]
fn each_option_says_what_is_wrong_with_its_value() {
    let place = Place::new();
    place.write("a.csv", "x\n1\n");
    for (option, expected) in [
        ("--to oracle:x", "knows sqlite:PATH"),
        ("--to t.db", "targets look like sqlite:PATH"),
        ("--format parquet", "possible values: csv, ndjson"),
        ("--types x", "write column=type"),
        ("--types x=quux", "types are bool, int2"),
        ("--types nope=int8 --create", "--types names nope, which the input does not have"),
        ("--delimiter ab", "a delimiter is one ASCII character"),
        ("--delimiter \"", "a quote or a line end cannot separate fields"),
        ("--mode merge", "possible values: append, upsert, replace, ignore"),
        ("--key nope --create", "--key names nope"),
        ("--mode replace --create", "add --key"),
        ("--lanes 0", "1..=1024"),
        ("--lanes 4 --create", "several lanes need a key"),
        ("--lanes 4 --key x --truncate --create", "--truncate works with one lane only"),
        ("--durability forever", "group, sync, periodic:DURATION, os"),
        ("--durability periodic:5", "needs a unit"),
        ("--durability periodic:0s", "is what `group` does"),
        ("--batch-rows 0", "is not in 1.."),
        ("--batch-rows many", "invalid digit"),
        ("--batch-bytes 4parsec", "no unit of size"),
        ("--flush-after 5", "needs a unit"),
        ("--memory 1k", "at least 1MiB"),
        ("--wal-max lots", "no size"),
        ("--workers 0", "1..=64"),
        ("--max-errors 200%", "no limit; try 1000 or 5%"),
        ("--max-errors -1", "unexpected argument"),
        ("--unknown-field drop", "possible values: reject, ignore, add"),
        ("--retry-for soon", "no duration"),
        ("--progress loud", "possible values: auto, bar, plain, json, none"),
        ("--frobnicate", "unexpected argument"),
        ("./a.csv", "a.csv is given twice"),
        ("b.csv --stream s", "--stream names one stream"),
    ] {
        let ran = place.load(&format!("a.csv {option}"));
        ran.report(option).exits(2).says(expected);
    }
    place.load("--create").exits(2).says("no input: name files, or - for standard input");
    place
        .load("- --create")
        .report("standard input without --table")
        .exits(2)
        .says("standard input: ")
        .says("give --table");
    place.load("- --table t --key x --lanes 2 --create").exits(2);
    place.run(&["load", "a.csv"]).exits(2).says("--to <URL>");
    place.run(&[]).exits(2).says("Usage: standpipe");
    // Nothing of all this wrote a row.
    assert!(
        !place.path("t.db").exists()
            || place.rows("select name from sqlite_schema where name = 'a'").is_empty()
    );
}

#[test]
fn a_log_that_is_limited_too_much() {
    let place = Place::new();
    let ran = place.load_piped("- --table a --create --wal-max 1MiB", "x\n1\n");
    ran.report("--wal-max 1MiB").exits(2).says("--wal-max is at least");
}

#[test]
fn the_help_of_every_command_has_examples_and_defaults() {
    let place = Place::new();
    let commands: [&[&str]; 9] = [
        &[],
        &["load"],
        &["wal"],
        &["wal", "inspect"],
        &["wal", "verify"],
        &["ledger"],
        &["dead-letters"],
        &["doctor"],
        &["completions"],
    ];
    for command in commands {
        let ran = place.run(&[command, &["--help"]].concat());
        ran.exits(0).says("Example").says(["standpipe", &command.join(" ")].join(" ").trim_end());
    }
    let help = place.run(&["load", "--help"]).out;
    let options = help.split("Options:").nth(1).unwrap().split("Examples:").next().unwrap();
    for option in options.split("\n      --").skip(1) {
        let name = option.split_whitespace().next().unwrap();
        assert!(name == "to" || option.contains("[default: "), "--{name} tells no default:\n{option}");
    }
}

#[test]
fn completions_for_each_shell() {
    let place = Place::new();
    for (shell, sign) in
        [("bash", "complete -F"), ("zsh", "#compdef standpipe"), ("fish", "complete -c standpipe")]
    {
        place.run(&["completions", shell]).exits(0).says(sign).says("dead-letter");
    }
    place.run(&["completions", "cmd"]).exits(2);
}
