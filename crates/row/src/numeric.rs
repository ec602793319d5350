//! Exact decimal numbers in the binary layout of PostgreSQL's numeric. The byte table is in `docs/formats.md`.

use std::fmt;
use std::io::Write as _;

use standpipe_core::{Error, ErrorKind};

use crate::error::Expected;
use crate::number::NUMBER;

const NEGATIVE: u16 = 0x4000;
const NAN: u16 = 0xc000;
const INFINITY: u16 = 0xd000;
const MINUS_INFINITY: u16 = 0xf000;
const HEADER_BYTES: usize = 8;
/// What PostgreSQL itself sends as the scale of an infinity.
const INFINITY_SCALE: u16 = 32;
/// An exponent beyond this is refused whatever it stands behind, as PostgreSQL does.
const EXPONENT_MAX: i64 = (i32::MAX / 2) as i64 - 1;

const WHOLE: Expected = "a number of at most 131072 digits before the point";
const SCALE: Expected = "a number of at most 16383 digits behind the point";

/// A number of a numeric column as it lies in a block: exact, with as many digits behind the point as it was written
/// with. Two are equal when value and scale are: `1.0` is not `1.00` here.
///
/// ```
/// use standpipe_row::{Numeric, parse_numeric};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let mut bytes = Vec::new();
/// parse_numeric(b"-1.250e3", &mut bytes)?;
/// let number = Numeric::new(&bytes)?;
/// assert_eq!((number.to_string().as_str(), number.scale(), number.to_int()), ("-1250", 0, Some(-1250)));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Numeric<'a> {
    bytes: &'a [u8],
    weight: i16,
    sign: u16,
    scale: u16,
}

impl<'a> Numeric<'a> {
    /// The most digits behind the point.
    pub const SCALE_MAX: u16 = 16_383;
    /// The most digits before the point.
    pub const WHOLE_DIGITS_MAX: u32 = 131_072;

    /// The number of a field's bytes. Each number of a scale has one form only; every other is refused, those that
    /// PostgreSQL would read and put right too.
    ///
    /// # Errors
    /// [`Corrupt`](ErrorKind::Corrupt) when they are none.
    pub fn new(bytes: &'a [u8]) -> Result<Self, Error> {
        Self::read(bytes).ok_or_else(|| {
            Error::new(ErrorKind::Corrupt, format!("a field of {} bytes is no numeric", bytes.len()))
        })
    }

    pub(crate) fn read(bytes: &'a [u8]) -> Option<Self> {
        let (&[n, o, w, x, s, t, d, e], digits) = bytes.split_first_chunk::<HEADER_BYTES>()?;
        let count = u16::from_be_bytes([n, o]);
        let number = Numeric {
            bytes,
            weight: i16::from_be_bytes([w, x]),
            sign: u16::from_be_bytes([s, t]),
            scale: u16::from_be_bytes([d, e]),
        };
        if digits.len() != usize::from(count) * 2 || number.scale > Self::SCALE_MAX {
            return None;
        }
        let sound = match number.sign {
            0 | NEGATIVE if count > 0 => number.has_sound_digits(),
            0 | NAN | INFINITY | MINUS_INFINITY => count == 0 && number.weight == 0,
            _ => false,
        };
        sound.then_some(number)
    }

    fn has_sound_digits(&self) -> bool {
        let (Some(first), Some(last)) = (self.digits().next(), self.digits().next_back()) else {
            return false;
        };
        let below = match last {
            _ if last % 1000 == 0 => 3,
            _ if last % 100 == 0 => 2,
            _ => i32::from(last % 10 == 0),
        };
        let lowest_power = self.last_power() * 4 + below;
        first != 0
            && last != 0
            && self.digits().all(|digit| digit < 10_000)
            && lowest_power >= -i32::from(self.scale)
    }

    /// The bytes of the field.
    #[must_use]
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The digits in base 10,000, the highest first, none of them zero at either end; none at all for zero.
    pub fn digits(&self) -> impl DoubleEndedIterator<Item = u16> + ExactSizeIterator + use<'a> {
        self.bytes[HEADER_BYTES..].as_chunks::<2>().0.iter().map(|digit| u16::from_be_bytes(*digit))
    }

    /// The power of 10,000 of the first digit.
    #[must_use]
    pub fn weight(&self) -> i16 {
        self.weight
    }

    /// How many decimal digits stand behind the point, zeros at the end included.
    #[must_use]
    pub fn scale(&self) -> u16 {
        if self.is_finite() { self.scale } else { 0 }
    }

    /// Whether it is a number, neither NaN nor infinite.
    #[must_use]
    pub fn is_finite(&self) -> bool {
        matches!(self.sign, 0 | NEGATIVE)
    }

    /// Whether it is not a number.
    #[must_use]
    pub fn is_nan(&self) -> bool {
        self.sign == NAN
    }

    /// Whether it is below zero; there is no negative zero.
    #[must_use]
    pub fn is_negative(&self) -> bool {
        matches!(self.sign, NEGATIVE | MINUS_INFINITY)
    }

    /// The number as an integer, where it is one that fits; zeros behind the point do not count.
    #[must_use]
    pub fn to_int(&self) -> Option<i64> {
        // Five digits hold every i64, with the last of them at power 0 or above.
        if !self.is_finite() || self.last_power() < 0 || self.weight > 4 {
            return None;
        }
        let magnitude = (0..=self.weight)
            .rev()
            .fold(0_i128, |value, power| value * 10_000 + i128::from(self.digit_at(power)));
        i64::try_from(if self.is_negative() { -magnitude } else { magnitude }).ok()
    }

    /// The power of 10,000 of the last digit; 0 for zero.
    fn last_power(&self) -> i32 {
        i32::from(self.weight) - (self.digits().len() as i32 - 1).max(0)
    }

    /// The digit of a power of 10,000, whether it is written or not.
    fn digit_at(&self, power: i16) -> u16 {
        let index = i32::from(self.weight) - i32::from(power);
        usize::try_from(index).ok().and_then(|index| self.digits().nth(index)).unwrap_or(0)
    }
}

