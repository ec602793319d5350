//! Dates and times as text: ISO 8601, the proleptic Gregorian calendar, years 1 to 9999.

use std::ops::Range;

use crate::error::Expected;

pub(crate) const DATE: Expected = "a date such as 2013-01-31";
pub(crate) const TIME: Expected = "a time such as 10:00:00 or 10:00:00.123456";
pub(crate) const TIMESTAMP: Expected = "a timestamp such as 2013-01-31T10:00:00, without a zone";
pub(crate) const TIMESTAMPTZ: Expected = "a timestamp with a zone such as 2013-01-31T10:00:00Z or +01:00";
pub(crate) const YEARS: Expected = "a day in the years 1 to 9999";
const FRACTION: Expected = "at most 6 digits of a second's fraction";
const NO_ZONE: Expected = "a timestamp without a zone";
const ZONE: Expected = "a timestamp with a zone (Z or an offset such as +01:00)";

pub(crate) const DAY_US: i64 = 86_400_000_000;
/// Days since 2000-01-01 of 0001-01-01 up to 9999-12-31.
pub(crate) const DAYS: Range<i32> = days_of(1, 1, 1)..days_of(10_000, 1, 1);
pub(crate) const INSTANTS_US: Range<i64> = DAYS.start as i64 * DAY_US..DAYS.end as i64 * DAY_US;
/// Days from 1970-01-01 to 2000-01-01.
const EPOCH_DAYS: i32 = 10_957;

/// Microseconds since 2000-01-01, of microseconds since the Unix epoch. `None` on overflow.
#[must_use]
pub const fn us_from_unix(us: i64) -> Option<i64> {
    us.checked_sub(EPOCH_DAYS as i64 * DAY_US)
}

/// The days since 2000-01-01 of `YYYY-MM-DD`.
///
/// # Errors
/// What was expected.
#[inline]
pub fn parse_date(text: &[u8]) -> Result<i32, &'static str> {
    match text.first_chunk::<10>() {
        Some(date) if text.len() == 10 => civil(date),
        _ => Err(DATE),
    }
}

/// The microseconds since midnight of `HH:MM:SS[.ffffff]`.
///
/// # Errors
/// What was expected.
pub fn parse_time(text: &[u8]) -> Result<i64, &'static str> {
    let (us, rest) = clock(text).map_err(|fault| fault.unwrap_or(TIME))?;
    if rest.is_empty() { Ok(us) } else { Err(TIME) }
}

/// The microseconds since 2000-01-01 (UTC) of an ISO 8601 timestamp, with `T` or a space between date and time. With
/// `zoned` it must end in `Z` or an offset, without it must not: a zone is neither guessed nor dropped. Nor is a
/// fraction finer than a microsecond cut.
///
/// # Errors
/// What was expected.
#[inline]
pub fn parse_timestamp(text: &[u8], zoned: bool) -> Result<i64, &'static str> {
    let expected = if zoned { TIMESTAMPTZ } else { TIMESTAMP };
    let Some((date, [b'T' | b't' | b' ', rest @ ..])) = text.split_first_chunk::<10>() else {
        return Err(expected);
    };
    let days = civil(date).map_err(|fault| if fault == DATE { expected } else { fault })?;
    let (us, zone) = clock(rest).map_err(|fault| fault.unwrap_or(expected))?;
    let local = i64::from(days) * DAY_US + us;
    match (zone, zoned) {
        ([], false) | ([b'Z' | b'z'], true) => Ok(local),
        ([], true) => Err(ZONE),
        (zone, zoned) => {
            let instant = local - offset_us(zone).ok_or(expected)?;
            if !zoned {
                Err(NO_ZONE)
            } else if INSTANTS_US.contains(&instant) {
                Ok(instant)
            } else {
                Err(YEARS)
            }
        }
    }
}

/// Appends `YYYY-MM-DD`.
pub fn render_date(days: i32, out: &mut Vec<u8>) {
    let (year, month, day) = civil_of(days);
    if (0..=9999).contains(&year) {
        let (century, rest) = (year as u32 / 100, year as u32 % 100);
        let [a, b] = two_digits(century);
        let [c, d] = two_digits(rest);
        let [e, f] = two_digits(month);
        let [g, h] = two_digits(day);
        out.extend_from_slice(&[a, b, c, d, b'-', e, f, b'-', g, h]);
    } else {
        // The writers let no such day in; a foreign block may hold one. ISO 8601's expanded form.
        out.extend_from_slice(format!("{year:+05}-{month:02}-{day:02}").as_bytes());
    }
}

