//! What a CI job calls: `ab` on the quick set against the merge base, and `count`, within a stated time; one verdict.

use std::{
    fs::{self, OpenOptions},
    io::Write,
    path::{Path, PathBuf},
    time::Duration,
};

use clap::Args;

use super::{
    Ending,
    ab::{AbArgs, Builds, Compared, Pairs, git::Git, index_path, stretch, tone},
    args::Measuring,
    count,
    judge::Limits,
    record::Record,
    table::painted,
};
use crate::{Outcome, data};

/// The arguments of `bench ci`.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct CiArgs {
    /// What this tree is held against [default: where it left the branch that the change is for (GITHUB_BASE_REF),
    /// origin/main or main; on that branch itself the commit before]
    #[arg(long, value_name = "REV")]
    base: Option<String>,
    /// When no further pair of samples is begun; building comes before and is not counted
    #[arg(long, value_name = "DURATION", default_value = "20m", value_parser = stretch)]
    time_max: Duration,
    /// Pass when it is too noisy to say, which otherwise ends with 3
    #[arg(long)]
    allow_inconclusive: bool,
    /// Fail where valgrind is not installed
    #[arg(long)]
    require_count: bool,
    /// Also write the tables into this file
    #[arg(long, value_name = "FILE")]
    markdown: Option<PathBuf>,
    /// Only this group, or this workload; may be given again
    #[arg(long, value_name = "GROUP|WORKLOAD")]
    group: Vec<String>,
    /// Where the workloads write: what is measured is this filesystem
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    #[command(flatten)]
    limits: Limits,
}

const EXAMPLES: &str = "\
Examples:
  cargo xtask bench ci                               against the commit at which this branch began
  cargo xtask bench ci --base origin/main --time-max 30m --markdown summary.md

A ready job file is in docs/ci/.

Exit codes: 0 no regression, 1 a regression, 2 it could not be done, 3 too noisy to say (0 with
--allow-inconclusive), 130 interrupted";

