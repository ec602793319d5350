use std::{
    fs,
    time::{Duration, Instant},
};

use rustix::time::{ClockId, clock_gettime};
use standpipe_harness::{Figure, Outcome, Sample};

use super::server::Processes;

/// What counts of the work of a sample: time, and the processors' time of both sides.
pub(crate) struct Clock {
    server: Processes,
    running: Option<Running>,
    total: Spent,
}

struct Running {
    began: Instant,
    ended: Option<Instant>,
    client: Duration,
    server: Duration,
}

/// What was spent.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Spent {
    pub(crate) time: Duration,
    client: Duration,
    server: Duration,
}

impl Clock {
    pub(crate) fn of(server: Processes) -> Self {
        Clock { server, running: None, total: Spent::default() }
    }

    pub(crate) fn start(&mut self) -> Outcome<()> {
        let (server, client) = (self.server.cpu()?, client_cpu()?);
        self.running = Some(Running { began: Instant::now(), ended: None, client, server });
        Ok(())
    }

    /// The time is over; who is still busy with what was done in it goes on.
    pub(crate) fn stop_time(&mut self) -> Outcome<()> {
        self.running.as_mut().ok_or("the clock was not started")?.ended = Some(Instant::now());
        Ok(())
    }

    pub(crate) fn stop(&mut self) -> Outcome<()> {
        let now = Instant::now();
        let Running { began, ended, client, server } =
            self.running.take().ok_or("the clock was not started")?;
        self.total.time += ended.unwrap_or(now) - began;
        self.total.client += client_cpu()?.saturating_sub(client);
        self.total.server += self.server.cpu()?.saturating_sub(server);
        Ok(())
    }

    /// Stops with what another process told of itself: its time, and its processors' time.
    pub(crate) fn stop_as(&mut self, time: Duration, client: Duration) -> Outcome<()> {
        let Running { server, .. } = self.running.take().ok_or("the clock was not started")?;
        self.total.time += time;
        self.total.client += client;
        self.total.server += self.server.cpu()?.saturating_sub(server);
        Ok(())
    }

    /// Forgets what was spent: it was the warm-up.
    pub(crate) fn reset(&mut self) {
        self.total = Spent::default();
    }

    pub(crate) fn spent(&self) -> Spent {
        self.total
    }
}

impl Spent {
    /// Rows a second, and the processors' seconds for a million rows.
    pub(crate) fn sample(&self, rows: u64) -> Sample {
        let each = |spent: Duration| spent.as_secs_f64() * 1e6 / rows.max(1) as f64;
        Sample::of([
            Figure::throughput(rows as f64, self.time.as_secs_f64(), "rows/s"),
            Figure::told("client_cpu", each(self.client), "s/Mrow"),
            Figure::told("server_cpu", each(self.server), "s/Mrow"),
        ])
    }
}

/// Of this process and of the children that it has waited for.
fn client_cpu() -> Outcome<Duration> {
    let own = clock_gettime(ClockId::ProcessCPUTime);
    let own = Duration::new(u64::try_from(own.tv_sec)?, u32::try_from(own.tv_nsec)?);
    let children = ticks(&fs::read_to_string("/proc/self/stat")?, 15..17)?;
    Ok(own + children)
}

/// Ticks of `/proc` a second: what Linux tells programs, whatever its own timer does.
const USER_HZ: u64 = 100;

/// The sum of fields of a `stat` file, numbered as in its manual from 1, as time.
pub(crate) fn ticks(stat: &str, fields: std::ops::Range<usize>) -> Outcome<Duration> {
    // What stands in parentheses is the second field, and may hold anything.
    let (_, rest) = stat.rsplit_once(") ").ok_or("a stat file without a name")?;
    let fields: Vec<u64> = rest
        .split(' ')
        .skip(fields.start - 2)
        .take(fields.len())
        .map(|field| field.trim().parse::<u64>())
        .collect::<Result<_, _>>()?;
    Ok(Duration::from_millis(fields.iter().sum::<u64>() * 1000 / USER_HZ))
}
