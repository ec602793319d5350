//! Random rows of every type, read back as the server's own text.

use standpipe_core::{Block, Mode, Type};
use standpipe_testkit::{
    Random,
    target::{Value, block},
    target_suite::same_text,
};

use crate::{
    server::Database,
    world::{Writer, batch, both_ways, destination, schema},
};

/// A column, and random values for it, each with the text that the server shows for it.
struct Column {
    declared: &'static str,
    kind: Type,
    make: fn(&mut Random) -> (Value, String),
}

const DAY_US: i64 = 86_400_000_000;
/// 4713 BC to 294276 AD, as microseconds from 2000.
const MOMENTS_US: (i64, i64) = (-211_813_488_000_000_000, 9_223_371_331_199_999_999);

fn columns() -> Vec<Column> {
    use Type::*;
    let of = |declared, kind, make| Column { declared, kind, make };
    vec![
        of("bool", Bool, |random| shown(Value::Bool(random.chance(4)))),
        of("int2", Int2, |random| shown(Value::Int2(wide(random) as i16))),
        of("int4", Int4, |random| shown(Value::Int4(wide(random) as i32))),
        of("int8", Int8, |random| shown(Value::Int8(wide(random)))),
        of("int8", Int2, |random| shown(Value::Int2(wide(random) as i16))),
        of("int4", Int8, |random| shown(Value::Int8((wide(random) as i32).into()))),
        of("numeric", Int8, |random| shown(Value::Int8(wide(random)))),
        of("text", Int8, |random| shown(Value::Int8(wide(random)))),
        of("float4", Float4, |random| shown(Value::Float4(f32::from_bits(random.next_u64() as u32)))),
        of("float8", Float8, |random| shown(Value::Float8(f64::from_bits(random.next_u64())))),
        of("float8", Float4, |random| {
            let value = f32::from_bits(random.next_u64() as u32);
            (Value::Float4(value), f64::from(value).to_string())
        }),
        of("float8", Int8, |random| shown(Value::Int8(wide(random) >> 11))),
        of("text", Text, |random| shown(Value::Text(letters(random, 40)))),
        of("varchar(20)", Text, |random| shown(Value::Text(letters(random, 20)))),
        of("citext", Text, |random| shown(Value::Text(letters(random, 20)))),
        of("char(6)", Text, |random| {
            let text: String = letters(random, 6).trim_end_matches(' ').to_owned();
            let blanks = 6 - text.chars().count();
            (Value::Text(text.clone()), format!("{text}{}", " ".repeat(blanks)))
        }),
        of("bytea", Bytea, |random| shown(Value::Bytea(bytes(random)))),
        of("date", Date, |random| {
            let days = (moment(random) / DAY_US) as i32;
            (Value::Date(days), day_text(days))
        }),
        of("timestamp", Date, |random| {
            let days = (moment(random) / DAY_US) as i32;
            (Value::Date(days), clock_text(i64::from(days) * DAY_US, ""))
        }),
        of("time", Time, |random| shown(Value::Time(random.below(DAY_US as u64) as i64))),
        of("time(0)", Time, |random| shown(Value::Time(random.below(86_400) as i64 * 1_000_000))),
        of("timestamp", Timestamp, |random| {
            let us = moment(random);
            (Value::Timestamp(us), clock_text(us, ""))
        }),
        of("timestamp(3)", Timestamp, |random| {
            let us = moment(random) / 1000 * 1000;
            (Value::Timestamp(us), clock_text(us, ""))
        }),
        of("timestamptz", Timestamptz, |random| {
            let us = moment(random);
            (Value::Timestamptz(us), clock_text(us, "+00"))
        }),
        of("timestamptz(0)", Timestamptz, |random| {
            let us = moment(random) / 1_000_000 * 1_000_000;
            (Value::Timestamptz(us), clock_text(us, "+00"))
        }),
        of("uuid", Uuid, |random| shown(Value::Uuid(uuid(random)))),
        of("json", Json, |random| shown(Value::Json(json(random)))),
        of("jsonb", Json, |random| {
            let number = random.next_u64();
            (Value::Json(format!("{{\"n\":{number}}}")), format!("{{\"n\": {number}}}"))
        }),
        of("numeric", Numeric, |random| shown(Value::Numeric(decimal(random, 40, 30)))),
        of("numeric(20,4)", Numeric, |random| {
            let text = decimal(random, 15, 4);
            let behind = text.split_once('.').map_or(0, |(_, digits)| digits.len());
            let point = if behind == 0 { "." } else { "" };
            (Value::Numeric(text.clone()), format!("{text}{point}{}", "0".repeat(4 - behind)))
        }),
        of("numeric(6,-2)", Int4, |random| shown(Value::Int4(random.below(1_000_000) as i32 * 100))),
        of("mood", Text, |random| shown(Value::text(["good", "it's \"fine\""][random.below(2) as usize]))),
        of("positive", Int4, |random| shown(Value::Int4(random.below(1 << 30) as i32))),
        of("short", Text, |random| shown(Value::Text(letters(random, 5)))),
        of("int4[]", Json, |random| {
            let (one, two) = (wide(random) as i32, wide(random) as i32);
            (Value::Json(format!("[{one}, null, {two}]")), format!("{{{one},NULL,{two}}}"))
        }),
        of("int8[]", Text, |random| {
            let (one, two) = (wide(random), wide(random));
            (Value::Text(format!("{{{{{one}}},{{{two}}}}}")), format!("{{{{{one}}},{{{two}}}}}"))
        }),
        of("text[]", Json, |random| {
            let (one, two) = (letters(random, 10), letters(random, 10));
            (
                Value::Json(format!("[{}, {}]", json_text(&one), json_text(&two))),
                format!("{{{},{}}}", element(&one), element(&two)),
            )
        }),
        of("varchar(10)[]", Json, |random| {
            let text = letters(random, 10);
            (Value::Json(format!("[{}]", json_text(&text))), format!("{{{}}}", element(&text)))
        }),
        of("numeric[]", Json, |random| {
            let number = decimal(random, 30, 20);
            (Value::Json(format!("[\"{number}\"]")), format!("{{{number}}}"))
        }),
        of("timestamptz[]", Json, |random| {
            let text = clock_text(random.below(1 << 50) as i64, "+00");
            (Value::Json(format!("[\"{text}\"]")), format!("{{\"{text}\"}}"))
        }),
        of("json[]", Json, |random| {
            let number = random.next_u64();
            (Value::Json(format!("[{{\"n\":{number}}}]")), format!("{{\"{{\\\"n\\\":{number}}}\"}}"))
        }),
        of("mood[]", Json, |_| (Value::Json("[\"good\"]".into()), "{good}".into())),
        of("pair", Text, |random| shown(Value::Text(format!("({},x)", random.below(1000))))),
        of("inet", Text, |random| {
            shown(Value::Text(format!("10.0.{}.{}", random.below(256), random.below(256))))
        }),
        of("interval", Text, |random| {
            shown(Value::Text(format!("{} days 02:03:04.5", 2 + random.below(100))))
        }),
        of("money", Text, |random| {
            shown(Value::Text(format!("${}.{:02}", random.below(1000), random.below(100))))
        }),
        of("int4range", Text, |random| shown(Value::Text(format!("[{},2000)", random.below(1000))))),
        of("bit(3)", Text, |random| shown(Value::Text(format!("{:03b}", random.below(8))))),
    ]
}

