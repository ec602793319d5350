//! Numbers as people read them.

/// A figure's value: `1.02M rows/s`, `312 µs`, `24.2 MiB`.
pub(crate) fn value(value: f64, unit: &str) -> String {
    let (value, unit) = scaled(value, unit);
    if unit.is_empty() { significant(value) } else { format!("{}{unit}", significant(value)) }
}

/// A share as percent with its sign: `+3.1%`.
pub(crate) fn signed_percent(share: f64) -> String {
    let percent = share * 100.0;
    match percent.abs() {
        // Nothing where something was: no number of percent says it.
        large if large >= 100_000.0 => if percent > 0.0 { "+∞" } else { "-∞" }.to_owned(),
        large if large >= 99.5 => format!("{percent:+.0}%"),
        // Rounds to zero: without a sign.
        small if small < 0.05 => "0.0%".to_owned(),
        _ => format!("{percent:+.1}%"),
    }
}

/// The same without false digits, for the ends of an interval: `+3.1%`, `-60%`.
pub(crate) fn rough_percent(share: f64) -> String {
    let percent = share * 100.0;
    if (9.95..100_000.0).contains(&percent.abs()) { format!("{percent:+.0}%") } else { signed_percent(share) }
}

/// So many of something: `1 round`, `3 rounds`.
pub(crate) fn times(count: usize, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}

/// How far values lie around their middle: `±3%`, half of the width from the least to the most.
pub(crate) fn spread(values: &[f64], middle: f64) -> String {
    let (least, most) =
        values.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(l, m), v| (l.min(*v), m.max(*v)));
    if values.len() < 2 || middle == 0.0 {
        return String::new();
    }
    let percent = (most - least) / 2.0 / middle.abs() * 100.0;
    if percent < 9.95 { format!("±{percent:.1}%") } else { format!("±{percent:.0}%") }
}

/// A number of bytes.
pub(crate) fn bytes(count: u64) -> String {
    value(count as f64, "B")
}

/// A stretch of time: `40 s`, `3 min 20 s`, `1 h 5 min`.
pub(crate) fn duration(time: std::time::Duration) -> String {
    let seconds = time.as_secs_f64().round() as u64;
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, seconds) => format!("{seconds} s"),
        (0, minutes, 0) => format!("{minutes} min"),
        (0, minutes, seconds) => format!("{minutes} min {seconds} s"),
        (hours, 0, _) => format!("{hours} h"),
        (hours, minutes, _) => format!("{hours} h {minutes} min"),
    }
}

/// The value in a larger or smaller unit, and what is written behind it.
fn scaled(value: f64, unit: &str) -> (f64, String) {
    let times = ["ns", "µs", "ms", "s"];
    let sizes = ["B", "KiB", "MiB", "GiB"];
    let (base, per) = match unit.split_once('/') {
        Some((base, per)) => (base, format!("/{per}")),
        None => (unit, String::new()),
    };
    let base = match base {
        "us" => "µs",
        "bytes" => "B",
        base => base,
    };
    let (ladder, step): (&[&str], f64) = if times.contains(&base) {
        (&times, 1000.0)
    } else if sizes.contains(&base) {
        (&sizes, 1024.0)
    } else {
        return counted(value, unit);
    };
    let mut rung = ladder.iter().position(|name| *name == base).unwrap_or_default();
    let mut value = value;
    while value.abs() >= 0.9995 * step && rung + 1 < ladder.len() {
        value /= step;
        rung += 1;
    }
    while value != 0.0 && value.abs() < 0.9995 && rung > 0 {
        value *= step;
        rung -= 1;
    }
    (value, format!(" {}{per}", ladder[rung]))
}

