//! Whether a planted slowdown is found, by the machinery that looks for real ones.

use std::{path::PathBuf, time::Duration};

use clap::Args;
use standpipe_harness::Listed;

use super::{
    Ending,
    ab::{
        Samples,
        pairs::{self, Duel, Plan, Taker},
        stretch, tone,
    },
    args::Measuring,
    catalogue::Catalogue,
    judge::Limits,
    run::built,
    table::{Cell, Table, Tone, painted},
    units,
};

/// The arguments of `bench selftest`.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct SelftestArgs {
    /// Of each slowdown
    #[arg(long, default_value_t = 20, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1000))]
    trials: u16,
    /// How long a sample measures
    #[arg(long, value_name = "DURATION", default_value = "30ms", value_parser = stretch)]
    span: Duration,
    /// Where the workloads write
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

const EXAMPLES: &str = "\
Examples:
  cargo xtask bench selftest
  cargo xtask bench selftest --trials 5

Exit codes: 0 each trial had the verdict that was wanted, 1 one had not, 2 it could not be done, 130 interrupted";

/// The limits that the percentages below are made for: those of every command, unless others are given to it.
const LIMITS: Limits = Limits { throughput_drop: 10.0, latency_rise: 15.0, memory_rise: 20.0 };
/// As `ab` has them.
const PAIRS: (usize, usize) = (super::ab::PAIRS as usize, super::ab::PAIRS_MAX as usize);
const TIME_MAX: Duration = Duration::from_secs(3600);

/// Of a workload, so many percent, and what must come of it.
struct Planted {
    workload: &'static str,
    percent: u32,
    wanted: Ending,
}

const PLANTED: [Planted; 8] = [
    Planted { workload: "selftest.throughput", percent: 0, wanted: Ending::Fine },
    Planted { workload: "selftest.throughput", percent: 5, wanted: Ending::Fine },
    Planted { workload: "selftest.throughput", percent: 12, wanted: Ending::Regression },
    Planted { workload: "selftest.throughput", percent: 20, wanted: Ending::Regression },
    Planted { workload: "selftest.latency", percent: 0, wanted: Ending::Fine },
    Planted { workload: "selftest.latency", percent: 10, wanted: Ending::Fine },
    Planted { workload: "selftest.latency", percent: 18, wanted: Ending::Regression },
    Planted { workload: "selftest.latency", percent: 30, wanted: Ending::Regression },
];

pub(crate) fn run(args: &SelftestArgs) -> Result<Ending, String> {
    let (build, catalogue, _programs) = built()?;
    let measuring = Measuring { span: Some(args.span), dir: args.dir.clone(), ..Measuring::default() };
    let (_scratch, sampler) = measuring.sampler()?;
    let plan = Plan::new(PAIRS.0, PAIRS.1, TIME_MAX);

    // All trials are interleaved, as the workloads of `ab` are: what disturbs one stretch of time meets all slowdowns.
    let (mut duels, mut samplers) = (Vec::new(), Vec::new());
    for _ in 0..args.trials {
        for planted in &PLANTED {
            duels.push(Duel::new(find(&catalogue, planted.workload)?));
            samplers.push([0, planted.percent].map(|percent| {
                let mut sampler = sampler.clone();
                sampler.set.push(format!("selftest.slowdown={percent}"));
                sampler
            }));
        }
    }
    println!(
        "{} trials of each slowdown, samples of {} ms, {} to {} pairs each.",
        args.trials,
        args.span.as_millis(),
        plan.least,
        plan.most
    );
    let mut samples = Samples::new([&build, &build], samplers, &plan);
    let is_time_over = pairs::run(&mut duels, &plan, &LIMITS, &mut samples)?;
    let took = samples.elapsed();
    // The bar goes before the table comes.
    drop(samples);
    if let Some((_, error)) = duels.iter().find_map(|duel| duel.failed.as_ref()) {
        return Err(error.clone());
    }

    let rows: Vec<Row> = PLANTED
        .iter()
        .enumerate()
        .map(|(index, planted)| {
            let of_it = duels.iter().skip(index).step_by(PLANTED.len());
            Row::of(planted, &plan, of_it)
        })
        .collect();
    println!("{}", confusion(&rows).shown());
    if is_time_over {
        println!("The time ({}) ended it.", units::duration(TIME_MAX));
    }
    let wrong: usize = rows.iter().map(Row::wrong).sum();
    let ending = if wrong == 0 { Ending::Fine } else { Ending::Regression };
    let (trials, took) = (duels.len(), units::duration(took));
    let sentence = match wrong {
        0 => format!("FINE: {trials} trials in {took}, each with the verdict that was wanted."),
        wrong => format!("FAILED: {wrong} of {trials} trials in {took} had another verdict than was wanted."),
    };
    println!("{}", painted(&sentence, tone(ending)));
    Ok(ending)
}

