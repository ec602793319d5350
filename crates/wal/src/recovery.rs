//! What is done about what is found: the decisions of opening, without any I/O.

use crate::{
    cursor::Fault,
    planted::{self, Plant},
    remainder::Remainder,
};

/// What was seen where the sound frames of the last segment stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TailFacts {
    /// What is wrong there; `None` when the segment is full to its end.
    pub(crate) fault: Option<Fault>,
    /// Whether the place lies below what was synced before the segment got its name, or a later segment proves that something
    /// was here.
    pub(crate) is_born: bool,
    /// Whether the file ends before the space does that was reserved for it: it was as long as that when it got its name.
    pub(crate) is_cut: bool,
    pub(crate) remainder: Remainder,
}

/// What is said of a file that ends too early.
pub(crate) const CUT: &str = "the file is shorter than the space that was reserved for it";

/// What a tail is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tail {
    /// Nothing was written beyond.
    Clean,
    /// A write that power loss interrupted, never acknowledged: it is cut, and said.
    Torn,
    /// Durable records are damaged: reported, nothing is touched.
    Corrupt,
    /// A later version wrote it: refused by name.
    Unsupported,
}

/// Tells a torn tail from damage.
///
/// | where the sound frames stop | verdict |
/// |---|---|
/// | a whole frame that this build does not know | unsupported |
/// | a whole frame (by its checksum) that makes no sense | corrupt: no torn write has a right checksum |
/// | in what was synced before the segment got its name | corrupt |
/// | before a sound frame that knew this place to be durable | corrupt |
/// | in a file that is shorter than what was reserved for it | corrupt: what is missing was there |
/// | at the segment's end | clean |
/// | before nothing but zeros; in a recycled file: before no frame that names this place | clean |
/// | otherwise | torn |
pub(crate) fn judge_tail(facts: TailFacts) -> Tail {
    match verdict(facts) {
        Tail::Corrupt if planted::is(Plant::CutsDamage) => Tail::Torn,
        Tail::Torn if planted::is(Plant::RefusesTornTails) => Tail::Corrupt,
        tail => tail,
    }
}

impl TailFacts {
    /// What is wrong, in words.
    pub(crate) fn what(&self) -> &'static str {
        let is_told = self.is_born || self.remainder.proof.is_some();
        match self.fault {
            Some(fault @ (Fault::Senseless(_) | Fault::Unknown)) => fault.what(),
            Some(fault) if is_told || !self.is_cut => fault.what(),
            _ if self.is_cut => CUT,
            _ => "frames do not end where they must",
        }
    }
}

fn verdict(facts: TailFacts) -> Tail {
    match facts {
        TailFacts { fault: Some(Fault::Unknown), .. } => Tail::Unsupported,
        TailFacts { fault: Some(Fault::Senseless(_)), .. } => Tail::Corrupt,
        TailFacts { is_born: true, .. } => Tail::Corrupt,
        TailFacts { remainder: Remainder { proof: Some(_), .. }, .. } => Tail::Corrupt,
        TailFacts { is_cut: true, .. } => Tail::Corrupt,
        TailFacts { fault: None, .. } => Tail::Clean,
        TailFacts { remainder: Remainder { is_blank: true, .. }, .. } => Tail::Clean,
        TailFacts { fault: Some(Fault::Broken(_)), .. } => Tail::Torn,
    }
}

/// What was seen of one segment beside its neighbours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LinkFacts {
    /// Its header is sound.
    pub(crate) header: bool,
    /// Its header has the number that its name has.
    pub(crate) named: bool,
    /// Its first frame says how it begins.
    pub(crate) begun: bool,
    /// It is the oldest one there: what came before may have been truncated.
    pub(crate) oldest: bool,
    /// The segment numbered one less is there, is of the same log, and is the one that the header means.
    pub(crate) linked: bool,
    /// What it says of the end of the one before can be.
    pub(crate) sensible: bool,
    /// The one before is as long as the header says.
    pub(crate) reaches: bool,
}

/// What is said of a segment that names another one than the one before it.
pub(crate) const NOT_LINKED: &str = "the segment before it is missing, or another one lies in its place";

/// Whether a segment takes its place in the chain; otherwise what is wrong.
pub(crate) fn judge_link(facts: LinkFacts) -> Result<(), &'static str> {
    match facts {
        LinkFacts { header: false, .. } => Err("the segment header is damaged"),
        LinkFacts { named: false, .. } => Err("the segment's name is not the number in its header"),
        LinkFacts { begun: false, .. } => Err("the segment's first frame is damaged"),
        LinkFacts { oldest: true, .. } => Ok(()),
        LinkFacts { linked: false, .. } => Err(NOT_LINKED),
        LinkFacts { sensible: false, .. } => Err("the segment before it cannot end where it says"),
        LinkFacts { reaches: false, .. } => {
            Err("the segment before it is shorter than it was when it was finished")
        }
        LinkFacts { .. } => Ok(()),
    }
}

/// How many numbers to skip after a log that acknowledged before it synced was not closed: records above the ones
/// that are left may have been read, and their numbers must not be given again. No more were lost than fit between
/// here and the segment's end, for each takes 8 bytes at least and a segment is synced before the next one is begun.
pub(crate) fn skipped_numbers(relaxed: bool, closed: bool, lost_bytes_max: u64) -> u64 {
    if relaxed && !closed { lost_bytes_max / 8 + 1 } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_case_of_the_tail_is_decided() {
        let faults = [None, Some(Fault::Broken("x")), Some(Fault::Senseless("x")), Some(Fault::Unknown)];
        let mut counted = [0; 4];
        for fault in faults {
            for (is_born, is_cut) in [(false, false), (false, true), (true, false), (true, true)] {
                for is_blank in [false, true] {
                    for proof in [None, Some(8192)] {
                        let remainder = Remainder { is_blank, proof };
                        let facts = TailFacts { fault, is_born, is_cut, remainder };
                        let verdict = judge_tail(facts);
                        let proven = is_born || is_cut || proof.is_some();
                        match fault {
                            Some(Fault::Unknown) => assert_eq!(verdict, Tail::Unsupported),
                            Some(Fault::Senseless(_)) => assert_eq!(verdict, Tail::Corrupt),
                            _ if proven => {
                                assert_eq!(verdict, Tail::Corrupt, "proven damage is never cut: {facts:?}")
                            }
                            Some(Fault::Broken(_)) if !is_blank => assert_eq!(verdict, Tail::Torn),
                            _ => assert_eq!(verdict, Tail::Clean),
                        }
                        counted[verdict as usize] += 1;
                    }
                }
            }
        }
        assert_eq!(counted, [3, 1, 44, 16], "clean, torn, corrupt, unsupported");
    }

    #[test]
    fn every_case_of_a_link_is_decided() {
        for case in 0..128_u32 {
            let bit = |at: u32| case & (1 << at) != 0;
            let facts = LinkFacts {
                header: bit(0),
                named: bit(1),
                oldest: bit(2),
                linked: bit(3),
                reaches: bit(4),
                begun: bit(5),
                sensible: bit(6),
            };
            let good = facts.header
                && facts.named
                && facts.begun
                && (facts.oldest || (facts.linked && facts.sensible && facts.reaches));
            assert_eq!(judge_link(facts).is_ok(), good, "{facts:?}");
        }
    }

    #[test]
    fn numbers_are_skipped_only_where_one_may_have_been_read_and_lost() {
        assert_eq!(skipped_numbers(false, false, 800), 0);
        assert_eq!(skipped_numbers(true, true, 800), 0);
        assert_eq!(skipped_numbers(true, false, 800), 101);
    }
}
