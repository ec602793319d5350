//! What the server would cut or round without a word while it reads a value from its text.

use standpipe_core::Type;
use standpipe_row::{Numeric, parse_date, parse_numeric, parse_time, parse_timestamp};

use crate::{
    field::digits_behind_point,
    kind::{Class, PgType, oid, scale_of},
};

/// What a text may hold, so that all of it is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Limit {
    /// Of a `name`. Its binary form is refused by the server itself.
    NameBytes(usize),
    /// Of a `varchar(n)`: the server refuses other characters behind, and cuts blanks.
    Characters(usize),
    /// Of a `"char"`.
    OneByte,
    /// Of a `numeric(p,s)`.
    Scale(i32),
    /// A time of the day would be dropped.
    Date,
    Time {
        digits: u32,
    },
    /// A zone would be dropped, or guessed.
    Timestamp {
        zoned: bool,
        digits: u32,
    },
    /// Of `timetz`: a zone, and so many digits behind the point of the seconds.
    ZonedTime(u32),
    /// Of `interval`, behind the point of the seconds.
    SecondDigits(u32),
}

impl Limit {
    /// The limit of values of this kind on their way into a column, or of the elements of an array.
    pub(crate) fn of(from: Type, column: &PgType) -> Option<Self> {
        if column.class == Class::Array {
            let (oid, modifier) = column.element?;
            return Self::of_type(oid, modifier);
        }
        let is_read = from == Type::Text && column.oid != oid::NUMERIC;
        (column.class == Class::Base && (is_read || column.is_text()))
            .then(|| Self::of_type(column.oid, column.modifier))?
    }

    fn of_type(oid: u32, modifier: i32) -> Option<Self> {
        let digits = u32::try_from(modifier).unwrap_or(6).min(6);
        Some(match oid {
            oid::NAME => Limit::NameBytes(63),
            oid::CHAR => Limit::OneByte,
            oid::VARCHAR => Limit::Characters(usize::try_from(modifier.checked_sub(4)?).ok()?),
            oid::NUMERIC => Limit::Scale(scale_of(modifier)?),
            oid::DATE => Limit::Date,
            oid::TIME => Limit::Time { digits },
            oid::TIMESTAMP => Limit::Timestamp { zoned: false, digits },
            oid::TIMESTAMPTZ => Limit::Timestamp { zoned: true, digits },
            oid::TIMETZ => Limit::ZonedTime(digits),
            // The lower half; the upper one says which fields there are.
            oid::INTERVAL => Limit::SecondDigits((modifier as u32 & 0xffff).min(6)),
            _ => return None,
        })
    }

    /// Whether it holds for the server's binary form, too.
    pub(crate) fn is_for_binary(self) -> bool {
        matches!(self, Limit::Characters(_))
    }

    /// Checks a value's text.
    pub(crate) fn check(self, text: &[u8]) -> Result<(), String> {
        let shown = || String::from_utf8_lossy(text);
        match self {
            Limit::NameBytes(max) if text.len() > max => {
                Err(format!("a name of {} bytes, of which the column keeps {max}", text.len()))
            }
            Limit::Characters(max) if text.len() > max && loses_blanks(text, max) => {
                Err(format!("the column keeps {max} characters; the blanks behind them would be cut"))
            }
            Limit::OneByte if text.len() > 1 && !is_octal(text) => {
                Err(format!("the column keeps one byte of {:?}", shown()))
            }
            Limit::Scale(scale) => {
                let mut number = Vec::new();
                parse_numeric(text.trim_ascii(), &mut number).map_err(str::to_owned)?;
                match Numeric::new(&number) {
                    Ok(number) if digits_behind_point(&number) > scale => Err(format!(
                        "the column keeps {scale} digits behind the point; {number} would be rounded"
                    )),
                    _ => Ok(()),
                }
            }
            Limit::Date => clock(text, 6, |text| parse_date(text).map(i64::from)),
            Limit::Time { digits } => clock(text, digits, parse_time),
            Limit::Timestamp { zoned, digits } => clock(text, digits, |text| parse_timestamp(text, zoned)),
            Limit::ZonedTime(_)
                if !text.iter().any(|byte| matches!(byte, b'+' | b'-') || byte.is_ascii_alphabetic()) =>
            {
                Err(format!("{} has no zone; the server would take its session's", shown()))
            }
            Limit::SecondDigits(digits) | Limit::ZonedTime(digits) if digits_of_second(text) > digits => {
                Err(format!("the column keeps {digits} digits of a second; {} would be rounded", shown()))
            }
            _ => Ok(()),
        }
    }

    /// Checks each element of the server's own form of an array. What is no such form is left to the server.
    pub(crate) fn check_elements(self, array: &[u8]) -> Result<(), String> {
        let mut element = Element::default();
        let mut bytes = array.iter().copied().skip_while(|byte| *byte != b'{');
        let mut quoted = false;
        while let Some(byte) = bytes.next() {
            match byte {
                b'\\' => element.push(bytes.next().unwrap_or(b'\\'), true),
                b'"' => {
                    quoted = !quoted;
                    element.is_quoted = true;
                }
                b'{' | b'}' | b',' if !quoted => {
                    if let Some(text) = element.end() {
                        self.check(text)?;
                    }
                    element = Element::default();
                }
                byte => element.push(byte, quoted),
            }
        }
        Ok(())
    }
}

/// An element of an array as far as it was read.
#[derive(Default)]
struct Element {
    text: Vec<u8>,
    /// Behind it are blanks that do not count.
    length: usize,
    is_quoted: bool,
}