fn shown(value: Value) -> (Value, String) {
    let text = value.to_text().unwrap();
    (value, text)
}

/// Small numbers and the ends of each width as often as any.
fn wide(random: &mut Random) -> i64 {
    let value = random.next_u64() as i64;
    match random.below(4) {
        0 => value,
        1 => value >> random.below(63),
        2 => [i64::MIN, i64::MAX, 0, -1][random.below(4) as usize],
        _ => (1_i64 << random.below(63)).wrapping_neg(),
    }
}

fn letters(random: &mut Random, most: u64) -> String {
    const LETTERS: &[&str] = &[
        "a",
        "B",
        "é",
        "\u{1f6b0}",
        "'",
        "\"",
        "\\",
        "\t",
        "\n",
        "\r",
        " ",
        ",",
        "{",
        "}",
        "N",
        ".",
        "\u{1}",
    ];
    (0..random.below(most + 1)).map(|_| LETTERS[random.below(LETTERS.len() as u64) as usize]).collect()
}

fn bytes(random: &mut Random) -> Vec<u8> {
    (0..random.below(20)).map(|_| random.next_u64() as u8).collect()
}

fn uuid(random: &mut Random) -> [u8; 16] {
    (u128::from(random.next_u64()) << 64 | u128::from(random.next_u64())).to_be_bytes()
}

