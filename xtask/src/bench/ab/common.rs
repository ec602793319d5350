//! What both builds have, and can be compared by.

use standpipe_harness::Listed;

use crate::bench::catalogue::Catalogue;

/// The workloads that are measured, and why others are not.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Common {
    pub(crate) workloads: Vec<Listed>,
    /// `name: reason`.
    pub(crate) apart: Vec<String>,
}

impl Common {
    /// Of what is wanted of this tree's catalogue, that which the base has in the same revision.
    pub(crate) fn of(
        base: &Catalogue,
        this: &Catalogue,
        wanted: &[String],
        quick: bool,
    ) -> Result<Self, String> {
        let chosen = this.select(wanted, quick)?;
        // The base need not have what is wanted; whether it does is what is asked here.
        let before = base.select(wanted, quick).unwrap_or_default();
        let mut common = Common { workloads: Vec::new(), apart: Vec::new() };
        for one in chosen {
            match base.workloads.iter().find(|other| other.name == one.name) {
                None => common.apart.push(format!("{}: the base has no such workload", one.name)),
                Some(other) if other.revision != one.revision || other.driver != one.driver => {
                    let (was, is) = (other.revision, one.revision);
                    common
                        .apart
                        .push(format!("{}: measures something else now (revision {was} to {is})", one.name));
                }
                Some(_) => common.workloads.push(one),
            }
        }
        let gone = before.iter().filter(|one| !this.workloads.iter().any(|other| other.name == one.name));
        common.apart.extend(gone.map(|one| format!("{}: this tree has no such workload", one.name)));
        if common.workloads.is_empty() {
            return Err(format!("there is no workload that both have:\n  {}", common.apart.join("\n  ")));
        }
        Ok(common)
    }
}

#[cfg(test)]
mod tests {
    use standpipe_harness::Driver;

    use super::*;

    fn catalogue(workloads: &[(&str, u32)]) -> Catalogue {
        let listed = |(name, revision): &(&str, u32)| Listed {
            name: (*name).to_owned(),
            group: name.split('.').next().unwrap_or_default().to_owned(),
            measures: String::new(),
            quick: true,
            revision: *revision,
            driver: Driver::Scenario,
        };
        let workloads = workloads.iter().map(listed).collect();
        Catalogue { workloads, reserved: Vec::new(), keys: Vec::new() }
    }

    #[test]
    fn what_both_have_is_compared_and_the_rest_is_named() -> Result<(), String> {
        let base = catalogue(&[("log.a", 1), ("log.b", 1), ("log.gone", 1), ("pool.x", 1)]);
        let this = catalogue(&[("log.a", 1), ("log.b", 2), ("log.new", 1), ("pool.x", 1)]);
        let common = Common::of(&base, &this, &["log".to_owned()], true)?;
        assert_eq!(common.workloads.iter().map(|one| one.name.as_str()).collect::<Vec<_>>(), ["log.a"]);
        let apart: Vec<_> = common.apart.iter().filter_map(|text| text.split(':').next()).collect();
        assert_eq!(apart, ["log.b", "log.new", "log.gone"]);
        Ok(())
    }

    #[test]
    fn nothing_in_common_is_an_error() {
        let (base, this) = (catalogue(&[("pool.x", 1)]), catalogue(&[("log.a", 1)]));
        let error = Common::of(&base, &this, &[], true);
        assert!(error.is_err_and(|message| message.contains("log.a") && message.contains("pool.x")));
        assert!(Common::of(&base, &this, &["nothing".to_owned()], true).is_err());
    }
}
