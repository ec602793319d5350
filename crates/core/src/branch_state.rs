use crate::Error;

/// Whether a branch may go on, for those who implement [`Branch`](crate::Branch): after an error, or a call whose future was
/// dropped, nothing but rollback is left.
///
/// ```
/// # use standpipe_core::{BranchState, Error};
/// let mut state = BranchState::default();
/// state.start()?;
/// let outcome: Result<(), Error> = Err(Error::retry("the connection was lost"));
/// state.end(&outcome);
/// assert!(state.check().is_err());
/// # Ok::<(), Error>(())
/// ```
#[derive(Debug, Default)]
pub struct BranchState(State);

#[derive(Debug, Default)]
enum State {
    #[default]
    Fit,
    /// A call has not come back, or its future was dropped.
    UnderWay,
    Failed(String),
}

impl BranchState {
    /// Before a call, and before the commit.
    ///
    /// # Errors
    /// [`Invalid`](crate::ErrorKind::Invalid): an earlier call failed, which the message repeats, or was dropped.
    pub fn check(&self) -> Result<(), Error> {
        match &self.0 {
            State::Fit => Ok(()),
            State::UnderWay => Err(Error::invalid(
                "a call on this branch was dropped before it ended; nothing but rollback is left",
            )),
            State::Failed(earlier) => {
                Err(Error::invalid(format!("this branch has failed and cannot be committed: {earlier}")))
            }
        }
    }

    /// A call begins. Until [`end`](BranchState::end) no other may.
    ///
    /// # Errors
    /// As [`check`](BranchState::check).
    pub fn start(&mut self) -> Result<(), Error> {
        self.check()?;
        self.0 = State::UnderWay;
        Ok(())
    }

    /// The call has come back with this.
    pub fn end<T>(&mut self, outcome: &Result<T, Error>) {
        self.0 = match outcome {
            Ok(_) => State::Fit,
            Err(error) => State::Failed(error.to_string()),
        };
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn nothing_follows_an_error_or_a_call_that_was_dropped() {
        let mut state = BranchState::default();
        state.start().unwrap();
        assert!(state.start().unwrap_err().to_string().contains("dropped"));
        state.end(&Ok(()));
        state.start().unwrap();
        state.end::<()>(&Err(Error::retry("why")));
        for outcome in [state.check(), state.start()] {
            assert!(outcome.unwrap_err().to_string().contains("why"));
        }
    }
}