fn json(random: &mut Random) -> String {
    format!("{{\"b\":[{}, null],  \"a\":{}}}", wide(random), json_text(&letters(random, 8)))
}

fn json_text(text: &str) -> String {
    let mut out = String::from("\"");
    for letter in text.chars() {
        match letter {
            '"' | '\\' => out.extend(['\\', letter]),
            letter if letter < ' ' => out.push_str(&format!("\\u{:04x}", letter as u32)),
            letter => out.push(letter),
        }
    }
    out.push('"');
    out
}

/// As the server shows a text within an array.
fn element(text: &str) -> String {
    let is_plain = !text.is_empty()
        && !text.contains(|letter: char| letter.is_ascii_whitespace() || "{},\"\\\u{b}".contains(letter));
    if is_plain {
        text.to_owned()
    } else {
        format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
    }
}

fn decimal(random: &mut Random, before: u64, behind: u64) -> String {
    let digits = |random: &mut Random, count: u64| {
        (0..count).map(|_| char::from(b'0' + random.below(10) as u8)).collect::<String>()
    };
    let count = 1 + random.below(before - 1);
    let first = format!("{}{}", 1 + random.below(9), digits(random, count - 1));
    let count = random.below(behind + 1);
    let sign = if random.chance(4) { "-" } else { "" };
    if count == 0 { format!("{sign}{first}") } else { format!("{sign}{first}.{}", digits(random, count)) }
}

/// Any moment that the server holds, mostly of these centuries.
fn moment(random: &mut Random) -> i64 {
    let (first, last) = MOMENTS_US;
    let us = random.next_u64() as i64;
    match random.below(4) {
        0 => us.clamp(first, last),
        1 => (us % (DAY_US * 365 * 20_000)).max(first),
        _ => us % (DAY_US * 365 * 100),
    }
}

