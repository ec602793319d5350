//! What `bench` alone offers: on a terminal a menu, elsewhere the help.

use std::io::{self, BufRead, IsTerminal, Write};

use clap::{CommandFactory, Parser};

use super::{
    Command, baseline,
    table::{Tone, painted},
};

/// A line of the menu, as if it had been typed behind `cargo xtask bench`.
#[derive(Parser)]
#[command(name = "cargo xtask bench", bin_name = "cargo xtask bench", about = super::ABOUT, after_help = super::EXAMPLES)]
struct Line {
    #[command(subcommand)]
    command: Command,
}

struct Entry {
    says: &'static str,
    /// What is typed; `ask` stands behind it.
    words: &'static str,
    ask: Option<Ask>,
}

struct Ask {
    question: &'static str,
    default: &'static str,
}

const ENTRIES: &[Entry] = &[
    Entry { says: "run the quick set, under five minutes", words: "run", ask: None },
    Entry { says: "run everything, under thirty minutes", words: "run --full", ask: None },
    Entry { says: "list the workloads", words: "run --list", ask: None },
    Entry { says: "list the settings for --set", words: "run --list --settings", ask: None },
    Entry {
        says: "run one group, or one workload",
        words: "run --group",
        ask: Some(Ask { question: "group or workload", default: "log" }),
    },
    Entry {
        says: "keep today's figures under a name",
        words: "baseline",
        ask: Some(Ask { question: "name", default: "main" }),
    },
    Entry {
        says: "hold today against a baseline",
        words: "compare",
        ask: Some(Ask { question: "name", default: "main" }),
    },
    Entry {
        says: "hold this tree against a revision, side by side",
        words: "ab",
        ask: Some(Ask { question: "revision", default: "HEAD" }),
    },
    Entry { says: "count the instructions of the hot paths", words: "count", ask: None },
    Entry { says: "the same work through what else could be picked", words: "peers", ask: None },
    Entry { says: "one page with plots", words: "report", ask: None },
    Entry { says: "does it find planted slowdowns?", words: "selftest", ask: None },
    Entry {
        says: "remove old records, builds and scratch",
        words: "clean --keep",
        ask: Some(Ask { question: "records to keep", default: "10" }),
    },
];

/// What the user picks; `None` when that is nothing, or when nobody is there to ask and the help was printed.
pub(crate) fn choose() -> Result<Option<Command>, String> {
    if io::stdin().is_terminal() && io::stdout().is_terminal() {
        ask(&mut io::stdin().lock(), &mut io::stdout()).map_err(|error| format!("terminal: {error}"))
    } else {
        Line::command().print_help().map_err(|error| format!("help: {error}"))?;
        Ok(None)
    }
}

fn ask(input: &mut impl BufRead, output: &mut impl Write) -> io::Result<Option<Command>> {
    for (index, entry) in ENTRIES.iter().enumerate() {
        let words = painted(&format!("{:<22}", entry.words), Tone::Strong);
        writeln!(output, "{:>3}  {words} {}", index + 1, entry.says)?;
    }
    writeln!(output, "  q  quit")?;
    loop {
        let Some(answer) = answer(input, output, "a number, a whole line such as `run --group pool`, or q")?
        else {
            return Ok(None);
        };
        let line = match answer.parse::<usize>() {
            _ if answer == "q" => return Ok(None),
            _ if answer.is_empty() => continue,
            Ok(number) => match number.checked_sub(1).and_then(|index| ENTRIES.get(index)) {
                None => {
                    writeln!(output, "there are 1 to {}", ENTRIES.len())?;
                    continue;
                }
                Some(entry) => match entry.line(input, output)? {
                    None => return Ok(None),
                    Some(line) => line,
                },
            },
            Err(_) => answer,
        };
        match parsed(&line) {
            Ok(command) => {
                writeln!(output, "{}", painted(&format!("$ cargo xtask bench {line}"), Tone::Faint))?;
                return Ok(Some(command));
            }
            Err(error) => writeln!(output, "{}", error.render())?,
        }
    }
}

impl Entry {
    /// The line with what is asked for.
    fn line(&self, input: &mut impl BufRead, output: &mut impl Write) -> io::Result<Option<String>> {
        let Some(ask) = &self.ask else { return Ok(Some(self.words.to_owned())) };
        if self.words == "compare" {
            writeln!(output, "baselines: {}", baseline::names().join(", "))?;
        }
        let Some(given) = answer(input, output, &format!("{} [{}]", ask.question, ask.default))? else {
            return Ok(None);
        };
        let given = if given.is_empty() { ask.default } else { &given };
        Ok(Some(format!("{} {given}", self.words)))
    }
}

/// A line without its end; `None` at the end of the input.
fn answer(input: &mut impl BufRead, output: &mut impl Write, question: &str) -> io::Result<Option<String>> {
    write!(output, "{question}: ")?;
    output.flush()?;
    let mut line = String::new();
    let read = input.read_line(&mut line)?;
    Ok((read > 0).then(|| line.trim().to_owned()))
}

fn parsed(line: &str) -> Result<Command, clap::Error> {
    let words = ["cargo xtask bench"].into_iter().chain(line.split_whitespace());
    Line::try_parse_from(words).map(|line| line.command)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(typed: &str) -> (Option<Command>, String) {
        let mut output = Vec::new();
        let command = ask(&mut typed.as_bytes(), &mut output).expect("a buffer");
        (command, String::from_utf8_lossy(&output).into_owned())
    }

    #[test]
    fn every_entry_is_a_line_that_the_command_takes() {
        for entry in ENTRIES {
            let default = entry.ask.as_ref().map_or("", |ask| ask.default);
            let line = format!("{} {default}", entry.words);
            assert!(parsed(&line).is_ok(), "{line}");
        }
    }

    #[test]
    fn enter_takes_the_default_and_a_whole_line_is_taken_too() {
        let number = 1 + ENTRIES.iter().position(|entry| entry.words == "baseline").expect("there");
        let (command, output) = chosen(&format!("{number}\n\n"));
        assert!(matches!(command, Some(Command::Baseline(_))));
        assert!(output.contains("$ cargo xtask bench baseline main"), "{output}");
        let (command, _) = chosen("run --group pool\n");
        assert!(matches!(command, Some(Command::Run(_))));
    }

    #[test]
    fn what_is_wrong_is_said_and_asked_again() {
        let (command, output) = chosen("99\nrun --fall\n\n1\n");
        assert!(matches!(command, Some(Command::Run(_))));
        assert!(output.contains("there are 1 to") && output.contains("--fall"), "{output}");
    }

    #[test]
    fn q_and_the_end_of_the_input_end_it() {
        assert!(chosen("q\n").0.is_none());
        assert!(chosen("").0.is_none());
    }
}
