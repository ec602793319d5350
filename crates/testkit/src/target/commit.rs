use std::collections::BTreeMap;

use standpipe_core::{LaneId, TableName};

use super::database::{Change, Effects};

/// What one commit did, as the database saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commit {
    /// Its place among all commits, from 1.
    pub number: u64,
    /// The lanes that it moved, in the order of the calls.
    pub lanes: Vec<MovedLane>,
    /// The rows that it wrote, by table.
    pub rows: BTreeMap<TableName, u64>,
    /// The dead letters that it kept.
    pub dead_letters: u64,
    /// The tables that it emptied.
    pub truncated: Vec<TableName>,
}

/// How far a commit moved a lane.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MovedLane {
    /// The lane.
    pub lane: LaneId,
    /// The position before.
    pub from: u64,
    /// The position after.
    pub to: u64,
    /// What the source wanted to be remembered.
    pub source_position: String,
    /// The source ended here.
    pub complete: bool,
}

impl Commit {
    pub(crate) fn of(number: u64, effects: &Effects) -> Self {
        let mut rows = BTreeMap::new();
        let mut truncated = Vec::new();
        for change in &effects.changes {
            match change {
                Change::Truncate(table) => truncated.push(table.clone()),
                Change::Put(destination, _) => *rows.entry(destination.table.clone()).or_default() += 1,
            }
        }
        let lanes = effects
            .moves
            .iter()
            .map(|step| MovedLane {
                lane: step.lane.clone(),
                from: step.from,
                to: step.to.position,
                source_position: step.to.source_position.clone(),
                complete: step.to.complete,
            })
            .collect();
        Commit { number, lanes, rows, dead_letters: effects.letters.len() as u64, truncated }
    }
}
