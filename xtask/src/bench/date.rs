//! Moments as people and file names write them, in UTC.

use std::time::{SystemTime, UNIX_EPOCH};

/// Seconds since 1970.
pub(crate) fn now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// `2026-03-01 09:30 UTC`.
pub(crate) fn told(at_s: u64) -> String {
    let (year, month, day) = day_of(at_s);
    let (hour, minute, _) = time_of(at_s);
    format!("{year}-{month:02}-{day:02} {hour:02}:{minute:02} UTC")
}

/// `20260301-093000`: file names that begin with it sort by time.
pub(crate) fn stamp(at_s: u64) -> String {
    let (year, month, day) = day_of(at_s);
    let (hour, minute, second) = time_of(at_s);
    format!("{year}{month:02}{day:02}-{hour:02}{minute:02}{second:02}")
}

fn time_of(at_s: u64) -> (u64, u64, u64) {
    (at_s / 3600 % 24, at_s / 60 % 60, at_s % 60)
}

/// Counts years that begin in March, so that the leap day is the last of its year.
fn day_of(at_s: u64) -> (u64, u64, u64) {
    const ERA_DAYS: u64 = 146_097;
    // Days since the first of March of the year 0.
    let days = at_s / 86_400 + 719_468;
    let (era, day) = (days / ERA_DAYS, days % ERA_DAYS);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (era * 400 + year + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_of_the_calendar() {
        assert_eq!(told(0), "1970-01-01 00:00 UTC");
        assert_eq!(told(951_782_400), "2000-02-29 00:00 UTC");
        assert_eq!(told(1_709_251_199), "2024-02-29 23:59 UTC");
        assert_eq!(stamp(1_709_251_200), "20240301-000000");
        assert_eq!(stamp(4_102_444_799), "20991231-235959");
    }
}
