use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use standpipe_core::{
    Advance, Batch, Claim, ClaimRequest, Destination, Schema, SourceId, StreamId, TableName, Target, Window,
};
use standpipe_harness::{Better, Context, Figure, Kind, Outcome, Sample, Workload, check};
use standpipe_row::BlockBuilder;
use standpipe_sqlite::Sqlite;

use crate::setup::{Row, Table, Wide, pipeline::TABLE, rows, settings};

/// One connection, batches of so many rows.
pub(super) fn workloads() -> Vec<Workload> {
    let workload = |size: u64| {
        let measures = format!(
            "one connection of the SQLite target, no log and no sink: encode {size} rows of 88 columns, begin, write, advance, commit; milliseconds a row"
        );
        let workload =
            Workload::new(format!("case.wide88.n{size}"), measures, move |context| run(context, size));
        if matches!(size, 30 | 500) { workload } else { workload.full_only() }
    };
    [1, 10, 30, 100, 500].map(workload).into()
}

fn run(context: &Context, size: u64) -> Outcome<Sample> {
    let size = context.settings.count("run.batch", size)?;
    let database = context.dir("wide")?.join("rows.db");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (rows, seconds, written) = runtime.block_on(async {
        let target = Sqlite::open(&database, settings::sqlite(&context.settings)?).await?;
        let mut connection = Connection::new(target, context).await?;
        connection.run_for(context.warm_up(), size).await?;
        let (rows, seconds) = connection.run_for(context.span, size).await?;
        connection.target.close().await?;
        Outcome::Ok((rows, seconds, connection.claim.position))
    })?;
    let table = Table::open(&database)?;
    check("rows in the table", table.rows()?, written)?;
    check("the sum of their ids", table.sum("id")?, rows::sum_below(written))?;
    let per_row = seconds * 1e3 / rows as f64;
    Ok(Sample::of([
        Figure::throughput(rows as f64, seconds, "rows/s"),
        Figure::new("per_row", per_row, "ms", Kind::Latency, Better::Lower),
    ]))
}

struct Connection {
    target: Sqlite,
    schema: Arc<Schema>,
    destination: Arc<Destination>,
    /// Its position is the number of the next row.
    claim: Claim,
}

impl Connection {
    async fn new(target: Sqlite, context: &Context) -> Outcome<Self> {
        let schema = Arc::new(Wide::schema()?);
        let destination = Destination {
            mode: settings::mode(&context.settings, standpipe_core::Mode::Append)?,
            ..Destination::append(TableName::new(TABLE))
        };
        target.create(&destination.table, &schema, &[]).await?;
        let request = ClaimRequest {
            stream: StreamId::new(TABLE)?,
            lanes: Some(1),
            source: SourceId::new("a benchmark")?,
            window: Window::everything(),
            origin: 0,
            reopen: false,
            owner: "a benchmark".to_owned(),
        };
        let claim = target.claim(&request).await?.into_iter().next().ok_or("a new stream has one claim")?;
        Ok(Connection { target, schema, destination: Arc::new(destination), claim })
    }

    /// Returns the rows and the seconds.
    async fn run_for(&mut self, span: Duration, size: u64) -> Outcome<(u64, f64)> {
        let (began, first) = (Instant::now(), self.claim.position);
        loop {
            self.batch(size).await?;
            let took = began.elapsed();
            if took >= span {
                return Ok((self.claim.position - first, took.as_secs_f64()));
            }
        }
    }

    async fn batch(&mut self, size: u64) -> Outcome<()> {
        let mut builder = BlockBuilder::new(self.schema.clone());
        for row in rows::rows::<Wide>(self.claim.position, size) {
            builder.serialize(&row).map_err(|fault| fault.to_string())?;
        }
        let batch = Batch {
            lane: self.claim.lane.clone(),
            destination: self.destination.clone(),
            blocks: vec![builder.finish()],
        };
        let mut branch = self.target.begin(&[&self.claim], None).await?;
        let rejects = branch.write(&batch).await?;
        check("rows refused", rejects.len(), 0)?;
        let position = self.claim.position + size;
        let to = Advance { position, source_position: String::new(), complete: false };
        branch.advance(&self.claim, &to).await?;
        branch.commit().await?;
        self.claim.position = position;
        Ok(())
    }
}