impl Element {
    fn push(&mut self, byte: u8, counts: bool) {
        let is_blank = !counts && byte.is_ascii_whitespace();
        if is_blank && self.length == 0 && !self.is_quoted {
            return;
        }
        self.text.push(byte);
        if !is_blank {
            self.length = self.text.len();
        }
    }

    /// `None` for nothing and NULL.
    fn end(&self) -> Option<&[u8]> {
        let text = &self.text[..self.length];
        (self.is_quoted || !text.is_empty() && !text.eq_ignore_ascii_case(b"null")).then_some(text)
    }
}

fn clock(text: &[u8], digits: u32, parse: impl Fn(&[u8]) -> Result<i64, &'static str>) -> Result<(), String> {
    let text = text.trim_ascii();
    if matches!(text, b"infinity" | b"-infinity") {
        return Ok(());
    }
    let shown = || String::from_utf8_lossy(text);
    let value = parse(text).map_err(|expected| format!("expected {expected}, found {:?}", shown()))?;
    if value % 10_i64.pow(6 - digits) != 0 {
        return Err(format!("the column keeps {digits} digits of a second; {} would be rounded", shown()));
    }
    Ok(())
}

/// Whether there are more characters than that, and the others are blanks.
fn loses_blanks(text: &[u8], max: usize) -> bool {
    let Ok(text) = str::from_utf8(text) else { return false };
    let mut behind = text.chars().skip(max).peekable();
    behind.peek().is_some() && behind.all(|character| character == ' ')
}

/// `\ooo`, a byte above ASCII.
fn is_octal(text: &[u8]) -> bool {
    matches!(text, [b'\\', b'0'..=b'3', b'0'..=b'7', b'0'..=b'7'])
}

/// Digits behind a point that count, where a smaller unit than the second is named as many as that has.
fn digits_of_second(text: &[u8]) -> u32 {
    let mut digits = 0;
    for (at, _) in text.iter().enumerate().filter(|(_, byte)| matches!(byte, b'.' | b',')) {
        let behind = &text[at + 1..];
        let run = behind.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let kept = behind[..run].iter().rposition(|digit| *digit != b'0').map_or(0, |last| last + 1);
        digits = digits.max(kept as u32);
    }
    let text = text.to_ascii_lowercase();
    let unit = text
        .split(|byte| !byte.is_ascii_alphabetic())
        .map(|word| match word {
            word if word.starts_with(b"mil") && !word.starts_with(b"mill") => 0,
            word if word.starts_with(b"millis") || word.starts_with(b"ms") => 3,
            word if word.starts_with(b"micro") || word.starts_with(b"us") => 6,
            _ => 0,
        })
        .max()
        .unwrap_or(0);
    digits + unit
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_be_lost_is_seen_in_the_text() {
        let date = Limit::Date;
        assert!(date.check(b"2020-01-01").is_ok() && date.check(b"-infinity").is_ok());
        assert!(date.check(b"2020-01-01 10:00:00").is_err() && date.check(b"01.02.2020").is_err());
        let moment = Limit::Timestamp { zoned: false, digits: 0 };
        assert!(moment.check(b"2020-01-01 10:00:00").is_ok());
        assert!(
            moment.check(b"2020-01-01T10:00:00Z").is_err() && moment.check(b"2020-01-01 10:00:00.5").is_err()
        );
        assert!(
            Limit::Characters(3).check("äöü".as_bytes()).is_ok()
                && Limit::Characters(3).check(b"abc ").is_err()
        );
        assert!(Limit::Characters(3).check(b"abcd").is_ok(), "the server refuses it by its own code");
        assert!(Limit::ZonedTime(6).check(b"10:00:00").unwrap_err().contains("no zone"));
        for fine in ["10:00:00+02", "10:00:00Z", "10:00:00-03:30"] {
            Limit::ZonedTime(6).check(fine.as_bytes()).unwrap();
        }
        assert!(Limit::ZonedTime(0).check(b"10:00:00.5+02").is_err());
        let whole = Limit::SecondDigits(0);
        assert!(whole.check(b"1 day 02:03:04.000").is_ok() && whole.check(b"1 millennium").is_ok());
        assert!(whole.check(b"1.6 s").is_err() && whole.check(b"5 ms").is_err());
        assert!(Limit::SecondDigits(6).check(b"0.0000001 s").is_err());
        assert!(
            Limit::SecondDigits(6).check(b"7 us").is_ok() && Limit::SecondDigits(6).check(b"7.5 us").is_err()
        );
        assert!(Limit::OneByte.check(b"\\201").is_ok() && Limit::OneByte.check("é".as_bytes()).is_err());
    }

    #[test]
    fn each_element_of_an_array_is_checked() {
        let scale = Limit::Scale(1);
        for good in ["{}", "{1.2,NULL,\"3.40\"}", "[0:1]={ 1.2 , {\"3\"} }", "{{1},{\"2.5\"}}"] {
            assert_eq!(scale.check_elements(good.as_bytes()), Ok(()), "{good}");
        }
        for bad in ["{1.25}", "{1,{\"2\",\"3.33\"}}", "[1:1]={1\\.25}"] {
            assert!(scale.check_elements(bad.as_bytes()).is_err(), "{bad}");
        }
        assert!(Limit::Characters(1).check_elements(b"{\"a \"}").is_err());
        assert!(Limit::Characters(1).check_elements(b"{a }").is_ok());
    }
}