impl fmt::Display for Numeric<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = Vec::new();
        render_numeric(*self, &mut text);
        f.write_str(std::str::from_utf8(&text).map_err(|_| fmt::Error)?)
    }
}

impl fmt::Debug for Numeric<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Numeric({self})")
    }
}

/// Appends the bytes of a number written as text: digits with a sign, a point and an exponent, or NaN, Infinity, inf in
/// any case, the last two with a sign, as PostgreSQL reads them. Nothing is rounded, and zeros at the end of a fraction
/// are kept. Blanks, `_` and other bases are refused. On an error nothing is appended.
///
/// # Errors
/// What was expected: a number, or one of at most 131,072 digits before the point and 16,383 behind it.
pub fn parse_numeric(text: &[u8], out: &mut Vec<u8>) -> Result<(), &'static str> {
    let (sign, number) = signed(text);
    if !matches!(number.first(), Some(b'0'..=b'9' | b'.')) {
        let sign = special(text).ok_or(NUMBER)?;
        push_header(0, 0, sign, if sign == NAN { 0 } else { INFINITY_SCALE }, out);
        return Ok(());
    }
    let end = number.iter().position(|byte| !matches!(byte, b'0'..=b'9' | b'.')).unwrap_or(number.len());
    let (digits, tail) = number.split_at(end);
    let point = digits.iter().position(|byte| *byte == b'.').unwrap_or(end);
    let behind = digits.get(point + 1..).unwrap_or_default();
    if (point == 0 && behind.is_empty()) || behind.contains(&b'.') {
        return Err(NUMBER);
    }
    let exponent = exponent(tail)?;
    let scale =
        u16::try_from((behind.len() as i64 - exponent).max(0)).ok().filter(|it| *it <= Numeric::SCALE_MAX);
    let scale = scale.ok_or(SCALE)?;
    let is_significant = |byte: &u8| matches!(byte, b'1'..=b'9');
    let Some(first) = digits.iter().position(is_significant) else {
        push_header(0, 0, 0, scale, out);
        return Ok(());
    };
    let last = digits.iter().rposition(is_significant).unwrap_or(first);
    // The power of ten of the digit at a place.
    let power = |at: usize| exponent + point as i64 - at as i64 - i64::from(at < point);
    let weight = i16::try_from(power(first).div_euclid(4)).map_err(|_| WHOLE)?;
    // Not below -4096, since the scale counts the last digit: the count fits as well.
    let count = i64::from(weight) - power(last).div_euclid(4) + 1;
    out.reserve(HEADER_BYTES + count as usize * 2);
    push_header(count as u16, weight, sign, scale, out);
    push_digits(&digits[first..=last], power(last).rem_euclid(4), power(first).rem_euclid(4), out);
    Ok(())
}

/// Appends the number as PostgreSQL prints it: without an exponent, with as many digits behind the point as its scale
/// says; NaN, Infinity, -Infinity.
pub fn render_numeric(value: Numeric<'_>, out: &mut Vec<u8>) {
    match value.sign {
        NAN => return out.extend_from_slice(b"NaN"),
        INFINITY => return out.extend_from_slice(b"Infinity"),
        MINUS_INFINITY => return out.extend_from_slice(b"-Infinity"),
        NEGATIVE => out.push(b'-'),
        _ => {}
    }
    let mut digits = value.digits();
    if value.weight < 0 {
        out.push(b'0');
    } else {
        let first = decimal(digits.next().unwrap_or(0));
        let zeros = first[..3].iter().take_while(|byte| **byte == b'0').count();
        out.extend_from_slice(&first[zeros..]);
        for _ in 0..value.weight {
            out.extend_from_slice(&decimal(digits.next().unwrap_or(0)));
        }
    }
    if value.scale == 0 {
        return;
    }
    out.push(b'.');
    let end = out.len() + usize::from(value.scale);
    // Between the point and a first digit of power -1 is nothing, of power -2 one digit of zero.
    for _ in value.weight.min(-1)..-1 {
        out.extend_from_slice(b"0000");
    }
    for digit in digits {
        out.extend_from_slice(&decimal(digit));
    }
    // Digits that the scale does not show are zeros, and those that are not written are too.
    out.resize(end, b'0');
}

