//! Types of blocks and declared types of columns.

use standpipe_core::Type;

/// The type that `create` declares for a column.
pub(crate) const fn declared(kind: Type) -> &'static str {
    match kind {
        Type::Int2 | Type::Int4 | Type::Int8 => "INTEGER",
        Type::Float4 | Type::Float8 => "REAL",
        Type::Bool => "BOOLEAN",
        Type::Bytea => "BLOB",
        Type::Date => "DATE",
        Type::Time => "TIME",
        Type::Timestamp => "TIMESTAMP",
        Type::Timestamptz => "TIMESTAMPTZ",
        // A JSON number or a numeric in a column declared as anything else would become SQLite's own number, of 15 digits.
        _ => "TEXT",
    }
}

/// The type of blocks for a column declared so: what `create` declares, then SQLite's own rules of affinity. Text where
/// those say NUMERIC: SQLite turns into numbers what can be, and nothing is lost before.
pub(crate) fn of(declared: &str) -> Type {
    let declared = declared.trim().to_ascii_uppercase();
    match declared.as_str() {
        "BOOLEAN" | "BOOL" => return Type::Bool,
        "DATE" => return Type::Date,
        "TIME" => return Type::Time,
        "TIMESTAMP" => return Type::Timestamp,
        "TIMESTAMPTZ" => return Type::Timestamptz,
        _ => {}
    }
    let has = |part: &str| declared.contains(part);
    if has("INT") {
        Type::Int8
    } else if has("CHAR") || has("CLOB") || has("TEXT") {
        Type::Text
    } else if has("BLOB") {
        Type::Bytea
    } else if has("REAL") || has("FLOA") || has("DOUB") {
        Type::Float8
    } else {
        Type::Text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn declared_types_are_read_by_name_then_by_affinity() {
        for (text, kind) in [
            ("BIGINT", Type::Int8),
            ("varchar(20)", Type::Text),
            ("CHARINT", Type::Int8),
            ("double precision", Type::Float8),
            ("NUMERIC(10,2)", Type::Text),
            ("DATETIME", Type::Text),
            ("", Type::Text),
            ("blob", Type::Bytea),
            ("boolean", Type::Bool),
        ] {
            assert_eq!(of(text), kind, "{text}");
        }
    }

    #[test]
    fn what_is_created_is_described_as_a_type_that_holds_it() {
        for kind in Type::ALL {
            let described = of(declared(kind));
            let expected = match kind {
                Type::Int2 | Type::Int4 => Type::Int8,
                Type::Float4 => Type::Float8,
                Type::Uuid | Type::Json | Type::Numeric => Type::Text,
                same => same,
            };
            assert_eq!(described, expected, "{kind}");
        }
    }
}
