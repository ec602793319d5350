//! Records for the tests.

use standpipe_harness::{Driver, Figure, Listed, Sample, Second};

use crate::bench::record::{Measured, Record};

pub(super) fn measured(name: &str, figures: &[Figure]) -> Measured {
    let mut measured = Measured::of(&Listed {
        name: name.to_owned(),
        group: name.split('.').next().unwrap_or_default().to_owned(),
        measures: "what it does".to_owned(),
        quick: true,
        revision: 1,
        driver: Driver::Scenario,
    });
    if !figures.is_empty() {
        for factor in [0.9, 1.0, 1.1] {
            let figures = figures.iter().cloned().map(|mut figure| {
                figure.value *= factor;
                figure
            });
            measured.add(Sample::of(figures.collect::<Vec<_>>()));
        }
    }
    measured
}

pub(super) fn rate(name: &str, value: f64) -> Measured {
    measured(name, &[Figure::throughput(value, 1.0, "rows/s")])
}

pub(super) fn latency(name: &str, us: f64) -> Measured {
    let at = |name: &str, factor: f64| Figure::latency_us(name, us * factor);
    let figures = [at("p50", 1.0), at("p95", 2.0), at("p99", 4.0), at("p99.9", 20.0), at("max", 50.0)];
    let mut measured = measured(name, &figures);
    measured.timeline = (0..5)
        .map(|slice| Second { at_s: f64::from(slice) / 10.0, operations: 100, p50_us: us, p99_us: us * 4.0 })
        .collect();
    measured
}

pub(super) fn record(results: Vec<Measured>) -> Record {
    let mut record =
        Record::begin(std::path::Path::new("."), "quick", 500, &["wal.durability=group".to_owned()]);
    record.results = results;
    // Whatever the newest commit is about.
    record.commit.subject = "A commit".to_owned();
    record
}
