//! The figures of one record, a table for each group.

use std::collections::BTreeMap;

use standpipe_harness::Kind;

use super::{
    judge::median,
    record::{Measured, Series},
    table::{Cell, Table, Tone, painted},
    units,
};

/// The columns in which every table has to be readable.
const WIDTH: usize = 100;
/// Columns kept for the figures that have no column of their own: at least two short ones, at most a long one.
const REST_WIDTH: (usize, usize) = (34, 50);

/// The tables, one for each group in the order of the record, and the notes below them.
pub(crate) fn shown(results: &[Measured]) -> String {
    let mut text: Vec<String> = tables(results).iter().map(Table::shown).collect();
    let notes = notes(results);
    if !notes.is_empty() {
        text.push(painted(&notes.join("\n"), Tone::Faint));
    }
    text.join("\n\n")
}

/// A note without its numbers.
fn wording(note: &str) -> String {
    note.chars().filter(|letter| !letter.is_ascii_digit() && *letter != '.').collect()
}

/// A table for each group.
pub(crate) fn tables(results: &[Measured]) -> Vec<Table> {
    let mut groups: Vec<&str> = Vec::new();
    for one in results {
        if !groups.contains(&one.group.as_str()) {
            groups.push(&one.group);
        }
    }
    let of = |group: &str| results.iter().filter(|one| one.group == group).collect::<Vec<_>>();
    groups.into_iter().map(|group| table(group, &of(group))).collect()
}

/// What a reader should know, each once, with the workloads that it was said of.
fn notes(results: &[Measured]) -> Vec<String> {
    let mut said: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for one in results {
        for (index, note) in one.notes.iter().enumerate() {
            // Each round may say the same with other numbers: the last one stands for all.
            let is_last = !one.notes[index + 1..].iter().any(|later| wording(later) == wording(note));
            if is_last {
                said.entry(note).or_default().push(&one.workload);
            }
        }
    }
    let of = |workloads: &[&str]| match workloads {
        [first, _, .., last] if workloads.len() > 3 => {
            format!("{} workloads, {first} to {last}", workloads.len())
        }
        few => few.join(", "),
    };
    said.iter().map(|(note, workloads)| format!("note, {}: {note}", of(workloads))).collect()
}

fn table(group: &str, results: &[&Measured]) -> Table {
    let columns = columns(results);
    let has_rest = results.iter().any(|one| one.figures.iter().any(|f| !columns.contains(&f.name.as_str())));
    let mut table = Table::new([group].into_iter().chain(columns.iter().copied()));
    for column in 1..=columns.len() {
        table = table.right(column);
    }
    if has_rest {
        table = table.and_column("also");
    }
    for one in results {
        let mut cells = vec![Cell::from(one.workload.as_str())];
        for column in &columns {
            cells.push(one.series(column).map_or_else(String::new, told).into());
        }
        let rest = one.figures.iter().filter(|series| !columns.contains(&series.name.as_str()));
        // Lines are broken between figures, not within one.
        let rest = rest.map(|series| format!("{} {}", series.name, told(series)).replace(' ', "\u{a0}"));
        let rest: Vec<_> = rest.collect();
        cells.push(Cell::from(rest.join(", ")).tone(Tone::Faint));
        cells.truncate(1 + columns.len() + usize::from(has_rest));
        table.row(cells);
    }
    table
}

/// The figures that get a column: those that most of the group's workloads have, as long as there is room.
fn columns<'a>(results: &[&'a Measured]) -> Vec<&'a str> {
    let mut names: Vec<&str> = Vec::new();
    for series in results.iter().flat_map(|one| &one.figures) {
        if !names.contains(&series.name.as_str()) {
            names.push(&series.name);
        }
    }
    let width_of = |name: &str| {
        let cells =
            results.iter().filter_map(|one| one.series(name)).map(|series| told(series).chars().count());
        cells.chain([name.chars().count()]).max().unwrap_or_default() + 2
    };
    let first = results.iter().map(|one| one.workload.chars().count()).max().unwrap_or_default() + 2;
    let is_common =
        |name: &str| results.iter().filter(|one| one.series(name).is_some()).count() * 2 >= results.len();
    let all: usize = names.iter().map(|name| width_of(name)).sum();
    let has_room = first + all <= WIDTH && names.iter().all(|name| is_common(name));
    let items = results.iter().flat_map(|one| &one.figures);
    let items = items.map(|series| series.name.chars().count() + told(series).chars().count() + 4);
    let rest = items.max().unwrap_or_default().clamp(REST_WIDTH.0, REST_WIDTH.1);
    let mut left = (WIDTH - if has_room { 0 } else { rest }).saturating_sub(first);
    // What is judged has its column first, and stands where the workload put it.
    let is_told = |name: &&str| {
        results.iter().filter_map(|one| one.series(name)).all(|series| series.kind == Kind::Told)
    };
    let mut by_rank = names.clone();
    by_rank.sort_by_key(is_told);
    by_rank.retain(|name| {
        let width = width_of(name);
        let fits = is_common(name) && width <= left;
        left -= if fits { width } else { 0 };
        fits
    });
    names.retain(|name| by_rank.contains(name));
    names
}

/// The median, and for what is judged how far the rounds lie apart.
fn told(series: &Series) -> String {
    let middle = median(&series.values);
    let value = units::value(middle, &series.unit);
    let spread = units::spread(&series.values, middle);
    if series.kind == Kind::Told || spread.is_empty() { value } else { format!("{value} {spread}") }
}

#[cfg(test)]
mod tests {
    use standpipe_harness::{Driver, Figure, Latency, Listed, Sample};

    use super::*;

    fn measured(name: &str, samples: impl IntoIterator<Item = Sample>) -> Measured {
        let mut measured = Measured::of(&Listed {
            name: name.to_owned(),
            group: name.split('.').next().unwrap_or_default().to_owned(),
            measures: String::new(),
            quick: true,
            revision: 1,
            driver: Driver::Scenario,
        });
        samples.into_iter().for_each(|sample| measured.add(sample));
        measured
    }

    fn latency() -> Sample {
        let mut latency = Latency::since(std::time::Instant::now());
        for us in 1..1000 {
            latency.record_duration(std::time::Duration::from_micros(us));
        }
        Sample::of([Figure::throughput(123_456.0, 1.0, "records/s")]).with_latency(&latency)
    }

    #[test]
    fn each_group_has_its_own_columns_and_fits() {
        let results = [
            measured("log.group.1k.w64", [latency(), latency()]),
            measured("log.group.64k.w8", [latency()]),
            measured("memory.row", [Sample::of([Figure::memory("allocations", 0.02, "allocations/row")])]),
        ];
        let tables = tables(&results);
        assert_eq!(tables.len(), 2);
        for table in &tables {
            let text = table.shown();
            assert!(text.lines().all(|line| line.trim_end().chars().count() <= WIDTH), "{text}");
        }
        let text = tables[0].markdown();
        assert!(text.contains("123k records/s ±0.0%") && text.contains("p99.9"), "{text}");
        assert!(tables[1].markdown().contains("0.020 allocations/row"));
    }

    #[test]
    fn a_note_of_many_is_told_once() {
        let noted = |name| {
            measured(
                name,
                [Sample::of([Figure::told("x", 1.0, "")]).note("not reached: 1").note("not reached: 2.5")],
            )
        };
        let notes = notes(&["latency.w1", "latency.w5", "latency.w7", "latency.w9"].map(noted));
        assert_eq!(notes, ["note, 4 workloads, latency.w1 to latency.w9: not reached: 2.5"]);
    }
}
