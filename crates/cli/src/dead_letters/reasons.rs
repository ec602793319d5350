use std::{cmp::Reverse, collections::HashMap};

use standpipe::core::DeadLetter;

use super::list::why;
use crate::size;

/// Kinds that are told apart: millions of letters may have as many reasons.
const KINDS_MAX: usize = 1000;
/// Kinds that are shown.
const SHOWN: usize = 10;

/// How many letters there are of each kind: reasons that differ only in the values they quote are of one kind.
#[derive(Default)]
pub(crate) struct Reasons {
    kinds: HashMap<String, u64>,
    other: u64,
    total: u64,
}

impl Reasons {
    pub(crate) fn count(&mut self, letter: &DeadLetter) {
        self.total += 1;
        let kind = why(letter, &kind(&letter.reason));
        if let Some(count) = self.kinds.get_mut(&kind) {
            *count += 1;
        } else if self.kinds.len() < KINDS_MAX {
            self.kinds.insert(kind, 1);
        } else {
            self.other += 1;
        }
    }

    pub(crate) fn total(&self) -> u64 {
        self.total
    }

    /// The most frequent kinds first, with their counts.
    pub(crate) fn lines(&self) -> impl Iterator<Item = String> {
        let mut kinds: Vec<(&String, &u64)> = self.kinds.iter().collect();
        kinds.sort_by_key(|(kind, count)| (Reverse(**count), *kind));
        let rest = kinds.iter().skip(SHOWN).map(|(_, count)| **count).sum::<u64>() + self.other;
        let mut shown: Vec<(u64, &str)> =
            kinds.into_iter().take(SHOWN).map(|(kind, count)| (*count, kind.as_str())).collect();
        if rest > 0 {
            shown.push((rest, "for other reasons"));
        }
        let width = shown.iter().map(|(count, _)| size::count(*count).len()).max().unwrap_or(0);
        let lines: Vec<String> = shown
            .into_iter()
            .map(|(count, kind)| format!("  {:>width$}  {kind}", size::count(count)))
            .collect();
        lines.into_iter()
    }
}

/// The reason without the values that it quotes, and without its numbers.
fn kind(reason: &str) -> String {
    let mut kind = String::with_capacity(reason.len());
    let mut letters = reason.chars().peekable();
    let mut in_word = false;
    while let Some(letter) = letters.next() {
        match letter {
            '"' => {
                let mut escaped = false;
                for quoted in letters.by_ref() {
                    if quoted == '"' && !escaped {
                        break;
                    }
                    escaped = quoted == '\\' && !escaped;
                }
                kind.push('…');
            }
            '0'..='9' if !in_word => {
                while letters.next_if(|next| next.is_ascii_digit() || matches!(next, '.' | ',')).is_some() {}
                kind.push('N');
            }
            other => kind.push(other),
        }
        in_word = letter.is_alphanumeric() || letter == '_';
    }
    kind
}

#[cfg(test)]
mod tests {
    use super::kind;

    #[test]
    fn values_and_numbers_make_no_kind_of_their_own() {
        for (reason, expected) in [
            (r#"expected an integer, found "x\"y""#, "expected an integer, found …"),
            ("the record has 3 fields, the header 12", "the record has N fields, the header N"),
            ("value 1,234.5 is no int4", "value N is no int4"),
            ("UNIQUE constraint failed: t2.id", "UNIQUE constraint failed: t2.id"),
            (r#"never "closed"#, "never …"),
        ] {
            assert_eq!(kind(reason), expected);
        }
    }
}
