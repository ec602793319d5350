//! Compares what was acknowledged with what is in the target.

use std::{
    collections::{BTreeMap, BTreeSet},
    error, fmt,
};

use standpipe_core::LaneId;

/// What was handed over, what of it was acknowledged, and where it was found in the end. `Id` names a row.
///
/// ```
/// use standpipe_core::{LaneId, StreamId};
/// use standpipe_testkit::history::{History, Violation};
///
/// # fn main() -> Result<(), standpipe_core::Error> {
/// let lane = LaneId { stream: StreamId::new("flights")?, lane: 0 };
/// let mut history = History::new();
/// history.acknowledged(&lane, 1, "a");
/// history.acknowledged(&lane, 2, "b");
/// history.applied(&lane, "a");
/// assert!(matches!(history.check(), Err(Violation::Lost { id: "b", .. })));
/// history.dead_lettered("b");
/// assert_eq!(history.check().map(|summary| summary.applied), Ok(1));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct History<Id = u64> {
    submitted: BTreeSet<Id>,
    acknowledged: BTreeMap<Id, Acknowledged>,
    applied: BTreeMap<LaneId, Vec<Id>>,
    dead_lettered: Vec<Id>,
}

#[derive(Clone, Debug)]
struct Acknowledged {
    lane: LaneId,
    order: u64,
}

/// What a history without a violation amounts to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Rows that were acknowledged.
    pub acknowledged: u64,
    /// Rows found in the target, those included that nobody was told of.
    pub applied: u64,
    /// Rows found among the dead letters.
    pub dead_lettered: u64,
    /// Acknowledged rows found nowhere: 0.
    pub lost: u64,
    /// Rows found more than once: 0.
    pub duplicated: u64,
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Summary { acknowledged, applied, dead_lettered, lost, duplicated } = self;
        write!(
            f,
            "acknowledged {acknowledged}, applied {applied}, dead-lettered {dead_lettered}, \
             lost {lost}, duplicated {duplicated}"
        )
    }
}

/// A promise that was not kept, with the row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Violation<Id> {
    /// Acknowledged, and neither in the target nor among the dead letters.
    Lost {
        /// The row.
        id: Id,
        /// Its lane.
        lane: LaneId,
        /// Its place in the source.
        order: u64,
    },
    /// In the target or among the dead letters more than once in all.
    Duplicated {
        /// The row.
        id: Id,
        /// How often it is in the target.
        applied: u64,
        /// How often it is among the dead letters.
        dead_lettered: u64,
    },
    /// Nobody handed this row over, or not to this lane.
    Phantom {
        /// The row.
        id: Id,
        /// The lane in which it was found; `None` for a dead letter.
        lane: Option<LaneId>,
    },
    /// Behind a row of the same lane that came later in the source.
    Reordered {
        /// The row.
        id: Id,
        /// The lane.
        lane: LaneId,
        /// The row before it in the target, which belongs behind it.
        behind: Id,
    },
}

impl<Id: fmt::Debug> fmt::Display for Violation<Id> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Violation::Lost { id, lane, order } => {
                write!(f, "lost: row {id:?} of {lane} (source order {order}) was acknowledged and is nowhere")
            }
            Violation::Duplicated { id, applied, dead_lettered } => write!(
                f,
                "duplicated: row {id:?} is in the target {applied} times and {dead_lettered} times among the dead letters"
            ),
            Violation::Phantom { id, lane: Some(lane) } => {
                write!(f, "phantom: nobody handed row {id:?} to {lane}")
            }
            Violation::Phantom { id, lane: None } => {
                write!(f, "phantom: nobody handed over row {id:?}, and it is a dead letter")
            }
            Violation::Reordered { id, lane, behind } => {
                write!(f, "reordered: row {id:?} of {lane} was applied behind {behind:?}, which came later")
            }
        }
    }
}

impl<Id: fmt::Debug> error::Error for Violation<Id> {}

impl<Id> Default for History<Id> {
    fn default() -> Self {
        History {
            submitted: BTreeSet::new(),
            acknowledged: BTreeMap::new(),
            applied: BTreeMap::new(),
            dead_lettered: Vec::new(),
        }
    }
}

impl<Id: Ord + Clone> History<Id> {
    /// Nothing has happened.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A row was handed over; whether it will be acknowledged is open. Until it is, it may be found once or not at all.
    pub fn submitted(&mut self, id: Id) {
        self.submitted.insert(id);
    }

    /// A row was acknowledged. `order` is its place in its lane's source, such as its LSN: rows of one lane with different orders
    /// have to be applied in that order; rows with the same order, such as those of one block, may come in any.
    pub fn acknowledged(&mut self, lane: &LaneId, order: u64, id: Id) {
        self.submitted.insert(id.clone());
        self.acknowledged.insert(id, Acknowledged { lane: lane.clone(), order });
    }

    /// A row was found in the target. Call it for the rows of a lane in the order in which they were applied.
    pub fn applied(&mut self, lane: &LaneId, id: Id) {
        self.applied.entry(lane.clone()).or_default().push(id);
    }

    /// A row was found among the dead letters.
    pub fn dead_lettered(&mut self, id: Id) {
        self.dead_lettered.push(id);
    }

