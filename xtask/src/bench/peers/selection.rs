//! Which contenders take part.

use standpipe_harness::Listed;

/// Those of the wanted groups, comparisons and contenders; all of them when none is named. Who is compared is
/// compared with standpipe, so it is always of the party.
pub(super) fn select(workloads: &[Listed], wanted: &[String]) -> Result<Vec<Listed>, String> {
    let is_wanted = |one: &Listed, word: &str| {
        one.group == word
            || one.name == word
            || comparison_of(&one.name) == word
            || (word.ends_with('.') && one.name.starts_with(word))
    };
    for word in wanted {
        if !workloads.iter().any(|one| is_wanted(one, word)) {
            let mut groups: Vec<_> = workloads.iter().map(|one| one.group.as_str()).collect();
            groups.dedup();
            let groups = groups.join(", ");
            return Err(format!("--group {word}: no such group, comparison or contender; groups: {groups}"));
        }
    }
    let chosen: Vec<&Listed> = workloads
        .iter()
        .filter(|one| wanted.is_empty() || wanted.iter().any(|word| is_wanted(one, word)))
        .collect();
    let is_chosen = |one: &Listed| chosen.iter().any(|other| other.name == one.name);
    let is_their_standard = |one: &Listed| {
        one.name.ends_with("/standpipe")
            && chosen.iter().any(|other| comparison_of(&other.name) == comparison_of(&one.name))
    };
    Ok(workloads.iter().filter(|one| is_chosen(one) || is_their_standard(one)).cloned().collect())
}

/// What stands before the slash.
pub(super) fn comparison_of(name: &str) -> &str {
    name.split_once('/').map_or(name, |(comparison, _)| comparison)
}

/// Whether a contender is a program in Python: its name says so. ADBC is driven from there.
pub(super) fn needs_python(one: &Listed) -> bool {
    one.name
        .split_once('/')
        .is_some_and(|(_, contender)| PYTHON.iter().any(|name| contender.starts_with(name)))
}

const PYTHON: [&str; 2] = ["python", "adbc"];

/// Refuses a setting that no contender knows.
pub(super) fn settings_are_known(set: &[String], keys: &[(String, String)]) -> crate::Outcome {
    for pair in set {
        let key = pair.split_once('=').map_or(pair.as_str(), |(key, _)| key).trim();
        if !keys.iter().any(|(known, _)| known == key) {
            let known: Vec<_> = keys.iter().map(|(known, says)| format!("  {known}: {says}")).collect();
            return Err(format!("--set {pair}: no such setting here. There are:\n{}", known.join("\n")));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use standpipe_harness::Driver;

    use super::*;

    fn listed(name: &str) -> Listed {
        Listed {
            name: name.to_owned(),
            group: name.split('.').next().unwrap_or_default().to_owned(),
            measures: String::new(),
            quick: true,
            revision: 1,
            driver: Driver::Scenario,
        }
    }

    fn selected(wanted: &str) -> Result<Vec<String>, String> {
        let all =
            ["log.w1/standpipe", "log.w1/okaywal", "log.w8/standpipe", "pool.t1/standpipe", "pool.t1/bb8"]
                .map(listed);
        let chosen = select(&all, &[wanted.to_owned()])?;
        Ok(chosen.into_iter().map(|one| one.name).collect())
    }

    #[test]
    fn standpipe_is_always_of_the_party() -> Result<(), String> {
        assert_eq!(selected("log.w1/okaywal")?, ["log.w1/standpipe", "log.w1/okaywal"]);
        assert_eq!(selected("pool.t1")?, ["pool.t1/standpipe", "pool.t1/bb8"]);
        assert_eq!(selected("log")?.len(), 3);
        assert!(selected("lag").is_err_and(|error| error.contains("groups: log, pool")));
        Ok(())
    }
}
