//! Exact numbers: what is read, what is refused, and that no digit is lost.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;
use standpipe_core::{Column, ErrorKind, Schema, Type};
use standpipe_row::{
    BlockBuilder, Field, JsonEncoder, NonFinite, Numeric, UnknownField, Value, numeric_from_float,
    numeric_from_int, parse_numeric, render_json, render_numeric,
};

fn bytes(text: &str) -> Result<Vec<u8>, &'static str> {
    let mut out = Vec::new();
    parse_numeric(text.as_bytes(), &mut out).inspect_err(|_| assert!(out.is_empty(), "{text}")).map(|()| out)
}

fn printed(text: &str) -> String {
    Numeric::new(&bytes(text).unwrap_or_else(|expected| panic!("{text}: {expected}"))).unwrap().to_string()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn column() -> BlockBuilder {
    BlockBuilder::new(Arc::new(Schema::new(vec![Column::new("n", Type::Numeric)]).unwrap()))
}

/// The only row of the builder, as JSON.
fn row(builder: &mut BlockBuilder) -> String {
    let block = builder.finish();
    assert_eq!(block.rows, 1);
    render_json(&block, 0).unwrap()
}

/// As a PostgreSQL server sent them: `numeric_send('..'::numeric)`.
#[test]
fn bytes_are_those_that_postgresql_sends() {
    for (text, sent) in [
        ("0", "0000000000000000"),
        ("-0.00", "0000000000000002"),
        ("1", "00010000000000000001"),
        ("-1.50", "00020000400000020001 1388"),
        ("10000", "00010001000000000001"),
        ("0.0001", "0001ffff000000040001"),
        ("0.00001", "0001fffe0000000503e8"),
        ("12345.678", "00030001000000030001 0929 1a7c"),
        ("99999999.9999", "0003000100000004270f 270f 270f"),
        ("1e130", "00010020000000000064"),
        ("NaN", "00000000c0000000"),
        ("Infinity", "00000000d0000020"),
        ("-Infinity", "00000000f0000020"),
    ] {
        assert_eq!(hex(&bytes(text).unwrap()), sent.replace(' ', ""), "{text}");
    }
}

#[test]
fn every_spelling_is_printed_as_postgresql_prints_it() {
    for (text, expected) in [
        ("+5", "5"),
        ("007.50", "7.50"),
        ("1.", "1"),
        (".5", "0.5"),
        ("-.50", "-0.50"),
        ("1.e2", "100"),
        ("-0", "0"),
        ("-0.0e-3", "0.0000"),
        ("0e5", "0"),
        ("1.5e3", "1500"),
        ("1.5E-3", "0.0015"),
        ("1.2345e+2", "123.45"),
        ("123456e-2", "1234.56"),
        ("100000000", "100000000"),
        ("1000000.000001", "1000000.000001"),
        ("0.000000010", "0.000000010"),
        ("0e1073741822", "0"),
        ("nan", "NaN"),
        ("inf", "Infinity"),
        ("+iNf", "Infinity"),
        ("-infinity", "-Infinity"),
    ] {
        assert_eq!(printed(text), expected, "{text}");
    }
}

#[test]
fn what_is_no_number_or_beyond_the_bounds_is_refused() {
    let number = "a number";
    let whole = "a number of at most 131072 digits before the point";
    let scale = "a number of at most 16383 digits behind the point";
    for text in [
        "", " ", "+", "-", ".", "-.", "e5", ".e5", "1e", "1e+", "1e 5", "1e5.0", "1.2.3", "1 ", " 1", "1,5",
        "--1", "+-1", "1_000", "0x10", "1f", "-NaN", "+nan", "NaN1", "infinit", "in", "--inf", "\u{ff11}",
        "1\0", "1ee5", "1e5e5", "1-",
    ] {
        assert_eq!(bytes(text), Err(number), "{text:?}");
    }
    assert_eq!(parse_numeric(b"\xff", &mut Vec::new()), Err(number));
    for (text, expected) in [
        ("1e131072".to_owned(), whole),
        ("-1e1073741823".to_owned(), whole),
        ("0e1073741823".to_owned(), whole),
        ("0e99999999999999999999999".to_owned(), whole),
        (format!("1{}", "0".repeat(131_072)), whole),
        ("1e-16384".to_owned(), scale),
        ("0e-16384".to_owned(), scale),
        ("1e-99999999999999999999999".to_owned(), scale),
        (format!("1.{}", "0".repeat(16_384)), scale),
        // The scale is what the exponent says, whether the digits are zeros or not.
        (format!("1{}e-1000000", "0".repeat(1_000_000)), scale),
    ] {
        assert_eq!(bytes(&text), Err(expected), "{:.40}", text);
    }
    // The last ones that fit.
    assert_eq!(printed("1e131071"), format!("1{}", "0".repeat(131_071)));
    assert_eq!(printed("1e-16383"), format!("0.{}1", "0".repeat(16_382)));
    let most = format!("{}.{}", "9".repeat(131_072), "9".repeat(16_383));
    assert_eq!(bytes(&most).unwrap().len(), 8 + 2 * 36_864);
    assert_eq!(printed(&most), most);
    assert_eq!(printed(&format!("{}7", "0".repeat(200_000))), "7");
}

#[test]
fn only_the_one_form_of_a_number_is_read() {
    for (what, bad) in [
        ("too short", "00000000000000"),
        ("a digit too few", "0001000000000000"),
        ("a digit too many", "00000000000000000001"),
        ("half a digit", "000100000000000000"),
        ("more digits than bytes", "ffff0000000000000001"),
        ("a digit of 10000", "00010000000000002710"),
        ("a zero first", "000200000000000400000001"),
        ("a zero last", "000200000000000400010000"),
        ("a digit behind the scale", "0001ffff000000030001"),
        ("the same, further down", "0001ffff0000000203f2"),
        ("a scale beyond the bound", "00000000000040 00"),
        ("no sign", "00010000100000000001"),
        ("a negative zero", "0000000040000000"),
        ("a weight without digits", "0000000100000000"),
        ("NaN with digits", "00010000c00000000001"),
    ] {
        let bad = bad.replace(' ', "");
        let raw: Vec<u8> =
            (0..bad.len() / 2).map(|at| u8::from_str_radix(&bad[at * 2..at * 2 + 2], 16).unwrap()).collect();
        assert_eq!(Numeric::new(&raw).unwrap_err().kind(), ErrorKind::Corrupt, "{what}");
        assert_eq!(
            Value::decode(Type::Numeric, Some(&raw)).unwrap_err().kind(),
            ErrorKind::Corrupt,
            "{what}"
        );
    }
}

#[test]
fn integers_and_back() {
    for text in [
        "0",
        "-0.00",
        "1",
        "-1",
        "9999",
        "10000",
        "-100000000.00",
        "9223372036854775807",
        "-9223372036854775808.0",
    ] {
        let raw = bytes(text).unwrap();
        let whole: i64 = text.split('.').next().unwrap().parse().unwrap();
        assert_eq!(Numeric::new(&raw).unwrap().to_int(), Some(whole), "{text}");
    }
    for text in
        ["0.5", "1.0001", "9223372036854775808", "-9223372036854775809", "1e131071", "1e-5", "NaN", "inf"]
    {
        assert_eq!(Numeric::new(&bytes(text).unwrap()).unwrap().to_int(), None, "{text}");
    }
}

#[test]
fn typed_writers_and_serde_keep_every_digit() {
    let mut builder = column();
    let mut write = |write: &dyn Fn(&mut BlockBuilder) -> Result<(), standpipe_row::RowError>| {
        write(&mut builder).unwrap();
        row(&mut builder)
    };
    assert_eq!(write(&|b| b.begin_row().int(i64::MIN).end_row()), r#"{"n":-9223372036854775808}"#);
    assert_eq!(write(&|b| b.begin_row().float(0.1).end_row()), r#"{"n":0.1}"#);
    assert_eq!(write(&|b| b.begin_row().float(-1e22).end_row()), r#"{"n":-10000000000000000000000}"#);
    assert_eq!(write(&|b| b.begin_row().parse(b"1.50").end_row()), r#"{"n":1.50}"#);
    let raw = bytes("12.340").unwrap();
    let number = Numeric::new(&raw).unwrap();
    assert_eq!(write(&|b| b.begin_row().numeric(number).end_row()), r#"{"n":12.340}"#);
    assert_eq!(write(&|b| b.serialize(&BTreeMap::from([("n", u64::MAX)]))), r#"{"n":18446744073709551615}"#);
    assert_eq!(
        write(&|b| b.serialize(&BTreeMap::from([("n", u128::MAX)]))),
        r#"{"n":340282366920938463463374607431768211455}"#
    );
    assert_eq!(
        write(&|b| b.serialize(&BTreeMap::from([("n", i128::MIN)]))),
        r#"{"n":-170141183460469231731687303715884105728}"#
    );
    assert_eq!(write(&|b| b.serialize(&BTreeMap::from([("n", 0.1_f32)]))), r#"{"n":0.1}"#);
    assert_eq!(write(&|b| b.serialize(&BTreeMap::from([("n", "0.100")]))), r#"{"n":0.100}"#);
    for (fault, expected) in [
        (builder.serialize(&BTreeMap::from([("n", true)])), "expected a number, found true"),
        (builder.serialize(&BTreeMap::from([("n", "one")])), "expected a number, found \"one\""),
        (builder.serialize(&BTreeMap::from([("n", f32::NAN)])), "expected a finite number"),
        (builder.begin_row().parse(b"-inf").end_row(), "expected a finite number"),
        (builder.begin_row().text("1").end_row(), "expected a number, found \"1\""),
        (
            builder.begin_row().parse(b"1e200000").end_row(),
            "at most 131072 digits before the point, found \"1e200000\"",
        ),
    ] {
        let reason = fault.unwrap_err().reason;
        assert!(reason.contains(expected), "{reason}");
    }
    builder.set_non_finite(NonFinite::Allow);
    for (text, json) in [("nan", r#"{"n":"NaN"}"#), ("-inf", r#"{"n":"-Infinity"}"#)] {
        builder.begin_row().parse(text.as_bytes()).end_row().unwrap();
        assert_eq!(row(&mut builder), json);
        JsonEncoder::new(builder.schema(), UnknownField::Reject)
            .write(json.as_bytes(), &mut builder)
            .unwrap();
        assert_eq!(row(&mut builder), json);
    }
}

/// Through a float the first would end in 4, and the second would be infinite.
#[test]
fn numbers_of_json_never_go_through_a_float() {
    let mut builder = column();
    let mut encoder = JsonEncoder::new(builder.schema(), UnknownField::Reject);
    for (number, expected) in [
        ("9007199254740993", "9007199254740993"),
        ("1e400", &*format!("1{}", "0".repeat(400))),
        ("0.10000000000000000000000000000000000001", "0.10000000000000000000000000000000000001"),
        ("-1.500", "-1.500"),
        ("\"1.500\"", "1.500"),
        ("2.5E-3", "0.0025"),
    ] {
        encoder.write(format!("{{\"n\":{number}}}").as_bytes(), &mut builder).unwrap();
        assert_eq!(row(&mut builder), format!("{{\"n\":{expected}}}"));
    }
    for bad in ["true", "[1]", "{}", "\"1,5\""] {
        let fault = encoder.write(format!("{{\"n\":{bad}}}").as_bytes(), &mut builder).unwrap_err();
        assert!(fault.reason.starts_with("expected a number, found"), "{fault}");
    }
}

#[test]
fn the_scale_is_no_part_of_a_key() {
    let key = |text: &str| {
        let raw = bytes(text).unwrap();
        let mut key = Vec::new();
        Field { kind: Type::Numeric, bytes: Some(&raw) }.append_key(&mut key);
        key
    };
    assert_eq!(key("1.0"), key("1.000"));
    assert_eq!(key("-0.0"), key("0"));
    for other in ["-1", "10000", "0.0001", "1.0001", "NaN"] {
        assert_ne!(key("1"), key(other), "{other}");
    }
    let mut key = Vec::new();
    Field { kind: Type::Text, bytes: Some(b"123456789") }.append_key(&mut key);
    assert_eq!(key, b"\0\0\0\x09123456789");
}

/// A whole number of any size, in base 10^9, the lowest digit first.
#[derive(Debug, PartialEq)]
struct Big(Vec<u32>);

impl Big {
    fn zero() -> Self {
        Big(Vec::new())
    }

    /// Times `factor`, plus `more`.
    fn step(&mut self, factor: u32, more: u32) {
        let mut carry = u64::from(more);
        for digit in &mut self.0 {
            carry += u64::from(*digit) * u64::from(factor);
            *digit = (carry % 1_000_000_000) as u32;
            carry /= 1_000_000_000;
        }
        if carry > 0 {
            self.0.push(carry as u32);
        }
    }

    fn shift(mut self, decimal_digits: u32) -> Self {
        (0..decimal_digits).for_each(|_| self.step(10, 0));
        self
    }
}

proptest! {
    #[test]
    fn canonical_text_comes_back(whole in "0|[1-9][0-9]{0,60}", fraction in "[0-9]{0,60}", negative in any::<bool>(), zeros in 0_usize..60) {
        let point = if fraction.is_empty() { "" } else { "." };
        let zeros = if fraction.is_empty() { String::new() } else { "0".repeat(zeros) };
        let number = format!("{whole}{point}{zeros}{fraction}");
        let sign = if negative && number.bytes().any(|byte| (b'1'..=b'9').contains(&byte)) { "-" } else { "" };
        let text = format!("{sign}{number}");
        prop_assert_eq!(printed(&text), text);
    }

    /// The digits in base 10,000, weighed as the format says, are the number that the decimal digits are.
    #[test]
    fn digits_weigh_what_the_text_says(digits in "[0-9]{1,80}", point in 0_usize..80, exponent in -60_i32..60) {
        let point = point.min(digits.len());
        let text = format!("{}.{}e{exponent}", &digits[..point], &digits[point..]);
        let raw = bytes(&text).unwrap();
        let number = Numeric::new(&raw).unwrap();
        let mut expected = Big::zero();
        digits.bytes().for_each(|digit| expected.step(10, u32::from(digit - b'0')));
        let mut found = Big::zero();
        number.digits().for_each(|digit| found.step(10_000, u32::from(digit)));
        // expected * 10^written = found * 10^stored
        let written = exponent - (digits.len() - point) as i32;
        let stored = 4 * (i32::from(number.weight()) + 1 - number.digits().len() as i32);
        let least = written.min(stored);
        if expected != Big::zero() && expected.0.iter().any(|digit| *digit != 0) {
            prop_assert_eq!(expected.shift((written - least) as u32), found.shift((stored - least) as u32));
        } else {
            prop_assert_eq!((number.weight(), number.digits().len()), (0, 0));
        }
        prop_assert_eq!(i32::from(number.scale()), (-written).max(0));
    }

    #[test]
    fn integers_are_what_their_text_is(value in any::<i64>(), shift in 0_u32..64, wide in any::<i128>()) {
        let value = value >> shift;
        let mut out = Vec::new();
        numeric_from_int(value, &mut out);
        prop_assert_eq!(&out, &bytes(&value.to_string()).unwrap());
        prop_assert_eq!(Numeric::new(&out).unwrap().to_int(), Some(value));
        let mut builder = column();
        builder.serialize(&BTreeMap::from([("n", wide)])).unwrap();
        prop_assert_eq!(row(&mut builder), format!("{{\"n\":{wide}}}"));
    }

    #[test]
    fn floats_are_their_shortest_text(bits in any::<u64>()) {
        let value = f64::from_bits(bits);
        let mut out = Vec::new();
        numeric_from_float(value, &mut out);
        let number = Numeric::new(&out).unwrap();
        if value.is_finite() {
            prop_assert_eq!(number.to_string().parse::<f64>().unwrap(), value);
            prop_assert_eq!(&out, &bytes(&format!("{value}")).unwrap());
        } else {
            prop_assert_eq!(number.is_nan(), value.is_nan());
        }
    }

    /// Whatever the bytes: damage, or a number whose text makes the same bytes again.
    #[test]
    fn hostile_bytes_are_refused_or_mean_one_number(
        raw in prop::collection::vec(any::<u8>(), 0..40),
        words in prop::collection::vec(prop_oneof![0_u16..3, 9990_u16..10_010, 0xfffc_u16..=0xffff, Just(0x4000_u16), any::<u16>()], 4..8),
    ) {
        let mut shaped: Vec<u8> = words.iter().flat_map(|word| word.to_be_bytes()).collect();
        shaped[..2].copy_from_slice(&(words.len() as u16 - 4).to_be_bytes());
        for input in [raw, shaped] {
            if let Ok(number) = Numeric::new(&input) {
                let mut text = Vec::new();
                render_numeric(number, &mut text);
                let mut again = Vec::new();
                parse_numeric(&text, &mut again).unwrap();
                let specials = if number.is_finite() { 8 } else { 6 };
                prop_assert_eq!(&again[..specials], &input[..specials]);
                prop_assert_eq!(&again[8..], &input[8..]);
                let _ = (number.to_int(), number.scale());
            }
        }
    }

    #[test]
    fn flipped_bits_never_panic(text in "-?[0-9]{1,30}(\\.[0-9]{1,30})?", at in any::<prop::sample::Index>(), bit in 0_u8..8) {
        let mut raw = bytes(&text).unwrap();
        let at = at.index(raw.len());
        raw[at] ^= 1 << bit;
        if let Ok(number) = Numeric::new(&raw) {
            let mut again = Vec::new();
            parse_numeric(number.to_string().as_bytes(), &mut again).unwrap();
            prop_assert_eq!(again.len(), raw.len());
        }
        for cut in 0..raw.len() {
            let whole = Numeric::new(&raw[..cut]);
            prop_assert!(whole.is_err() || (cut - 8) / 2 == usize::from(raw[1]));
        }
    }

    #[test]
    fn any_text_is_a_number_or_a_fault(text in "[-+0-9.eEnaif_ ]{0,12}") {
        // The standard library's floats are read by nearly the same grammar; their range does not matter here.
        let float = text.parse::<f64>().is_ok();
        let mut signed_nan = text.trim_start_matches(['+', '-']).eq_ignore_ascii_case("nan");
        signed_nan &= text.len() > 3;
        match bytes(&text) {
            Ok(_) => prop_assert!(float, "{text:?}"),
            Err("a number") => prop_assert!(!float || signed_nan, "{text:?}"),
            Err(_) => prop_assert!(float, "{text:?}"),
        }
    }
}
