//! Workloads that differ in one number only, by their names: `log.group.1k.w8` and `log.group.1k.w64`.

use crate::bench::record::Measured;

/// What the number counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Along {
    /// `w8`: who write at the same time.
    Writers,
    /// `c50`: who wait for a connection at the same time.
    Tasks,
    /// `n100`, `b100`, `batch_1k`: rows or records handed over at once.
    Batch,
}

/// A workload that is one of a family.
#[derive(Clone, Debug)]
pub(super) struct Member<'a> {
    /// The name without the number.
    pub(super) family: String,
    pub(super) along: Along,
    pub(super) at: f64,
    pub(super) measured: &'a Measured,
}

impl Along {
    pub(super) fn told(self) -> &'static str {
        match self {
            Along::Writers => "writers",
            Along::Tasks => "tasks",
            Along::Batch => "rows in a batch",
        }
    }

    /// One number of it.
    pub(super) fn of(self, at: f64) -> String {
        match self {
            Along::Writers if at == 1.0 => "1 writer".to_owned(),
            Along::Writers => format!("{at} writers"),
            Along::Tasks => format!("{at} tasks"),
            Along::Batch => format!("{at} rows"),
        }
    }
}

/// The members among the workloads, in their order.
pub(super) fn members(results: &[Measured]) -> Vec<Member<'_>> {
    results.iter().filter_map(member).collect()
}

fn member(measured: &Measured) -> Option<Member<'_>> {
    let (parts, last) = measured.workload.rsplit_once('.')?;
    let by_letter = || {
        let along = match last.chars().next()? {
            'w' => Along::Writers,
            'c' => Along::Tasks,
            'n' | 'b' => Along::Batch,
            _ => return None,
        };
        Some((parts.to_owned(), along, number(&last[1..])?))
    };
    let by_word = || {
        let (word, count) = last.rsplit_once('_')?;
        let along = match word.rsplit('_').next()? {
            "batch" | "rows" => Along::Batch,
            "writers" => Along::Writers,
            _ => return None,
        };
        Some((format!("{parts}.{word}"), along, number(count)?))
    };
    let (family, along, at) = by_letter().or_else(by_word)?;
    Some(Member { family, along, at, measured })
}

/// `100`, `10k`.
fn number(text: &str) -> Option<f64> {
    let (digits, factor) = match text.strip_suffix('k') {
        Some(digits) => (digits, 1e3),
        None => (text, 1.0),
    };
    let fits = !digits.is_empty() && digits.len() <= 9 && digits.bytes().all(|digit| digit.is_ascii_digit());
    fits.then(|| digits.parse::<f64>().ok())?.map(|number| number * factor).filter(|number| *number > 0.0)
}

/// Puts what belongs together side by side, in the order in which each first came.
pub(super) fn gathered<T, K: PartialEq>(
    all: impl IntoIterator<Item = T>,
    key: impl Fn(&T) -> K,
) -> Vec<(K, Vec<T>)> {
    let mut gathered: Vec<(K, Vec<T>)> = Vec::new();
    for one in all {
        let key = key(&one);
        match gathered.iter_mut().find(|(other, _)| *other == key) {
            Some((_, members)) => members.push(one),
            None => gathered.push((key, vec![one])),
        }
    }
    gathered
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::report::fixture;

    #[test]
    fn numbers_in_names() {
        let told = |name: &str| {
            let measured = fixture::measured(name, &[]);
            member(&measured).map(|member| (member.family.clone(), member.along, member.at))
        };
        let some = |family: &str, along, at| Some((family.to_owned(), along, at));
        assert_eq!(told("log.group.1k.w8"), some("log.group.1k", Along::Writers, 8.0));
        assert_eq!(told("throughput.batch_10k"), some("throughput.batch", Along::Batch, 10_000.0));
        assert_eq!(told("buffer.batch.n10"), some("buffer.batch", Along::Batch, 10.0));
        for other in
            ["pool.warm", "pool.cold", "log.open", "checkpoint.none", "w8", "a.w", "a.w0", "a.n1e9", "a.ß"]
        {
            assert_eq!(told(other), None, "{other}");
        }
    }
}