    /// Whether every acknowledged row is in the target or among the dead letters exactly once, every other row at most
    /// once, in lane order, and none that nobody handed over.
    ///
    /// # Errors
    /// The first violation: phantoms, then duplicates, then lost rows, then order.
    pub fn check(&self) -> Result<Summary, Violation<Id>> {
        self.check_phantoms()?;
        let found = self.check_duplicates()?;
        for (id, Acknowledged { lane, order }) in &self.acknowledged {
            if !found.contains(id) {
                return Err(Violation::Lost { id: id.clone(), lane: lane.clone(), order: *order });
            }
        }
        self.check_order()?;
        Ok(Summary {
            acknowledged: self.acknowledged.len() as u64,
            applied: self.applied.values().map(|rows| rows.len() as u64).sum(),
            dead_lettered: self.dead_lettered.len() as u64,
            lost: 0,
            duplicated: 0,
        })
    }

    fn check_phantoms(&self) -> Result<(), Violation<Id>> {
        for (lane, rows) in &self.applied {
            for id in rows {
                let elsewhere = self.acknowledged.get(id).is_some_and(|row| row.lane != *lane);
                if elsewhere || !self.submitted.contains(id) {
                    return Err(Violation::Phantom { id: id.clone(), lane: Some(lane.clone()) });
                }
            }
        }
        match self.dead_lettered.iter().find(|id| !self.submitted.contains(id)) {
            Some(id) => Err(Violation::Phantom { id: id.clone(), lane: None }),
            None => Ok(()),
        }
    }

    fn check_duplicates(&self) -> Result<BTreeSet<&Id>, Violation<Id>> {
        let mut found = BTreeMap::<&Id, (u64, u64)>::new();
        for id in self.applied.values().flatten() {
            found.entry(id).or_default().0 += 1;
        }
        for id in &self.dead_lettered {
            found.entry(id).or_default().1 += 1;
        }
        for (id, (applied, dead_lettered)) in &found {
            if applied + dead_lettered > 1 {
                let (applied, dead_lettered) = (*applied, *dead_lettered);
                return Err(Violation::Duplicated { id: (*id).clone(), applied, dead_lettered });
            }
        }
        Ok(found.into_keys().collect())
    }

    fn check_order(&self) -> Result<(), Violation<Id>> {
        for (lane, rows) in &self.applied {
            let mut last: Option<(&Id, u64)> = None;
            for id in rows {
                let Some(order) = self.acknowledged.get(id).map(|row| row.order) else { continue };
                if let Some((behind, _)) = last.filter(|(_, before)| *before > order) {
                    return Err(Violation::Reordered {
                        id: id.clone(),
                        lane: lane.clone(),
                        behind: behind.clone(),
                    });
                }
                last = Some((id, order));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use standpipe_core::StreamId;

    use super::*;

    fn lane(lane: u32) -> LaneId {
        LaneId { stream: StreamId::new("s").unwrap(), lane }
    }

    /// Rows 1 to 4 acknowledged, 9 handed over only; 1, 2 and 4 applied, 3 a dead letter.
    fn good() -> History {
        let mut history = History::new();
        for id in 1..=4 {
            history.acknowledged(&lane(0), id * 10, id);
        }
        history.submitted(9);
        [1, 2, 4].into_iter().for_each(|id| history.applied(&lane(0), id));
        history.dead_lettered(3);
        history
    }

    #[test]
    fn a_good_history_is_summed_up() {
        let summary = good().check().unwrap();
        assert_eq!(summary.to_string(), "acknowledged 4, applied 3, dead-lettered 1, lost 0, duplicated 0");
        let mut history = good();
        history.applied(&lane(0), 9);
        assert_eq!(history.check().unwrap().applied, 4, "an unacknowledged row may be there once");
    }

    #[test]
    fn lost_rows_are_found() {
        let mut history = good();
        history.acknowledged(&lane(1), 7, 5);
        assert_eq!(history.check(), Err(Violation::Lost { id: 5, lane: lane(1), order: 7 }));
    }

    #[test]
    fn duplicates_are_found_wherever_they_are() {
        for twice in [1, 3, 9] {
            let mut history = good();
            history.applied(&lane(0), twice);
            if twice == 9 {
                history.dead_lettered(9);
            }
            let found = history.check();
            assert!(matches!(found, Err(Violation::Duplicated { id, .. }) if id == twice), "{found:?}");
        }
        let mut history = good();
        history.dead_lettered(3);
        assert_eq!(history.check(), Err(Violation::Duplicated { id: 3, applied: 0, dead_lettered: 2 }));
    }

    #[test]
    fn phantoms_are_found_in_the_target_in_another_lane_and_among_dead_letters() {
        let mut history = good();
        history.applied(&lane(0), 77);
        assert_eq!(history.check(), Err(Violation::Phantom { id: 77, lane: Some(lane(0)) }));
        let mut history = good();
        history.acknowledged(&lane(0), 50, 5);
        history.applied(&lane(1), 5);
        assert_eq!(history.check(), Err(Violation::Phantom { id: 5, lane: Some(lane(1)) }));
        let mut history = good();
        history.dead_lettered(77);
        assert_eq!(history.check(), Err(Violation::Phantom { id: 77, lane: None }));
    }

    #[test]
    fn rows_out_of_order_are_found_within_a_lane_only() {
        let mut history = good();
        history.acknowledged(&lane(0), 25, 5);
        history.applied(&lane(0), 5);
        assert_eq!(history.check(), Err(Violation::Reordered { id: 5, lane: lane(0), behind: 4 }));
        let mut history = good();
        history.acknowledged(&lane(1), 5, 5);
        history.applied(&lane(1), 5);
        history.acknowledged(&lane(0), 40, 6);
        history.applied(&lane(0), 6);
        history.check().unwrap();
    }
}