pub(crate) fn run(args: &CiArgs) -> Result<Ending, String> {
    let base = match &args.base {
        Some(base) => base.clone(),
        None => merge_base(&Git::at(&data::root())?, std::env::var("GITHUB_BASE_REF").ok().as_deref())?,
    };
    if args.require_count && !count::is_possible() {
        return Err(count::MISSING.to_owned());
    }
    if let Some(path) = &args.markdown {
        // Before half an hour of measuring, not after it.
        Record::check_place(path)?;
    }
    let summary = measured(args, base);
    let (text, outcome) = match summary {
        Ok(summary) => {
            let verdict = summary.verdict(args.allow_inconclusive);
            println!("{}", summary.markdown);
            let failed = summary.failed.as_ref().map(|error| format!("```\n{error}\n```\n\n"));
            let text = format!(
                "## Benchmarks\n\n**{verdict}**\n\n{}{}\n",
                failed.unwrap_or_default(),
                summary.markdown
            );
            (text, summary.failed.map_or(Ok((summary.ending, verdict)), Err))
        }
        Err(error) => (format!("## Benchmarks\n\n**FAILED**\n\n```\n{error}\n```\n"), Err(error)),
    };
    if let Some(path) = &args.markdown {
        fs::write(path, &text).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    if let Some(path) = std::env::var_os("GITHUB_STEP_SUMMARY").filter(|path| !path.is_empty()) {
        appended(Path::new(&path), &text)?;
    }
    let (ending, verdict) = outcome?;
    println!("{}", painted(&verdict, tone(ending)));
    Ok(if ending == Ending::Noisy && args.allow_inconclusive { Ending::Fine } else { ending })
}

struct Summary {
    markdown: String,
    ending: Ending,
    sentences: Vec<String>,
    /// What erred in this tree. The rest was measured all the same.
    failed: Option<String>,
}

fn measured(args: &CiArgs, base: String) -> Result<Summary, String> {
    let ab = AbArgs {
        revision: base,
        measuring: Measuring {
            quick: true,
            group: args.group.clone(),
            dir: args.dir.clone(),
            ..Measuring::default()
        },
        set_base: Vec::new(),
        limits: args.limits,
        pairs: Pairs { time_max: Some(args.time_max), ..Pairs::default() },
    };
    let builds = Builds::of(&ab.revision)?;
    // The counts first: they take a minute, and the time of the pairs is over when it is over.
    let counted = if count::is_possible() {
        Some(count::hold(&builds, count::LIMIT_PERCENT, count::REPEAT)?)
    } else {
        None
    };
    let compared = Compared::of(&builds, &ab)?;

    let mut parts = vec![format!("base: {}  \nthis: {}", builds.base.source.name, builds.this.source.name)];
    let table = compared.table();
    if !table.is_empty() {
        parts.push(table.markdown());
    }
    parts.push(compared.lines().join("  \n"));
    let mut endings = vec![compared.ending()];
    let mut sentences = vec![format!("Measured: {}", compared.sentence())];
    match counted {
        Some(held) => {
            parts.push(held.table.markdown());
            endings.push(held.ending);
            sentences.push(format!("Counted: {}", held.sentence));
        }
        None => sentences.push(format!("Counted: SKIPPED: {}.", count::MISSING)),
    }
    let ending = worst(&endings);
    let failed = compared.outcome().err();
    Ok(Summary { markdown: parts.join("\n\n"), ending, sentences, failed })
}

impl Summary {
    /// One line.
    fn verdict(&self, allow_inconclusive: bool) -> String {
        let word = match self.ending {
            _ if self.failed.is_some() => "FAILED: workloads erred",
            Ending::Fine => "PASSED",
            Ending::Regression => "FAILED",
            Ending::Noisy if allow_inconclusive => "PASSED, although inconclusive",
            Ending::Noisy => "FAILED, as inconclusive",
        };
        format!("{word}. {}", self.sentences.join(" "))
    }
}

/// A regression decides, then noise.
fn worst(endings: &[Ending]) -> Ending {
    let of = |ending| endings.contains(&ending).then_some(ending);
    of(Ending::Regression).or(of(Ending::Noisy)).unwrap_or(Ending::Fine)
}

fn appended(path: &Path, text: &str) -> Outcome {
    let mut options = OpenOptions::new();
    let file = options.create(true).append(true).open(path);
    file.and_then(|mut file| file.write_all(text.as_bytes()))
        .map_err(|error| format!("{}: {error}", path.display()))
}

/// Where this tree left the branch that it is for. On that branch itself, what is not committed is held against the
/// last commit, and the last commit against the one before.
fn merge_base(git: &Git, target: Option<&str>) -> Result<String, String> {
    let head = git.source("HEAD")?;
    let is_changed = git.snapshot(&index_path()?)?.tree != head.tree;
    let named = target.filter(|name| !name.is_empty()).map(|name| format!("origin/{name}"));
    for branch in named.into_iter().chain(["origin/main".to_owned(), "main".to_owned()]) {
        let Ok(base) = git.ask(&["merge-base", "HEAD", &branch]) else { continue };
        if base != head.commit || is_changed {
            return Ok(base);
        }
    }
    git.source("HEAD~1").map(|source| source.commit).map_err(|_| {
        "there is no commit to be held against: fetch the whole history (fetch-depth: 0), or name one with --base".to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::{super::ab::git::tests::Repository, *};

    #[test]
    fn what_a_change_is_held_against() -> Result<(), String> {
        let repository = Repository::new("ci")?;
        let git = &repository.git;
        let first = git.source("HEAD")?;
        assert!(merge_base(git, None).is_err(), "a single commit");
        repository.write("kept", "two")?;
        assert_eq!(merge_base(git, None)?, first.commit, "what is not committed");
        let second = repository.commit("second")?;
        assert_eq!(merge_base(git, None)?, first.commit, "the main branch's last commit");
        git.ask(&["checkout", "--quiet", "-b", "change"])?;
        repository.write("kept", "three")?;
        repository.commit("third")?;
        repository.write("kept", "four")?;
        repository.commit("fourth")?;
        assert_eq!(merge_base(git, None)?, second.commit, "a branch's beginning");
        assert_eq!(merge_base(git, Some("nowhere"))?, second.commit);
        git.ask(&["update-ref", "refs/remotes/origin/release", &first.commit])?;
        assert_eq!(merge_base(git, Some("release"))?, first.commit, "the branch that it is for");
        Ok(())
    }

    #[test]
    fn a_regression_decides_then_noise() {
        use Ending::{Fine, Noisy, Regression};
        assert_eq!(worst(&[Fine, Noisy]), Noisy);
        assert_eq!(worst(&[Noisy, Regression]), Regression);
        assert_eq!(worst(&[Fine]), Fine);
    }
}
