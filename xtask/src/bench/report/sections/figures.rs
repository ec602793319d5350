use standpipe_harness::Kind;

use super::Data;
use crate::bench::{
    judge::median,
    record::Measured,
    report::{
        family::gathered,
        html::{escaped, table},
    },
    units,
};

/// A table of every figure for each group, closed until it is asked for, with what each workload measures.
pub(super) fn html(data: &Data) -> String {
    let groups = gathered(data.results(), |one| one.group.clone());
    let group = |(group, results): (String, Vec<&Measured>)| {
        let rows: Vec<_> = results.iter().flat_map(|one| rows(one)).collect();
        let head = ["workload", "figure", "held against", "median", "spread", "least", "most", "rounds"];
        let what: String = results
            .iter()
            .map(|one| {
                let notes = one.notes.iter().map(|note| format!(" <em>{}.</em>", escaped(note)));
                let notes: String = notes.collect();
                format!("<dt>{}</dt><dd>{}.{notes}</dd>\n", escaped(&one.workload), escaped(&one.measures))
            })
            .collect();
        format!(
            "<details><summary><b>{}</b>: {} workloads</summary>\n{}\n<dl class=\"what\">\n{what}</dl></details>\n",
            escaped(&group),
            results.len(),
            table(&group, &head, 3, &rows),
        )
    };
    groups.into_iter().map(group).collect()
}

fn rows(one: &Measured) -> Vec<Vec<String>> {
    let row = |series: &crate::bench::record::Series| {
        let middle = median(&series.values);
        let least = series.values.iter().copied().fold(f64::INFINITY, f64::min);
        let most = series.values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let value = |value| units::value(value, &series.unit);
        let kind = match series.kind {
            Kind::Throughput => "throughput",
            Kind::Latency => "latency",
            Kind::Memory => "memory",
            Kind::Told => "told only",
        };
        vec![
            one.workload.clone(),
            series.name.clone(),
            kind.to_owned(),
            value(middle),
            units::spread(&series.values, middle),
            value(least),
            value(most),
            series.values.len().to_string(),
        ]
    };
    one.figures.iter().filter(|series| !series.values.is_empty()).map(row).collect()
}
