//! The page: one file, without a script and without anything that is fetched.

use std::fmt::Write;

use super::{data::Data, html::escaped, sections};
use crate::bench::{date, record::Record};

const STYLE: &str = include_str!("style.css");

/// What the words on the page mean.
const WORDS: [(&str, &str); 7] = [
    (
        "sample, round",
        "A sample is one run of one workload in a process of its own. A round takes one sample of each workload, so that what the machine does to a minute is shared by all.",
    ),
    (
        "median, spread",
        "Figures are medians of the rounds. ± is half of what lies between the least and the most round, as a share of the median.",
    ),
    (
        "p50, p95, p99, p99.9, max",
        "Half, 95 of 100 and so on of the operations took less than this; max is the slowest of all. Counted from the moment at which the operation was meant to start.",
    ),
    (
        "open loop, closed loop",
        "Open: operations start at a stated rate, whatever those before take, as users come. Closed: the next starts when the one before has ended.",
    ),
    (
        "durability",
        "What an acknowledged record survives. group and sync: loss of power (group shares one fdatasync among writers); periodic: it may lose the last moments; os: the death of the process only.",
    ),
    (
        "told only",
        "A figure that is shown and not held against a limit: too rare an event, or no cost of ours.",
    ),
    (
        "standpipe is 2.00x",
        "It does twice the work in the same time, or takes half the time. The median of the ratios of each round, with the 95% interval of that median (bootstrap).",
    ),
];

/// The whole page.
pub(super) fn html(data: &Data) -> String {
    let sections = sections::all(data);
    let links: String =
        sections.iter().map(|one| format!("<li><a href=\"#{}\">{}</a></li>\n", one.id, one.title)).collect();
    let body: String = sections.iter().map(sections::Section::html).collect();
    let words: String =
        WORDS.iter().map(|(word, means)| format!("<dt>{word}</dt><dd>{means}</dd>\n")).collect();
    let missing: String = data
        .missing()
        .iter()
        .map(|text| format!("<p class=\"missing\">There is {}</p>\n", escaped(text)))
        .collect();
    let (origin, commands) = (origin(data), commands(data));
    let figures = sections::figures(data);
    format!(
        r##"<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>standpipe, measured</title>
<style>
{STYLE}</style>
</head>
<body>
<a class="skip" href="#writers">To the plots</a>
<header>
<h1>standpipe, measured</h1>
{origin}{missing}<nav aria-label="Parts of this page"><ul>
{links}<li><a href="#figures">All figures</a></li>
<li><a href="#words">Words and commands</a></li>
</ul></nav>
</header>
<main>
{body}<section aria-labelledby="figures">
<h2 id="figures">All figures</h2>
<p>Every figure of the run, and what each workload measures.</p>
{figures}</section>
<section aria-labelledby="words">
<h2 id="words">Words and commands</h2>
<dl class="words">
{words}</dl>
<p>This page was made by:</p>
<pre><code>{commands}</code></pre>
</section>
</main>
</body>
</html>
"##
    )
}

/// Where, when and of what.
fn origin(data: &Data) -> String {
    let mut text = String::new();
    for (what, record) in [("Run", &data.run), ("Peers", &data.peers)] {
        let Some(record) = record else { continue };
        let Record { commit, machine, scale, span_ms, settings, .. } = record;
        let rounds = record.results.iter().flat_map(|one| &one.figures).map(|series| series.values.len());
        let rounds = rounds.max().unwrap_or_default();
        let changed = if commit.dirty { ", with changes that no commit has" } else { "" };
        let settings =
            if settings.is_empty() { "all as they are by default".to_owned() } else { settings.join(", ") };
        let rows = [
            ("measured", date::told(record.made_at_s)),
            ("commit", format!("{} {}{changed}", commit.id, commit.subject)),
            ("machine", machine.told()),
            ("settings", settings),
            (
                "how",
                format!(
                    "{} workloads, {scale} set, {rounds} rounds, {span_ms} ms each",
                    record.results.len()
                ),
            ),
        ];
        let rows: String =
            rows.iter().map(|(name, value)| format!("<dt>{name}</dt><dd>{}</dd>", escaped(value))).collect();
        let _ = writeln!(text, "<section class=\"origin\"><h2>{what}</h2><dl>{rows}</dl></section>");
    }
    format!("<div class=\"origins\">\n{text}</div>\n")
}

/// What a reader types to have the same page.
fn commands(data: &Data) -> String {
    let mut lines = Vec::new();
    for (command, record) in [("run", &data.run), ("peers", &data.peers)] {
        if let Some(record) = record {
            let settings: String = record.settings.iter().map(|pair| format!(" --set {pair}")).collect();
            lines.push(format!("cargo xtask bench {command} --{}{settings}", record.scale));
        }
    }
    lines.extend(data.baselines.iter().map(|(name, _)| format!("cargo xtask bench baseline {name}")));
    lines.push("cargo xtask bench report".to_owned());
    let files = data
        .files
        .iter()
        .filter_map(|path| path.file_name())
        .map(|name| format!("# from {}", name.display()));
    lines.extend(files);
    escaped(&lines.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::report::fixture;

    #[test]
    fn the_page_fetches_nothing_and_runs_nothing() {
        let hostile = "latency.</script><img src=x onerror=alert(1)>.w1";
        let run = fixture::record(vec![
            fixture::latency(hostile, 5.0),
            fixture::latency("latency.durable.w1", 5.0),
            fixture::rate("log.group.1k.w1", 1.0),
            fixture::rate("log.group.1k.w8", 4.0),
        ]);
        let peers = fixture::record(vec![
            fixture::rate("log.w1/standpipe", 2.0),
            fixture::rate("log.w1/<b>x", 1.0),
            fixture::measured("log.w1/gone", &[]),
        ]);
        let page = html(&Data::of(Some(run), Some(peers)));
        for forbidden in ["<script", "<img", "<b>x", "<link", "@import", "src=", "href=\"http", "NaN"] {
            let found = page.replace("src=x onerror", "").contains(forbidden);
            assert!(!found, "{forbidden}");
        }
        // Each plot has its numbers.
        assert_eq!(page.matches("<svg").count(), page.matches("The numbers").count());
    }

    #[test]
    fn a_page_of_nothing_says_what_makes_it() {
        let page = html(&Data::of(None, None));
        for command in ["cargo xtask bench run", "cargo xtask bench peers", "cargo xtask bench baseline NAME"]
        {
            assert!(page.contains(command), "{command}");
        }
    }
}
