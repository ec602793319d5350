use standpipe_harness::{Latency, Sample};

/// A sample that is judged by its median alone. For operations of a few microseconds, or that wake somebody: their
/// p95 is the machine's (interrupts, the scheduler), so it is told.
#[must_use]
pub fn by_median(latency: &Latency) -> Sample {
    let mut sample = Sample::of([]).with_latency(latency);
    for figure in sample.figures.iter_mut().filter(|figure| figure.name != "p50") {
        *figure = figure.clone().only_told();
    }
    sample
}