/// Appends `HH:MM:SS`, with the fraction of the second where it is not zero.
pub fn render_time(us: i64, out: &mut Vec<u8>) {
    // A day has 86,400 seconds: the modulus changes nothing but the nonsense of a foreign block.
    let us = us.rem_euclid(DAY_US);
    let seconds = (us / 1_000_000) as u32;
    let fraction = (us % 1_000_000) as u32;
    let [a, b] = two_digits(seconds / 3600);
    let [c, d] = two_digits(seconds / 60 % 60);
    let [e, f] = two_digits(seconds % 60);
    out.extend_from_slice(&[a, b, b':', c, d, b':', e, f]);
    if fraction != 0 {
        let [a, b] = two_digits(fraction / 10_000);
        let [c, d] = two_digits(fraction / 100 % 100);
        let [e, f] = two_digits(fraction % 100);
        let digits = [b'.', a, b, c, d, e, f];
        let kept = digits.iter().rposition(|digit| *digit != b'0').map_or(0, |last| last + 1);
        out.extend_from_slice(&digits[..kept]);
    }
}

/// Appends `YYYY-MM-DDTHH:MM:SS`, with the fraction of the second where it is not zero, and a `Z` if `zoned`.
pub fn render_timestamp(us: i64, zoned: bool, out: &mut Vec<u8>) {
    // Any i64 of microseconds is fewer days than an i32 holds.
    render_date(us.div_euclid(DAY_US) as i32, out);
    out.push(b'T');
    render_time(us.rem_euclid(DAY_US), out);
    if zoned {
        out.push(b'Z');
    }
}

#[inline]
fn civil(text: &[u8; 10]) -> Result<i32, Expected> {
    let [y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2] = *text else { return Err(DATE) };
    let (Some(century), Some(rest), Some(month), Some(day)) =
        (pair(y1, y2), pair(y3, y4), pair(m1, m2), pair(d1, d2))
    else {
        return Err(DATE);
    };
    let year = century * 100 + rest;
    if year == 0 {
        return Err(YEARS);
    }
    if !(1..=12).contains(&month) || day == 0 || day > month_days(year, month) {
        return Err("a day that the calendar has");
    }
    Ok(days_of(year as i32, month, day))
}

/// The time at the beginning of `text` in microseconds, and what comes behind it. `Err(None)` is not a time.
#[inline]
fn clock(text: &[u8]) -> Result<(i64, &[u8]), Option<Expected>> {
    let Some((&[h1, h2, b':', m1, m2, b':', s1, s2], mut rest)) = text.split_first_chunk::<8>() else {
        return Err(None);
    };
    let (Some(hour), Some(minute), Some(second)) = (pair(h1, h2), pair(m1, m2), pair(s1, s2)) else {
        return Err(None);
    };
    if hour > 23 || minute > 59 || second > 59 {
        return Err(Some("a time from 00:00:00 to 23:59:59"));
    }
    let mut us = i64::from(hour * 3600 + minute * 60 + second) * 1_000_000;
    if let [b'.', fraction @ ..] = rest {
        let digits = fraction.iter().take_while(|byte| byte.is_ascii_digit()).count();
        if digits == 0 {
            return Err(None);
        }
        let mut unit = 100_000;
        for digit in &fraction[..digits] {
            if unit == 0 && *digit != b'0' {
                return Err(Some(FRACTION));
            }
            us += i64::from(digit - b'0') * unit;
            unit /= 10;
        }
        rest = &fraction[digits..];
    }
    Ok((us, rest))
}

/// What local time is ahead of UTC, of `+HH`, `+HHMM` or `+HH:MM`.
fn offset_us(zone: &[u8]) -> Option<i64> {
    let (sign, hour, minute) = match *zone {
        [b'Z' | b'z'] => return Some(0),
        [sign, h1, h2] => (sign, pair(h1, h2)?, 0),
        [sign, h1, h2, m1, m2] | [sign, h1, h2, b':', m1, m2] => (sign, pair(h1, h2)?, pair(m1, m2)?),
        _ => return None,
    };
    if hour > 18 || minute > 59 {
        return None;
    }
    let us = i64::from(hour * 60 + minute) * 60_000_000;
    match sign {
        b'+' => Some(us),
        b'-' => Some(-us),
        _ => None,
    }
}

#[inline]
fn pair(high: u8, low: u8) -> Option<u32> {
    let (high, low) = (high.wrapping_sub(b'0'), low.wrapping_sub(b'0'));
    if high > 9 || low > 9 { None } else { Some(u32::from(high) * 10 + u32::from(low)) }
}

#[inline]
fn two_digits(value: u32) -> [u8; 2] {
    [b'0' + (value / 10 % 10) as u8, b'0' + (value % 10) as u8]
}

