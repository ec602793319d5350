//! The tables of docs/benchmarks.md: between `<!-- bench:NAME -->` and `<!-- /bench:NAME -->` stands what was measured.

use super::{data::Data, family::gathered};
use crate::bench::{
    date,
    peers::comparisons,
    record::{Measured, Record},
    summary,
};

/// Name and text of each table that the records give: `log` and the other groups of a run, `peers.log` and the others.
pub(super) fn all(data: &Data) -> Vec<(String, String)> {
    let mut tables = Vec::new();
    if let Some(record) = &data.run {
        for (group, results) in gathered(record.results.iter().cloned(), |one| one.group.clone()) {
            let parts = summary::tables(&results).iter().map(|table| table.markdown()).collect();
            tables.push((group, with_origin(record, &results, parts)));
        }
    }
    if let Some(record) = &data.peers {
        for (group, results) in gathered(record.results.iter().cloned(), |one| one.group.clone()) {
            let parts = comparisons(&results)
                .iter()
                .map(|one| format!("`{}`: {}.\n\n{}", one.name, one.work, one.table().markdown()))
                .collect();
            tables.push((format!("peers.{group}"), with_origin(record, &results, parts)));
        }
    }
    tables
}

/// A table by itself is not believed: it says when, of what and how it was measured.
fn with_origin(record: &Record, results: &[Measured], parts: Vec<String>) -> String {
    let rounds = results.iter().flat_map(|one| &one.figures).map(|series| series.values.len()).max();
    let Record { commit, machine, span_ms, settings, .. } = record;
    let changed = if commit.dirty { " with changes" } else { "" };
    let settings = settings.iter().map(|pair| format!(", `{pair}`")).collect::<String>();
    let origin = format!(
        "{}, commit {}{changed}; medians of {} rounds of {span_ms} ms{settings}. {}.",
        date::told(record.made_at_s),
        commit.id,
        rounds.unwrap_or_default(),
        machine.told(),
    );
    [vec![origin], parts].concat().join("\n\n")
}

/// A text with tables in their places.
pub(super) struct Placed {
    pub(super) text: String,
    /// The names of those that were put in.
    pub(super) placed: Vec<String>,
    /// The names of those that were not measured, and stay as they were.
    pub(super) kept: Vec<String>,
}

/// Puts tables between their marks.
///
/// # Errors
/// A mark that is opened and not closed.
pub(super) fn placed(text: &str, tables: &[(String, String)]) -> Result<Placed, String> {
    const OPEN: &str = "<!-- bench:";
    const END: &str = " -->";
    let mut result = Placed { text: String::new(), placed: Vec::new(), kept: Vec::new() };
    let mut rest = text;
    while let Some(start) = rest.find(OPEN) {
        let after = &rest[start + OPEN.len()..];
        let name = after.split_once(END).map(|(name, _)| name).filter(|name| !name.contains(['\n', ' ']));
        let name =
            name.ok_or_else(|| format!("a mark is not ended with `{END}`: {OPEN}{}", line_of(after)))?;
        let body = start + OPEN.len() + name.len() + END.len();
        let close = format!("<!-- /bench:{name}{END}");
        let end = rest[body..].find(&close).ok_or_else(|| format!("there is no {close}"))? + body;
        result.text.push_str(&rest[..body]);
        match tables.iter().find(|(other, _)| other == name) {
            Some((_, table)) => {
                result.text.push_str(&format!("\n{table}\n"));
                result.placed.push(name.to_owned());
            }
            None => {
                result.text.push_str(&rest[body..end]);
                result.kept.push(name.to_owned());
            }
        }
        result.text.push_str(&close);
        rest = &rest[end + close.len()..];
    }
    result.text.push_str(rest);
    Ok(result)
}

fn line_of(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::report::fixture;

    fn tables() -> Vec<(String, String)> {
        vec![("log".to_owned(), "| new |".to_owned())]
    }

    #[test]
    fn a_table_replaces_what_was_between_its_marks_and_nothing_else() -> Result<(), String> {
        let text = "a\n<!-- bench:log -->\nold\n<!-- /bench:log -->\nb\n<!-- bench:pool -->\nkept\n<!-- /bench:pool -->\nc";
        let result = placed(text, &tables())?;
        assert_eq!(result.text, text.replace("old", "| new |"));
        assert_eq!((result.placed, result.kept), (vec!["log".to_owned()], vec!["pool".to_owned()]));
        let again = placed(&result.text, &tables())?;
        assert_eq!(again.text, result.text, "it can be done again");
        Ok(())
    }

    #[test]
    fn a_mark_that_is_not_closed_is_refused() {
        for text in ["<!-- bench:log -->\nold", "<!-- bench:log", "<!-- bench:log -->\n<!-- /bench:lag -->"] {
            assert!(placed(text, &tables()).is_err(), "{text}");
        }
    }

    #[test]
    fn each_group_has_a_table_and_says_where_it_is_from() {
        let run = fixture::record(vec![fixture::rate("log.a", 1e6), fixture::latency("pool.b", 3.0)]);
        let peers =
            fixture::record(vec![fixture::rate("log.w1/standpipe", 2.0), fixture::rate("log.w1/x", 1.0)]);
        let tables = all(&Data::of(Some(run), Some(peers)));
        let names: Vec<_> = tables.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["log", "pool", "peers.log"]);
        assert!(
            tables[0].1.contains("medians of 3 rounds of 500 ms, `wal.durability=group`"),
            "{}",
            tables[0].1
        );
        assert!(tables[2].1.contains("2.00x"), "{}", tables[2].1);
    }
}