/// Things that are counted: in thousands and millions.
fn counted(value: f64, unit: &str) -> (f64, String) {
    let (factor, letter) = match value.abs() {
        large if large >= 999.5e6 => (1e9, "G"),
        large if large >= 999.5e3 => (1e6, "M"),
        large if large >= 9.995e3 => (1e3, "k"),
        _ => (1.0, ""),
    };
    let gap = if unit.is_empty() || unit == "%" { "" } else { " " };
    (value / factor, format!("{letter}{gap}{unit}"))
}

/// Three digits that say something; whole numbers are written as such.
fn significant(value: f64) -> String {
    let size = value.abs();
    if value.fract() == 0.0 && size < 10_000.0 {
        return format!("{value:.0}");
    }
    match size {
        size if size >= 99.95 => format!("{value:.0}"),
        size if size >= 9.995 => format!("{value:.1}"),
        size if size >= 0.9995 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

/// A ratio: two digits that say something, and three where that is no longer.
pub(crate) fn factor(value: f64) -> String {
    match value {
        value if value >= 99.5 => format!("{value:.0}"),
        value if value >= 9.95 => format!("{value:.1}"),
        value if value >= 0.0995 => format!("{value:.2}"),
        value if value >= 0.00995 => format!("{value:.3}"),
        value => format!("{value:.1e}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_written_in_the_unit_that_fits() {
        let told = |number, unit, text: &str| assert_eq!(value(number, unit), text);
        told(1_020_000.0, "rows/s", "1.02M rows/s");
        told(782_898.0, "rows/s", "783k rows/s");
        told(9_876.0, "rows/s", "9876 rows/s");
        told(999_900.0, "rows/s", "1.00M rows/s");
        told(312.4, "µs", "312 µs");
        told(0.0824, "µs", "82.4 ns");
        told(1_234.0, "µs", "1.23 ms");
        told(999.9, "µs", "1.00 ms");
        told(2.5e6, "µs", "2.50 s");
        told(24.2, "MiB", "24.2 MiB");
        told(2048.0, "MiB", "2 GiB");
        told(0.5, "MiB", "512 KiB");
        told(5e6, "bytes/s", "4.77 MiB/s");
        told(96.0, "bytes/row", "96 B/row");
        told(0.0213, "allocations/row", "0.021 allocations/row");
        told(3.0, "", "3");
        told(0.0, "µs", "0 µs");
        told(0.25, "ms/row", "250 µs/row");
    }

    #[test]
    fn changes_have_a_sign_and_no_false_digits() {
        assert_eq!(signed_percent(0.031), "+3.1%");
        assert_eq!(signed_percent(-0.2), "-20.0%");
        assert_eq!(signed_percent(0.0001), "0.0%");
        assert_eq!(signed_percent(2.5), "+250%");
        assert_eq!(signed_percent(1e6), "+∞");
        assert_eq!(
            [rough_percent(-0.603), rough_percent(0.031), rough_percent(18.0), rough_percent(1e6)],
            ["-60%", "+3.1%", "+1800%", "+∞"]
        );
    }

    #[test]
    fn the_spread_is_half_of_what_lies_between_the_ends() {
        assert_eq!(spread(&[95.0, 100.0, 105.0], 100.0), "±5.0%");
        assert_eq!(spread(&[50.0, 100.0, 150.0], 100.0), "±50%");
        assert_eq!(spread(&[100.0], 100.0), "");
        assert_eq!(spread(&[0.0, 0.0], 0.0), "");
    }

    #[test]
    fn times_of_waiting_are_told_in_two_units() {
        let told = |seconds| duration(std::time::Duration::from_secs(seconds));
        assert_eq!(
            [told(40), told(200), told(180), told(3900)],
            ["40 s", "3 min 20 s", "3 min", "1 h 5 min"]
        );
    }

    #[test]
    fn ratios_are_told_in_digits_that_say_something() {
        let told = [250.0, 25.0, 2.5, 0.25, 0.025, 0.0025].map(factor);
        assert_eq!(told, ["250", "25.0", "2.50", "0.25", "0.025", "2.5e-3"]);
    }
}