fn month_days(year: u32, month: u32) -> u32 {
    match month {
        2 if year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days since 2000-01-01. Years begin in March here, so that the leap day is a year's last.
#[inline]
const fn days_of(year: i32, month: u32, day: u32) -> i32 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month as i32 + 9) % 12) + 2) / 5 + day as i32 - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    // 0000-03-01 is 730,425 days before 2000-01-01.
    era * 146_097 + day_of_era - 730_425
}

/// Year, month and day of days since 2000-01-01.
fn civil_of(days: i32) -> (i64, u32, u32) {
    let days = i64::from(days) + 730_425;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = (day_of_year - (153 * shifted + 2) / 5 + 1) as u32;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 } as u32;
    (era * 400 + year_of_era + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rendered(render: impl Fn(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        render(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn the_epoch_and_days_known_from_elsewhere() {
        assert_eq!(parse_date(b"2000-01-01"), Ok(0));
        assert_eq!(parse_date(b"1970-01-01"), Ok(-10_957));
        assert_eq!(parse_date(b"2013-01-01"), Ok(4749));
        assert_eq!(parse_date(b"0001-01-01"), Ok(-730_119));
        assert_eq!(parse_date(b"9999-12-31"), Ok(2_921_939));
        assert_eq!(us_from_unix(946_684_800_000_000), Some(0));
        assert_eq!(us_from_unix(i64::MIN), None);
        // 2013-01-01T10:00:00Z is 1357034400 in Unix time.
        assert_eq!(parse_timestamp(b"2013-01-01T10:00:00Z", true).ok(), us_from_unix(1_357_034_400_000_000));
    }

    #[test]
    fn every_day_is_read_back() {
        let mut out = Vec::new();
        for days in DAYS {
            out.clear();
            render_date(days, &mut out);
            assert_eq!(parse_date(&out), Ok(days));
        }
    }

    #[test]
    fn timestamps() {
        let utc = parse_timestamp(b"2013-01-01T10:00:00Z", true).unwrap();
        for (text, us) in [
            ("2013-01-01 10:00:00z", utc),
            ("2013-01-01T11:30:00+01:30", utc),
            ("2013-01-01T05:00:00-05", utc),
            ("2013-01-01T05:00:00-0500", utc),
            ("2013-01-01T10:00:00.5Z", utc + 500_000),
            ("2013-01-01T10:00:00.00000100Z", utc + 1),
        ] {
            assert_eq!(parse_timestamp(text.as_bytes(), true), Ok(us), "{text}");
        }
        assert_eq!(parse_timestamp(b"2013-01-01 10:00:00.000001", false), Ok(utc + 1));
        for (text, zoned, fault) in [
            ("2013-01-01T10:00:00", true, ZONE),
            ("2013-01-01T10:00:00Z", false, NO_ZONE),
            ("2013-01-01T10:00:00+00:00", false, NO_ZONE),
            ("2013-01-01T10:00:00.0000001Z", true, FRACTION),
            ("2013-02-29T10:00:00", false, "a day that the calendar has"),
            ("1900-02-29T10:00:00", false, "a day that the calendar has"),
            ("2013-13-01T10:00:00", false, "a day that the calendar has"),
            ("0000-01-01T10:00:00", false, YEARS),
            ("0001-01-01T00:00:00+01:00", true, YEARS),
            ("9999-12-31T23:59:59-01:00", true, YEARS),
            ("2013-01-01T24:00:00", false, "a time from 00:00:00 to 23:59:59"),
            ("2013-01-01T10:00:00.", false, TIMESTAMP),
            ("2013-01-01T10:00", false, TIMESTAMP),
            ("2013-01-01", false, TIMESTAMP),
            ("2013-01-01T10:00:00 UTC", true, TIMESTAMPTZ),
            ("2013-01-01T10:00:00+1:00", true, TIMESTAMPTZ),
            ("", true, TIMESTAMPTZ),
        ] {
            assert_eq!(parse_timestamp(text.as_bytes(), zoned), Err(fault), "{text}");
        }
    }

    #[test]
    fn rendering() {
        let us = parse_timestamp(b"2013-01-01T10:00:00Z", true).unwrap();
        assert_eq!(rendered(|out| render_timestamp(us, true, out)), "2013-01-01T10:00:00Z");
        assert_eq!(rendered(|out| render_timestamp(us + 120, false, out)), "2013-01-01T10:00:00.00012");
        assert_eq!(rendered(|out| render_timestamp(-1, false, out)), "1999-12-31T23:59:59.999999");
        assert_eq!(rendered(|out| render_time(DAY_US - 1, out)), "23:59:59.999999");
        for us in [i64::MIN, i64::MAX] {
            assert!(rendered(|out| render_timestamp(us, true, out)).ends_with('Z'));
        }
        assert_eq!(rendered(|out| render_date(i32::MAX, out)).chars().next(), Some('+'));
    }
}