fn find(catalogue: &Catalogue, name: &str) -> Result<Listed, String> {
    let found = catalogue.workloads.iter().find(|one| one.name == name);
    found.cloned().ok_or_else(|| format!("{name}: there is no such workload"))
}

/// What came of the trials of one slowdown.
struct Row {
    workload: &'static str,
    percent: u32,
    wanted: Ending,
    fine: usize,
    noisy: usize,
    regression: usize,
    /// Of all trials, in all.
    pairs: usize,
    /// The least, the median and the most change that a trial saw in the figure that moved most.
    seen: [f64; 3],
}

impl Row {
    fn of<'a>(planted: &Planted, plan: &Plan, duels: impl Iterator<Item = &'a Duel>) -> Self {
        let Planted { workload, percent, wanted } = *planted;
        let (mut endings, mut seen, mut pairs) = (Vec::new(), Vec::new(), 0);
        for duel in duels {
            let verdicts = duel.verdicts(plan, &LIMITS);
            endings.push(verdicts.ending());
            seen.extend(verdicts.judged.iter().map(|one| one.change.median).reduce(f64::max));
            pairs += duel.pairs;
        }
        seen.sort_by(f64::total_cmp);
        let at = |index: usize| seen.get(index).copied().unwrap_or(f64::NAN);
        let count = |ending| endings.iter().filter(|one| **one == ending).count();
        Row {
            workload,
            percent,
            wanted,
            fine: count(Ending::Fine),
            noisy: count(Ending::Noisy),
            regression: count(Ending::Regression),
            pairs,
            seen: [at(0), at(seen.len() / 2), at(seen.len().saturating_sub(1))],
        }
    }

    /// Trials with another verdict than the wanted one. Noisy is wrong too: it fails a CI job that had nothing to
    /// fail for, and it catches nothing.
    fn wrong(&self) -> usize {
        let right = match self.wanted {
            Ending::Fine => self.fine,
            Ending::Noisy => self.noisy,
            Ending::Regression => self.regression,
        };
        self.fine + self.noisy + self.regression - right
    }
}

/// Planted against found.
fn confusion(rows: &[Row]) -> Table {
    let head = ["workload", "planted", "fine", "too noisy", "regression", "wanted", "", "seen", "pairs"];
    let mut table = Table::new(head);
    for column in [1, 2, 3, 4, 8] {
        table = table.right(column);
    }
    for row in rows {
        let wanted = if row.wanted == Ending::Fine { "fine" } else { "regression" };
        let ok = match row.wrong() {
            0 => Cell::from("ok").tone(Tone::Good),
            wrong => Cell::from(format!("{wrong} WRONG")).tone(Tone::Bad),
        };
        let trials = (row.fine + row.noisy + row.regression).max(1);
        table.row([
            Cell::from(row.workload),
            format!("{}%", row.percent).into(),
            row.fine.to_string().into(),
            row.noisy.to_string().into(),
            row.regression.to_string().into(),
            wanted.into(),
            ok,
            Cell::from(row.seen.map(units::signed_percent).join(" ")).tone(Tone::Faint),
            format!("{:.1}", row.pairs as f64 / trials as f64).into(),
        ]);
    }
    table
}

#[cfg(test)]
mod tests {
    use standpipe_harness::{Driver, Figure, Sample};

    use super::*;

    fn duel(factors: [f64; 6]) -> Duel {
        let mut duel = Duel::new(Listed {
            name: "selftest.latency".to_owned(),
            group: "selftest".to_owned(),
            measures: String::new(),
            quick: false,
            revision: 1,
            driver: Driver::Scenario,
        });
        for factor in factors {
            duel.base.add(Sample::of([Figure::latency_us("p50", 100.0)]));
            duel.this.add(Sample::of([Figure::latency_us("p50", 100.0 * factor)]));
            duel.pairs += 1;
            duel.foreign_cores.push(0.0);
        }
        duel
    }

    #[test]
    fn what_is_found_is_counted_and_what_is_not_is_wrong() {
        let plan = Plan::new(6, 6, TIME_MAX);
        let duels = [duel([1.18; 6]), duel([1.0; 6]), duel([0.5, 2.0, 0.6, 1.5, 1.0, 1.2])];
        let row = Row::of(&PLANTED[6], &plan, duels.iter());
        assert_eq!((row.fine, row.noisy, row.regression, row.wrong()), (1, 1, 1, 2));
        let row = Row::of(&PLANTED[5], &plan, duels.iter());
        assert_eq!((row.wrong(), row.pairs), (2, 18));
        let text = confusion(&[row]).markdown();
        assert!(text.contains("2 WRONG") && text.contains("10%"), "{text}");
    }
}
