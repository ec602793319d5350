//! What there is to run.

use standpipe_harness::{Driver, Listed};

use super::{
    catalogue::Catalogue,
    table::{Cell, Table, Tone},
};

/// The chosen workloads, and what `--set` takes when `settings` is set.
pub(crate) fn shown(catalogue: &Catalogue, chosen: &[Listed], settings: bool) -> String {
    let mut parts = if settings { vec![keys(catalogue).listed()] } else { workloads(catalogue, chosen) };
    parts.push(count(catalogue, chosen, settings));
    parts.join("\n\n")
}

fn workloads(catalogue: &Catalogue, chosen: &[Listed]) -> Vec<String> {
    let mut table = Table::new(["workload", "set", "driver", "measures"]);
    for one in chosen {
        let set = if one.quick { "quick" } else { "full" };
        let driver = match one.driver {
            Driver::Scenario => "scenario",
            Driver::Criterion => "criterion",
        };
        table.row([one.name.as_str(), set, driver, one.measures.as_str()]);
    }
    let mut reserved = Table::new(["reserved, not there yet", "will measure"]);
    for one in &catalogue.reserved {
        reserved
            .row([one.name.as_str(), one.measures.as_str()].map(|text| Cell::from(text).tone(Tone::Faint)));
    }
    let tables = [table, reserved];
    tables.iter().filter(|table| !table.is_empty()).map(Table::listed).collect()
}

fn keys(catalogue: &Catalogue) -> Table {
    let mut table = Table::new(["setting", "what it sets, and how its values are written"]);
    for (key, says) in &catalogue.keys {
        table.row([key.as_str(), says.as_str()]);
    }
    table
}

fn count(catalogue: &Catalogue, chosen: &[Listed], settings: bool) -> String {
    if settings {
        let example = catalogue.keys.first().map_or("key", |(key, _)| key);
        return format!("{} settings; give one as --set {example}=VALUE", catalogue.keys.len());
    }
    let quick = chosen.iter().filter(|one| one.quick).count();
    format!(
        "{} workloads, {quick} in the quick set; reserved places: {}",
        chosen.len(),
        catalogue.reserved.len()
    )
}

#[cfg(test)]
mod tests {
    use standpipe_harness::Reserved;

    use super::*;

    #[test]
    fn reserved_places_are_listed_and_not_counted() {
        let listed = |name: &str, quick| Listed {
            name: name.to_owned(),
            group: "log".to_owned(),
            measures: "records".to_owned(),
            quick,
            revision: 1,
            driver: Driver::Scenario,
        };
        let catalogue = Catalogue {
            workloads: vec![listed("log.a", true), listed("log.b", false)],
            reserved: vec![Reserved { name: "txn.*".to_owned(), measures: "two-phase commit".to_owned() }],
            keys: vec![("wal.durability".to_owned(), "group, sync".to_owned())],
        };
        let text = shown(&catalogue, &catalogue.workloads, false);
        assert!(text.contains("txn.*") && text.contains("log.b"), "{text}");
        assert!(text.ends_with("2 workloads, 1 in the quick set; reserved places: 1"), "{text}");
        let text = shown(&catalogue, &catalogue.workloads, true);
        assert!(text.contains("wal.durability") && !text.contains("log.a"), "{text}");
    }
}
