//! Kinds of bad rows.

use standpipe_core::Type;
use standpipe_testkit::target::Value;

use crate::world::text;

/// A kind of bad row: how the table refuses it, what is bad and what is good, and what is said.
pub(crate) struct Kind {
    pub(crate) name: &'static str,
    /// Behind the columns `id int8, v ..`.
    pub(crate) table: &'static str,
    pub(crate) also: &'static str,
    pub(crate) kind: Type,
    pub(crate) bad: Value,
    pub(crate) code: &'static str,
    /// Where the server tells.
    pub(crate) column: Option<&'static str>,
    pub(crate) says: &'static str,
}

pub(crate) fn kinds() -> Vec<Kind> {
    let of = |name, table, also, kind, bad, code, column, says| Kind {
        name,
        table,
        also,
        kind,
        bad,
        code,
        column,
        says,
    };
    let trigger = |when: &str, what: &str| {
        let leaked: &'static str = Box::leak(
            format!(
                "CREATE FUNCTION f_TABLE() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF NEW.v = 'bad' THEN {what}; END IF; RETURN NEW; END $$;
                 CREATE {when} FOR EACH ROW EXECUTE FUNCTION f_TABLE()"
            )
            .into_boxed_str(),
        );
        leaked
    };
    let bad = || text("bad");
    vec![
        of("not_null", "v text NOT NULL", "", Type::Text, Value::Null, "23502", Some("v"), "null value"),
        of("check", "v text CHECK (v <> 'bad')", "", Type::Text, bad(), "23514", None, "check constraint"),
        of("varchar", "v varchar(4)", "", Type::Text, text("too long"), "22001", Some("v"), "too long"),
        of("char", "v char(4)", "", Type::Text, text("too long"), "22001", Some("v"), "too long"),
        of("nul", "v text", "", Type::Text, text("a\0b"), "22021", Some("v"), "0x00"),
        of(
            "numeric",
            "v numeric(4,2)",
            "",
            Type::Numeric,
            Value::Numeric("123.4".into()),
            "22003",
            None,
            "overflow",
        ),
        of(
            "infinite",
            "v numeric(4,2)",
            "",
            Type::Numeric,
            Value::Numeric("Infinity".into()),
            "22003",
            None,
            "overflow",
        ),
        of("enum", "v mood", "", Type::Text, bad(), "22P02", Some("v"), "mood"),
        of("domain", "v positive", "", Type::Int4, Value::Int4(-1), "23514", None, "positive"),
        of("int", "v int4", "", Type::Text, bad(), "22P02", Some("v"), "integer"),
        of("date", "v date", "", Type::Text, text("2026-02-30"), "", Some("v"), "calendar"),
        of("json", "v json", "", Type::Json, Value::Json("{\"a\":".into()), "22P02", Some("v"), "json"),
        of(
            "jsonb",
            "v jsonb",
            "",
            Type::Json,
            Value::Json("\"\\u0000\"".into()),
            "22P05",
            Some("v"),
            "Unicode",
        ),
        of(
            "array",
            "v int4[]",
            "",
            Type::Json,
            Value::Json("[1, \"x\"]".into()),
            "22P02",
            Some("v"),
            "integer",
        ),
        of("foreign", "v text REFERENCES other", "", Type::Text, bad(), "23503", None, "foreign key"),
        of(
            "deferred",
            "v text REFERENCES other DEFERRABLE INITIALLY DEFERRED",
            "",
            Type::Text,
            bad(),
            "23503",
            None,
            "foreign key",
        ),
        of(
            "exclusion",
            "v text, EXCLUDE (v WITH =) WHERE (v = 'bad')",
            "",
            Type::Text,
            bad(),
            "23P01",
            None,
            "exclusion",
        ),
        of(
            "unique",
            "v text, r int DEFAULT 1",
            "CREATE UNIQUE INDEX ON TABLE (v) WHERE v = 'bad'",
            Type::Text,
            bad(),
            "23505",
            None,
            "duplicate",
        ),
        of(
            "before",
            "v text",
            trigger("TRIGGER g BEFORE INSERT ON TABLE", "RAISE 'no, %', NEW.id"),
            Type::Text,
            bad(),
            "P0001",
            None,
            "no, ",
        ),
        of(
            "after",
            "v text",
            trigger("TRIGGER g AFTER INSERT ON TABLE", "RAISE 'no, %', NEW.id"),
            Type::Text,
            bad(),
            "P0001",
            None,
            "no, ",
        ),
        of(
            "constraint",
            "v text",
            trigger(
                "CONSTRAINT TRIGGER g AFTER INSERT ON TABLE DEFERRABLE INITIALLY DEFERRED",
                "RAISE 'no, %', NEW.id",
            ),
            Type::Text,
            bad(),
            "P0001",
            None,
            "no, ",
        ),
        of(
            "custom",
            "v text",
            trigger("TRIGGER g BEFORE INSERT ON TABLE", "RAISE 'no' USING ERRCODE = 'MY001'"),
            Type::Text,
            bad(),
            "MY001",
            None,
            "no",
        ),
        of(
            "division",
            "v text",
            trigger("TRIGGER g BEFORE INSERT ON TABLE", "PERFORM 1 / 0"),
            Type::Text,
            bad(),
            "22012",
            None,
            "division",
        ),
    ]
}
