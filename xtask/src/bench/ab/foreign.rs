//! How much of the machine others use while something is measured.

use std::{
    fs,
    time::{Duration, Instant},
};

/// A moment: the processor time that the whole machine and our ended children had used until then.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment {
    at: Instant,
    /// In ticks.
    machine: u64,
    children: u64,
}

/// Ticks of `/proc` in a second: `USER_HZ`, which Linux promises to programs.
const TICKS: f64 = 100.0;

impl Moment {
    /// Now; `None` where there is no `/proc`.
    pub(super) fn now() -> Option<Self> {
        let machine = machine(&fs::read_to_string("/proc/stat").ok()?)?;
        let children = children(&fs::read_to_string("/proc/self/stat").ok()?)?;
        Some(Moment { at: Instant::now(), machine, children })
    }

    /// Cores that were busy since with what our children did not do: other processes, the kernel's own threads, and
    /// what the host took from a virtual machine.
    pub(super) fn foreign_cores(&self) -> Option<f64> {
        Moment::now().map(|now| self.until(&now))
    }

    fn until(&self, now: &Moment) -> f64 {
        let ours = now.children.saturating_sub(self.children);
        let foreign = now.machine.saturating_sub(self.machine).saturating_sub(ours);
        let took = now.at.duration_since(self.at).max(Duration::from_millis(1));
        foreign as f64 / TICKS / took.as_secs_f64()
    }
}

/// Ticks in which some core was not idle: all columns of the first line but those of idling and of waiting for a disk;
/// the guests' are within the first two.
fn machine(stat: &str) -> Option<u64> {
    let columns = stat.lines().next()?.strip_prefix("cpu ")?.split_whitespace();
    let columns: Vec<u64> = columns.map_while(|column| column.parse().ok()).collect();
    let [user, nice, system, _idle, _waiting, interrupts @ ..] = columns.as_slice() else { return None };
    Some(user + nice + system + interrupts.iter().take(3).sum::<u64>())
}

/// User and system ticks of the children that were waited for. The program's name may hold anything, but it ends with
/// the last parenthesis.
fn children(stat: &str) -> Option<u64> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_whitespace().skip(13);
    Some(fields.next()?.parse::<u64>().ok()? + fields.next()?.parse::<u64>().ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_busy_and_not_ours_is_foreign() {
        assert_eq!(machine("cpu  100 1 20 5000 70 3 4 5 100 0\ncpu0 9 9 9 9\n"), Some(133));
        assert_eq!(machine("nonsense"), None);
        let stat = "7 (a ) name) S 1 7 7 0 -1 4194304 100 200 0 0 11 12 33 44 20 0 1 0 5 6 7";
        assert_eq!(children(stat), Some(77));
        assert_eq!(children(""), None);

        let began = Moment { at: Instant::now(), machine: 1_000, children: 500 };
        let later = Moment { at: began.at + Duration::from_secs(2), machine: 1_300, children: 600 };
        assert!((began.until(&later) - 1.0).abs() < 1e-9);
    }

    #[test]
    fn this_machine_says_it() {
        assert!(Moment::now().is_some_and(|moment| moment.foreign_cores().is_some_and(|cores| cores >= 0.0)));
    }
}
