//! Numbers as text.

use crate::error::Expected;

pub(crate) const INT2: Expected = "an integer from -32768 to 32767";
pub(crate) const INT4: Expected = "an integer from -2147483648 to 2147483647";
pub(crate) const INT8: Expected = "an integer from -9223372036854775808 to 9223372036854775807";
pub(crate) const FLOAT4: Expected = "a number within the range of float4";
pub(crate) const FLOAT8: Expected = "a number within the range of float8";
pub(crate) const FINITE: Expected = "a finite number (the target cannot hold NaN and the infinities)";

const INTEGER: Expected = "an integer";
pub(crate) const NUMBER: Expected = "a number";

/// An integer: `-?\d+(\.0*)?`.
#[inline]
pub(crate) fn parse_int(text: &[u8]) -> Result<i64, Expected> {
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    let mut value = 0_i64;
    let mut at = 0;
    // 18 digits cannot overflow.
    while at < digits.len() && at < 18 {
        let digit = digits[at].wrapping_sub(b'0');
        if digit > 9 {
            break;
        }
        value = value * 10 + i64::from(digit);
        at += 1;
    }
    let whole = match &digits[at..] {
        [] => at > 0,
        // Integers that a program kept as floats are as common as others.
        [b'.', zeros @ ..] => at > 0 && zeros.iter().all(|byte| *byte == b'0'),
        _ => false,
    };
    if whole {
        return Ok(if negative { -value } else { value });
    }
    parse_int_slowly(text, negative, digits)
}

#[cold]
fn parse_int_slowly(text: &[u8], negative: bool, digits: &[u8]) -> Result<i64, Expected> {
    let whole = digits.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let fraction = match &digits[whole..] {
        [] => &[][..],
        [b'.', fraction @ ..] => fraction,
        _ => return Err(INTEGER),
    };
    if whole == 0 || fraction.iter().any(|byte| *byte != b'0') {
        return Err(INTEGER);
    }
    // The sign belongs to the number: the least one has no positive counterpart.
    std::str::from_utf8(&text[..whole + usize::from(negative)])
        .ok()
        .and_then(|number| number.parse().ok())
        .ok_or(INT8)
}

/// A float8; NaN and the infinities too, spelled `NaN`, `inf`, `Infinity` in any case.
pub(crate) fn parse_float8(text: &[u8]) -> Result<f64, Expected> {
    let value: f64 = std::str::from_utf8(text).ok().and_then(|number| number.parse().ok()).ok_or(NUMBER)?;
    if value.is_infinite() && text.iter().any(u8::is_ascii_digit) { Err(FLOAT8) } else { Ok(value) }
}

/// A float4, by the same rules.
pub(crate) fn parse_float4(text: &[u8]) -> Result<f32, Expected> {
    let value: f32 = std::str::from_utf8(text).ok().and_then(|number| number.parse().ok()).ok_or(NUMBER)?;
    if value.is_infinite() && text.iter().any(u8::is_ascii_digit) { Err(FLOAT4) } else { Ok(value) }
}

/// A truth value: true, false, t, f, yes, no, 1, 0 in any case.
pub(crate) fn parse_bool(text: &[u8]) -> Result<bool, Expected> {
    let is = |word: &str| text.eq_ignore_ascii_case(word.as_bytes());
    if is("true") || is("t") || is("1") || is("yes") {
        Ok(true)
    } else if is("false") || is("f") || is("0") || is("no") {
        Ok(false)
    } else {
        Err("true or false")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers() {
        for (text, value) in [
            ("0", 0),
            ("-0", 0),
            ("517", 517),
            ("-517.0", -517),
            ("517.", 517),
            ("517.000", 517),
            ("007", 7),
            ("9223372036854775807", i64::MAX),
            ("-9223372036854775808", i64::MIN),
            ("-9223372036854775808.00", i64::MIN),
            ("0000000000000000000000000012", 12),
        ] {
            assert_eq!(parse_int(text.as_bytes()), Ok(value), "{text}");
        }
        for text in
            ["", "-", "+5", ".0", "-.0", "1.5", "1.01", "5e2", "1 ", " 1", "0x1", "1_000", "--1", "1.0.0"]
        {
            assert_eq!(parse_int(text.as_bytes()), Err(INTEGER), "{text}");
        }
        for text in ["9223372036854775808", "-9223372036854775809", "99999999999999999999999.0"] {
            assert_eq!(parse_int(text.as_bytes()), Err(INT8), "{text}");
        }
    }

    #[test]
    fn floats() {
        assert_eq!(parse_float8(b"1.5e3"), Ok(1500.0));
        assert_eq!(parse_float8(b"-Infinity"), Ok(f64::NEG_INFINITY));
        assert!(parse_float8(b"NaN").unwrap().is_nan());
        assert_eq!(parse_float8(b"1e400"), Err(FLOAT8));
        assert_eq!(parse_float4(b"1e39"), Err(FLOAT4));
        assert_eq!(parse_float4(b"0.1"), Ok(0.1));
        for text in ["", "1,5", "abc", "1.5 ", "0x10", "\u{ff11}"] {
            assert_eq!(parse_float8(text.as_bytes()), Err(NUMBER), "{text}");
        }
        assert_eq!(parse_float8(b"\xff"), Err(NUMBER));
    }

    #[test]
    fn truth() {
        assert_eq!(parse_bool(b"TRUE"), Ok(true));
        assert_eq!(parse_bool(b"no"), Ok(false));
        for text in ["", "2", "on", "tru", "y"] {
            assert!(parse_bool(text.as_bytes()).is_err(), "{text}");
        }
    }
}
