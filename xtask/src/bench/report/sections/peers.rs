use standpipe_harness::Kind;

use super::{Data, Panel, Section};
use crate::bench::{
    judge::median,
    peers::{Comparison, Contender, Role, comparisons},
    report::{
        html::table,
        svg::{Bar, Bars, From},
    },
    units,
};

const ABOUT: &str = "The same work through what else could be picked, round by round side by side. A bar to the right \
                     says how often as fast standpipe is as the contender, a bar to the left that the contender is \
                     faster; twice and half are as long as each other. <span class=\"key limit\">Limits</span> of the \
                     machine keep no promise: their bar is what a promise costs. <span class=\"key ours\">Ways of \
                     standpipe</span>, <span class=\"key peer\">peers</span>, <span class=\"key home\">home-made \
                     ways</span>. Strokes are 95% intervals; a bar whose interval holds 1 is pale, for it says nothing \
                     either way.";

pub(super) fn section(data: &Data) -> Section {
    let comparisons = data.peers.iter().flat_map(|record| comparisons(&record.results));
    let panels =
        comparisons.filter(|comparison| comparison.contenders.len() > 1).map(|one| panel(&one)).collect();
    Section::new("peers", "Ratios to peers", ABOUT, panels)
        .or_else("No peers were measured", "cargo xtask bench peers")
}

fn panel(comparison: &Comparison<'_>) -> Panel {
    let bars = comparison.contenders.iter().filter(|one| one.name != "standpipe").map(bar).collect();
    let holds =
        comparison.contenders.iter().filter_map(|one| one.figure).any(|series| series.kind == Kind::Memory);
    let (label, base) = if holds {
        ("holds … times as much as standpipe, logarithmic", "as much")
    } else {
        ("standpipe is … times as fast, logarithmic", "as fast")
    };
    let (title, label, base) = (comparison.name.to_owned(), label.to_owned(), base.to_owned());
    let svg = Bars { title, label, from: From::One, base, bars }.svg();
    let rows: Vec<_> = comparison.contenders.iter().map(row).collect();
    let head = [
        "contender",
        "is a",
        "median",
        "spread",
        "standpipe is (95% interval)",
        "p50",
        "p95",
        "p99",
        "through",
    ];
    let numbers = table(comparison.name, &head, 2, &rows);
    let ours = comparison.contenders.iter().find(|one| one.name == "standpipe").and_then(|one| one.figure);
    let ours = ours.map_or_else(
        || "standpipe has no figure here".to_owned(),
        |series| format!("standpipe: {}", units::value(median(&series.values), &series.unit)),
    );
    let about = format!("{}. {ours}.", comparison.work);
    Panel { title: comparison.name.to_owned(), about, svg, numbers }
}

fn bar(one: &Contender<'_>) -> Bar {
    let says = match one.ratio {
        Some(ratio) => ratio.told(),
        None if one.figure.is_some() => "no ratio".to_owned(),
        None => one.why_not().to_owned(),
    };
    let class = match one.role {
        Role::Limit => "limit",
        Role::Standpipe => "ours",
        Role::Peer => "peer",
        Role::Home => "home",
    };
    Bar {
        name: one.name.to_owned(),
        value: one.ratio.map(|ratio| ratio.median),
        ends: one.ratio.map(|ratio| (ratio.low, ratio.high)),
        tip: format!("{}, {}: standpipe is {says}. {}", one.name, one.role.told(), one.how),
        says,
        class,
        is_open: one.role != Role::Limit
            && one.ratio.is_some_and(|ratio| ratio.low < 1.0 && ratio.high > 1.0),
    }
}

fn row(one: &Contender<'_>) -> Vec<String> {
    let (value, spread) = match one.figure {
        Some(series) => {
            let middle = median(&series.values);
            (units::value(middle, &series.unit), units::spread(&series.values, middle))
        }
        None => (one.why_not().to_owned(), String::new()),
    };
    let percentile = |name: &str| {
        let series = one.measured.series(name);
        series.map_or_else(String::new, |series| units::value(median(&series.values), &series.unit))
    };
    vec![
        one.name.to_owned(),
        one.role.told().to_owned(),
        value,
        spread,
        one.ratio.map_or_else(String::new, |ratio| ratio.told()),
        one.ratio.map_or_else(String::new, |ratio| ratio.interval()),
        percentile("p50"),
        percentile("p95"),
        percentile("p99"),
        [one.how, one.measured.notes.first().map_or("", String::as_str)]
            .join(". ")
            .trim_end_matches(". ")
            .to_owned(),
    ]
}
