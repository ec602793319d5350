//! JSON arrays as PostgreSQL's array constants.

use serde_json::Value;

/// Dimensions that the server's arrays have at most.
const DIMENSIONS_MAX: u32 = 6;

/// Whether the text of an array column is JSON, rather than the server's own `{..}`, which may have its bounds before it:
/// `[2:3]={..}`.
pub(crate) fn is_json(text: &[u8]) -> bool {
    let text = text.trim_ascii();
    text.starts_with(b"[") && !(text.ends_with(b"}") && text.windows(2).any(|pair| pair == b"]="))
}

/// Appends `{..}` for `[..]`. `is_json`: the elements are JSON themselves, and stay as they are written.
pub(crate) fn render(text: &[u8], is_json: bool, out: &mut Vec<u8>) -> Result<(), String> {
    render_within(text, DIMENSIONS_MAX, is_json, out)
}

fn render_within(text: &[u8], dimensions: u32, is_json: bool, out: &mut Vec<u8>) -> Result<(), String> {
    if dimensions == 0 {
        return Err(format!("arrays have at most {DIMENSIONS_MAX} dimensions"));
    }
    let elements: Vec<&serde_json::value::RawValue> =
        serde_json::from_slice(text).map_err(|error| format!("no JSON array: {error}"))?;
    out.push(b'{');
    for (index, element) in elements.into_iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        let raw = element.get();
        match raw.as_bytes().first() {
            Some(b'[') => render_within(raw.as_bytes(), dimensions - 1, is_json, out)?,
            Some(b'n') => out.extend_from_slice(b"NULL"),
            Some(b'"') if !is_json => match serde_json::from_str(raw) {
                Ok(Value::String(text)) => quote(text.as_bytes(), out),
                _ => return Err("no JSON string".to_owned()),
            },
            // Numbers as they are written: nothing is lost on the way through a float.
            _ => quote(raw.as_bytes(), out),
        }
    }
    out.push(b'}');
    Ok(())
}

/// Appends an element in quotes.
pub(crate) fn quote(text: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    for byte in text {
        if matches!(byte, b'"' | b'\\') {
            out.push(b'\\');
        }
        out.push(*byte);
    }
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_arrays_become_the_servers_own() {
        for (json, expected) in [
            ("[]", "{}"),
            ("[1, null, -2.50]", r#"{"1",NULL,"-2.50"}"#),
            (r#"["a\"b", "c\\d", "", "NULL"]"#, r#"{"a\"b","c\\d","","NULL"}"#),
            ("[[1],[2]]", r#"{{"1"},{"2"}}"#),
            (r#"[{"a":1}, true]"#, r#"{"{\"a\":1}","true"}"#),
        ] {
            let mut out = Vec::new();
            render(json.as_bytes(), false, &mut out).unwrap();
            assert_eq!(String::from_utf8(out).unwrap(), expected);
        }
        assert!(render(b"[1,", false, &mut Vec::new()).is_err());
        // As deep as a hostile row likes: an error, and no end of the stack.
        assert!(render(&b"[".repeat(1_000_000), false, &mut Vec::new()).is_err());
        let deep = [b"[".repeat(200_000), b"]".repeat(200_000)].concat();
        assert!(render(&deep, false, &mut Vec::new()).unwrap_err().contains("6 dimensions"));
        assert!(is_json(b" [1]") && !is_json(b"{1}") && !is_json(b"[0:1]={1,2}"));
    }

    #[test]
    fn json_within_stays_json() {
        let mut out = Vec::new();
        render(b"[\"1\", 1, null, {\"a\": \"b\"}]", true, &mut out).unwrap();
        assert_eq!(out, br#"{"\"1\"","1",NULL,"{\"a\": \"b\"}"}"#);
    }
}
