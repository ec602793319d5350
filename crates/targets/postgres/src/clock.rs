//! Days and times as text that PostgreSQL reads: infinities, years beyond 9999 and before Christ, 24:00 included.

use standpipe_row::{render_date, render_time};

/// Microseconds of a day.
pub(crate) const DAY_US: i64 = 86_400_000_000;

/// What the server's days and times have instead of numbers at both ends.
const INFINITY: &[u8] = b"infinity";
const MINUS_INFINITY: &[u8] = b"-infinity";
/// Behind a year before Christ, at the very end.
const ERA: &[u8] = b" BC";

/// Appends a day.
pub(crate) fn date(days: i32, out: &mut Vec<u8>) {
    match days {
        i32::MAX => out.extend_from_slice(INFINITY),
        i32::MIN => out.extend_from_slice(MINUS_INFINITY),
        _ if day(days, out) => out.extend_from_slice(ERA),
        _ => {}
    }
}

/// Appends a time of the day.
pub(crate) fn time(us: i64, out: &mut Vec<u8>) {
    if us == DAY_US {
        out.extend_from_slice(b"24:00:00");
    } else {
        render_time(us, out);
    }
}

/// Appends a moment.
pub(crate) fn timestamp(us: i64, zoned: bool, out: &mut Vec<u8>) {
    match us {
        i64::MAX => return out.extend_from_slice(INFINITY),
        i64::MIN => return out.extend_from_slice(MINUS_INFINITY),
        _ => {}
    }
    // Any i64 of microseconds is fewer days than an i32 holds.
    let is_before_christ = day(us.div_euclid(DAY_US) as i32, out);
    out.push(b' ');
    render_time(us.rem_euclid(DAY_US), out);
    if zoned {
        out.extend_from_slice(b"+00");
    }
    if is_before_christ {
        out.extend_from_slice(ERA);
    }
}

/// Whether a text has digits of a second that a column of so many would round away: behind `:SS.`, and other than zeros.
pub(crate) fn has_more_digits(text: &[u8], digits_max: u32) -> bool {
    text.windows(4).zip(4..).any(|(window, end)| {
        let [b':', tens, ones, b'.'] = *window else { return false };
        let fraction = text[end..].iter().take_while(|byte| byte.is_ascii_digit());
        tens.is_ascii_digit()
            && ones.is_ascii_digit()
            && fraction.skip(digits_max as usize).any(|digit| *digit != b'0')
    })
}

/// Appends year, month and day; says whether the year is one before Christ.
fn day(days: i32, out: &mut Vec<u8>) -> bool {
    use std::io::Write;
    let start = out.len();
    render_date(days, out);
    if out.len() - start == 10 && !out[start..].starts_with(b"0000") {
        return false;
    }
    // A year of more digits, or one that is signed: ISO's year 0 is 1 BC.
    let shown = out.split_off(start);
    let (year, rest) = shown.split_at(shown.len() - 6);
    let year: i64 = str::from_utf8(year).ok().and_then(|year| year.parse().ok()).unwrap_or(0);
    let is_before_christ = year <= 0;
    // Writing to a vector has no way to fail.
    let _ = write!(out, "{:04}", if is_before_christ { 1 - year } else { year });
    out.extend_from_slice(rest);
    is_before_christ
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_and_times_beyond_the_common() {
        let of = |days: i32| {
            let mut out = Vec::new();
            date(days, &mut out);
            String::from_utf8(out).unwrap()
        };
        assert_eq!(of(0), "2000-01-01");
        assert_eq!(of(-730_119), "0001-01-01");
        assert_eq!(of(-730_120), "0001-12-31 BC");
        assert_eq!(of(-2_451_545), "4714-11-24 BC");
        assert_eq!(of(2_921_940), "10000-01-01");
        assert_eq!(of(i32::MIN), "-infinity");
        let mut out = Vec::new();
        timestamp(-730_120 * DAY_US + 1, true, &mut out);
        time(DAY_US, &mut out);
        assert_eq!(String::from_utf8(out).unwrap(), "0001-12-31 00:00:00.000001+00 BC24:00:00");
    }
}
