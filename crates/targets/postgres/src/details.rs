//! What else there is to know of a table, beside its columns.

use standpipe_core::Error;

use crate::{
    link::{Answer, Link},
    name::{literal, quoted_table},
    table::Found,
};

/// Finds out what the elements of its arrays are, down through domains. Says whether the server does not log the table's
/// rows, or those of a partition: then it empties it after a crash. One round trip.
pub(crate) async fn look(link: &mut Link, found: &mut Found) -> Result<bool, Error> {
    let table = literal(&quoted_table(&found.name)?);
    let query = format!(
        "WITH RECURSIVE d(name, oid, modifier, depth) AS ( \
           SELECT a.attname, a.atttypid, a.atttypmod, 0 FROM pg_catalog.pg_attribute a \
             WHERE a.attrelid = pg_catalog.to_regclass({table}) AND a.attnum > 0 AND NOT a.attisdropped \
           UNION ALL SELECT d.name, CASE t.typtype WHEN 'd' THEN t.typbasetype ELSE t.typelem END, \
             CASE t.typtype WHEN 'd' THEN t.typtypmod ELSE d.modifier END, d.depth + 1 \
             FROM d JOIN pg_catalog.pg_type t ON t.oid = d.oid \
             WHERE t.typtype = 'd' OR (t.typcategory = 'A' AND t.typelem <> 0)) \
         SELECT DISTINCT ON (name) name::text, oid::text, modifier::text FROM d ORDER BY name, depth DESC; \
         SELECT EXISTS (SELECT FROM pg_catalog.pg_class c WHERE c.relpersistence = 'u' AND (c.oid = pg_catalog.to_regclass({table}) \
           OR c.oid IN (SELECT p.relid FROM pg_catalog.pg_partition_tree(pg_catalog.to_regclass({table})) p)))::text"
    );
    let answer = link.ask(&query).await;
    let answer = answer.map_err(|failure| failure.explain(&format!("looking at table {}", found.name)))?;
    let mut is_unlogged = false;
    for row in &answer.rows {
        let first = Answer::text(row, 0)?;
        if row.len() == 1 {
            is_unlogged = first == "true";
            continue;
        }
        let (oid, modifier) = (Answer::text(row, 1)?.parse(), Answer::text(row, 2)?.parse());
        if let (Some(column), Ok(oid), Ok(modifier)) =
            (found.columns.iter_mut().find(|column| column.name == first), oid, modifier)
        {
            column.kind.element = Some((oid, modifier));
        }
    }
    Ok(is_unlogged)
}
