#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod acquire;
mod batch;
mod block;
mod branch;
mod branch_state;
mod claim;
mod dead_letter;
mod decision;
mod error;
mod finding;
mod ledger;
mod participant;
mod resolution;
mod schema;
mod stream;
mod table;
mod target;

pub use acquire::{Acquire, Connect, Lease};
pub use batch::Batch;
pub use block::{Block, Lines, Origin, RejectedRow};
pub use branch::{Branch, Reject, Vote};
pub use branch_state::BranchState;
pub use claim::{Claim, ClaimRequest, Verdict, Window};
pub use dead_letter::{DeadLetter, LetterId, LetterPage};
pub use decision::{Decision, DecisionLog, ParticipantId};
pub use error::{Error, ErrorKind};
pub use finding::{Finding, FindingLevel};
pub use ledger::{LEDGER_FORMAT, LedgerRow};
pub use participant::{Participant, Xid};
pub use resolution::{LaneOutcome, Resolution};
pub use schema::{Column, Schema, SchemaId, Type};
pub use stream::{LaneId, SourceId, StreamId};
pub use table::{ColumnShape, Destination, Mode, TableName, TableShape};
pub use target::{Advance, Guarantee, Target};

/// The attribute that makes the async traits of this crate usable as `dyn`; implementers need it.
pub use async_trait::async_trait;
