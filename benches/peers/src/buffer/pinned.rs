//! The same on one core: first on all there are, then, within the same process, with every thread on the first of them.
//! A lock that spins waits there for somebody who cannot run.

use standpipe_harness::{Better, Context, Figure, Kind, Outcome, Sample, Settings};

/// What any contender does, on all cores and on one. Threads that it starts inherit where they may run from the thread
/// that starts them.
pub(crate) fn pinned(
    run: impl Fn(&Context) -> Outcome<Sample> + Send + Sync + 'static,
) -> impl Fn(&Context) -> Outcome<Sample> + Send + Sync + 'static {
    move |context| {
        let half = Context {
            scratch: context.scratch.clone(),
            scale: context.scale,
            span: context.span / 2,
            settings: Settings::default(),
        };
        let free = throughput(&run(&half)?)?;
        to_one_core()?;
        let one = throughput(&run(&half)?)?;
        let slower = Figure::new("slower_by", free / one, "x", Kind::Latency, Better::Lower);
        let on = |name, figure| Figure::new(name, figure, "items/s", Kind::Told, Better::Higher);
        Ok(Sample::of([slower, on("on_all_cores", free), on("on_one_core", one)]))
    }
}

fn throughput(sample: &Sample) -> Outcome<f64> {
    let figure = sample.figures.iter().find(|figure| figure.name == "throughput");
    match figure {
        Some(figure) if figure.value > 0.0 => Ok(figure.value),
        _ => Err("nothing was done within the span".into()),
    }
}

#[cfg(target_os = "linux")]
fn to_one_core() -> Outcome<()> {
    use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

    let allowed = sched_getaffinity(None)?;
    let first = (0..CpuSet::MAX_CPU).find(|core| allowed.is_set(*core)).ok_or("no core is allowed")?;
    let mut one = CpuSet::new();
    one.set(first);
    Ok(sched_setaffinity(None, &one)?)
}

#[cfg(not(target_os = "linux"))]
fn to_one_core() -> Outcome<()> {
    Err("threads can be kept on one core on Linux only".into())
}