/// Appends the bytes of an integer, of scale 0.
pub fn numeric_from_int(value: i64, out: &mut Vec<u8>) {
    push_int(value < 0, value.unsigned_abs().into(), out);
}

/// Appends the bytes of the shortest decimal number that stands for the float and no other; NaN and the infinities too.
pub fn numeric_from_float(value: f64, out: &mut Vec<u8>) {
    push_shortest(value, out);
}

pub(crate) fn numeric_from_float4(value: f32, out: &mut Vec<u8>) {
    push_shortest(value, out);
}

/// `negative` is for magnitudes above zero only.
pub(crate) fn push_int(negative: bool, magnitude: u128, out: &mut Vec<u8>) {
    let mut digits = [0_u16; 10];
    let mut rest = magnitude;
    let mut start = digits.len();
    // Division of 128 bits is slow, and most integers need none.
    while rest > u128::from(u64::MAX) {
        start -= 1;
        digits[start] = (rest % 10_000) as u16;
        rest /= 10_000;
    }
    let mut rest = rest as u64;
    while rest > 0 {
        start -= 1;
        digits[start] = (rest % 10_000) as u16;
        rest /= 10_000;
    }
    let end = digits.iter().rposition(|digit| *digit != 0).map_or(start, |last| last + 1);
    let weight = (digits.len() - start).saturating_sub(1);
    let sign = if negative { NEGATIVE } else { 0 };
    push_header((end - start) as u16, weight as i16, sign, 0, out);
    for digit in &digits[start..end] {
        out.extend_from_slice(&digit.to_be_bytes());
    }
}

/// Whether the text is NaN or an infinity.
pub(crate) fn is_special(text: &[u8]) -> bool {
    special(text).is_some()
}

fn push_shortest(value: impl fmt::LowerExp, out: &mut Vec<u8>) {
    let mut text = [0; 32];
    let mut rest = &mut text[..];
    let written = write!(rest, "{value:e}");
    let length = 32 - rest.len();
    // The longest, -2.2250738585072014e-308, has 24 bytes, and every float is within the bounds.
    let parsed = parse_numeric(&text[..length], out);
    debug_assert!(written.is_ok() && parsed.is_ok());
}

fn push_header(count: u16, weight: i16, sign: u16, scale: u16, out: &mut Vec<u8>) {
    let ([n, o], [w, x]) = (count.to_be_bytes(), weight.to_be_bytes());
    let ([s, t], [d, e]) = (sign.to_be_bytes(), scale.to_be_bytes());
    out.extend_from_slice(&[n, o, w, x, s, t, d, e]);
}

/// Appends decimal digits, among which a point may stand, in base 10,000. The place of a decimal digit within its group
/// is 3 to 0; `first` and `last` are those of the ends.
fn push_digits(digits: &[u8], last: i64, first: i64, out: &mut Vec<u8>) {
    let mut place = first;
    let mut group = 0_u16;
    for digit in digits.iter().filter(|byte| **byte != b'.') {
        group = group * 10 + u16::from(digit - b'0');
        if place == 0 {
            out.extend_from_slice(&group.to_be_bytes());
            group = 0;
            place = 4;
        }
        place -= 1;
    }
    if last > 0 {
        group *= 10_u16.pow(last as u32);
        out.extend_from_slice(&group.to_be_bytes());
    }
}

fn signed(text: &[u8]) -> (u16, &[u8]) {
    match text {
        [b'-', number @ ..] => (NEGATIVE, number),
        [b'+', number @ ..] => (0, number),
        number => (0, number),
    }
}

fn special(text: &[u8]) -> Option<u16> {
    let (sign, word) = signed(text);
    let is = |word: &[u8], name: &str| word.eq_ignore_ascii_case(name.as_bytes());
    if is(text, "nan") {
        Some(NAN)
    } else if is(word, "infinity") || is(word, "inf") {
        Some(if sign == NEGATIVE { MINUS_INFINITY } else { INFINITY })
    } else {
        None
    }
}

/// The exponent that `e5`, `E-5` and the like say; 0 for nothing.
fn exponent(tail: &[u8]) -> Result<i64, Expected> {
    let [b'e' | b'E', tail @ ..] = tail else { return if tail.is_empty() { Ok(0) } else { Err(NUMBER) } };
    let (sign, digits) = signed(tail);
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return Err(NUMBER);
    }
    let mut exponent = 0;
    for digit in digits {
        exponent = exponent * 10 + i64::from(digit - b'0');
        if exponent > EXPONENT_MAX {
            return Err(if sign == NEGATIVE { SCALE } else { WHOLE });
        }
    }
    Ok(if sign == NEGATIVE { -exponent } else { exponent })
}

/// A digit in base 10,000 as four decimal ones.
fn decimal(digit: u16) -> [u8; 4] {
    [digit / 1000, digit / 100 % 10, digit / 10 % 10, digit % 10].map(|decimal| b'0' + decimal as u8)
}
