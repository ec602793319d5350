//! Reading a log back when a program starts, before anything is appended.

mod apply;
mod block;
mod by_key;
mod error;
mod feed;
mod key;
mod pile;
mod progress;
mod recovering;
mod ring;
mod run;
mod serial;
#[cfg(test)]
mod tests;
mod transactions;
mod yard;

pub use error::ReplayError;
pub use key::Key;
pub use progress::{Progress, Replayed};
pub use recovering::Recovering;
pub use run::Replay;
pub use transactions::{Mark, Transacted, Transaction, Unfinished};
