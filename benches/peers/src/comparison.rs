use std::sync::Arc;

use standpipe_harness::{Context, Outcome, Sample, Workload};

type Run = Arc<dyn Fn(&Context) -> Outcome<Sample> + Send + Sync>;

/// The same work, by several.
pub(crate) struct Comparison {
    name: String,
    work: String,
    contenders: Vec<Workload>,
}

impl Comparison {
    /// `work` says what every contender does, threads and tasks counted.
    pub(crate) fn new(name: &str, work: &str) -> Self {
        Comparison { name: name.to_owned(), work: work.to_owned(), contenders: Vec::new() }
    }

    /// Adds one who does it; `how` says through what, and what it does not promise where others do.
    pub(crate) fn with(
        mut self,
        contender: &str,
        how: &str,
        run: impl Fn(&Context) -> Outcome<Sample> + Send + Sync + 'static,
    ) -> Self {
        let run: Run = Arc::new(run);
        let name = format!("{}/{contender}", self.name);
        let measures = format!("{}: {how}", self.work);
        self.contenders.push(Workload::new(name, measures, move |context| run(context)));
        self
    }

    /// One workload for each contender.
    pub(crate) fn workloads(self) -> Vec<Workload> {
        self.contenders
    }
}