/// Written anew: the calendar by adding up years.
fn day_text(days: i32) -> String {
    let mut left = i64::from(days) + 730_119;
    let leap = |year: i64| year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    // 400 years have 146,097 days.
    let mut year = 1 + left.div_euclid(146_097) * 400;
    left = left.rem_euclid(146_097);
    while left >= 365 + i64::from(leap(year)) {
        left -= 365 + i64::from(leap(year));
        year += 1;
    }
    let mut month = 1;
    for length in [31, 28 + i64::from(leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30] {
        if left < length {
            break;
        }
        left -= length;
        month += 1;
    }
    let (shown, era) = if year > 0 { (year, "") } else { (1 - year, " BC") };
    format!("{shown:04}-{month:02}-{:02}{era}", left + 1)
}

fn clock_text(us: i64, zone: &str) -> String {
    let day = day_text(us.div_euclid(DAY_US) as i32);
    let (day, era) = day.strip_suffix(" BC").map_or((day.as_str(), ""), |day| (day, " BC"));
    format!("{day} {}{zone}{era}", Value::Time(us.rem_euclid(DAY_US)).to_text().unwrap())
}

/// The server's text of a value against ours. What two ways of writing mean the same does not count.
fn is_same(column: &Column, found: &str, expected: &str) -> bool {
    match column.declared {
        "bool" => found == &expected[..1],
        "float4" => {
            found.parse::<f32>().unwrap().to_bits() == expected.parse::<f32>().unwrap().to_bits()
                || found == "NaN" && expected == "NaN"
        }
        "float8" => {
            found.parse::<f64>().unwrap() == expected.parse::<f64>().unwrap()
                || found == "NaN" && expected == "NaN"
        }
        "bytea" => same_text(Type::Bytea, Some(found), Some(expected)),
        _ => found == expected,
    }
}

#[tokio::test]
async fn random_rows_of_every_type() {
    let Some(database) = Database::new("random_rows_of_every_type").await else { return };
    database
        .run(
            "CREATE EXTENSION citext; CREATE TYPE mood AS ENUM ('good', 'it''s \"fine\"'); CREATE TYPE pair AS (a int, b text);
             CREATE DOMAIN positive AS int4 CHECK (value >= 0); CREATE DOMAIN inner_short AS varchar(5); CREATE DOMAIN short AS inner_short",
        )
        .await;
    let columns = columns();
    let list: Vec<String> =
        columns.iter().enumerate().map(|(number, column)| format!("c{number} {}", column.declared)).collect();
    let names: Vec<String> = (0..columns.len()).map(|number| format!("c{number}")).collect();
    let mut kinds = vec![("id", Type::Int8)];
    kinds.extend(names.iter().zip(&columns).map(|(name, column)| (name.as_str(), column.kind)));
    let whole = schema(&kinds);
    let mut random = Random::new(20_261_122);
    let mut count = 0_u64;
    // Several columns together go as text, one by one most of them go as they are.
    for (way, (mode, settings)) in
        [(Mode::Append, 0), (Mode::Upsert, 0), (Mode::Upsert, 1), (Mode::Append, 0)].into_iter().enumerate()
    {
        let settings = both_ways()[settings].clone();
        let mut writer = Writer::with(&database, &format!("s{way}"), settings).await;
        let is_single = way == 3;
        let groups: Vec<Vec<usize>> = if is_single {
            (0..columns.len()).map(|column| vec![column]).collect()
        } else {
            vec![(0..columns.len()).collect()]
        };
        for (group_number, group) in groups.iter().enumerate() {
            let table = format!("t{way}_{group_number}");
            database.run(&format!("CREATE TABLE {table} (id int8 PRIMARY KEY, {})", list.join(", "))).await;
            let of = if is_single { schema(&[kinds[0], kinds[group[0] + 1]]) } else { whole.clone() };
            let mut expected = Vec::new();
            let mut blocks: Vec<Block> = Vec::new();
            for _ in 0..4 {
                let mut rows = Vec::new();
                for _ in 0..150 {
                    let mut row = vec![Value::Int8(expected.len() as i64)];
                    let mut texts = Vec::new();
                    for column in group {
                        if random.below(10) == 0 {
                            row.push(Value::Null);
                            texts.push(None);
                        } else {
                            let (value, text) = (columns[*column].make)(&mut random);
                            row.push(value);
                            texts.push(Some(text));
                        }
                    }
                    expected.push(texts);
                    rows.push(row);
                }
                blocks.push(block(&of, &rows));
            }
            let rejects = writer.apply(&batch(destination(&table, mode, &["id"]), blocks)).await.unwrap();
            assert_eq!(rejects.first(), None, "way {way}, {group:?}: {} of them", rejects.len());
            let list: Vec<&str> = group.iter().map(|column| names[*column].as_str()).collect();
            let found = database
                .rows(&format!("SET timezone = 'UTC'; SELECT {} FROM {table} ORDER BY id", list.join(", ")))
                .await;
            assert_eq!(found.len(), expected.len());
            for (found, expected) in found.iter().zip(&expected) {
                for ((column, found), expected) in group.iter().zip(found).zip(expected) {
                    let column = &columns[*column];
                    let same = match (found, expected) {
                        (None, None) => true,
                        (Some(found), Some(expected)) => is_same(column, found, expected),
                        _ => false,
                    };
                    assert!(
                        same,
                        "way {way}: {} into {}: expected {expected:?}, found {found:?}",
                        column.kind, column.declared
                    );
                    count += 1;
                }
            }
        }
    }
    println!("{count} values of {} columns' types read back equal", columns.len());
    assert!(count >= 100_000, "{count}");
    database.end().await;
}
