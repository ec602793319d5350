use crate::{Error, ErrorKind, LEDGER_FORMAT, LaneId, LedgerRow, SourceId, StreamId};

/// The right to move one lane, as of one epoch. Only a target makes one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The lane.
    pub lane: LaneId,
    /// The number of lanes of the stream.
    pub lanes: u32,
    /// The epoch that this claim holds.
    pub epoch: u64,
    /// Everything below this is applied. Moves with every commit.
    pub position: u64,
    /// What the source remembered about `position`.
    pub source_position: String,
}

/// Asks a target for all lanes of a stream.
#[derive(Clone, Debug)]
pub struct ClaimRequest {
    /// The stream.
    pub stream: StreamId,
    /// The number of lanes if the stream is new; `None` takes what the ledger has, or 1.
    pub lanes: Option<u32>,
    /// What the positions count in.
    pub source: SourceId,
    /// The positions that the source can still serve.
    pub window: Window,
    /// Position of a lane that was never claimed before.
    pub origin: u64,
    /// Go on although the ledger says that the source is complete: it has grown.
    pub reopen: bool,
    /// Who asks: host, process and time, for people.
    pub owner: String,
}

/// The positions that a source can still serve: `start..=end`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Window {
    /// The lowest position from which the source can go on.
    pub start: u64,
    /// The position at which the source ends now; `u64::MAX` where it is not known.
    pub end: u64,
    /// Lanes that have nothing between their floor and `start`: a lane at or above its floor misses nothing.
    pub floors: Vec<(u32, u64)>,
}

impl Window {
    /// A source that can serve every position.
    #[must_use]
    pub fn everything() -> Self {
        Window { start: 0, end: u64::MAX, floors: Vec::new() }
    }

    fn floor(&self, lane: u32) -> u64 {
        self.floors.iter().find(|(number, _)| *number == lane).map_or(self.start, |(_, floor)| *floor)
    }
}

/// What a target is to do about a claim, given what its ledger holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing: the source is complete. Write nothing, hand out no claim.
    Complete,
    /// Insert rows for this many lanes, with epoch 1 and the request's origin as position.
    Insert {
        /// The number of lanes.
        lanes: u32,
    },
    /// Raise the epoch of every row by one, set the owner and clear `complete`.
    Take,
}

impl ClaimRequest {
    /// The most lanes a stream may have.
    pub const LANES_MAX: u32 = 1024;

    /// Decides about a claim. Every target calls it inside the claim's transaction, **before** it writes anything, so
    /// that a run with the wrong file or log never takes a stream from its rightful owner.
    ///
    /// `rows` are the ledger's rows of this stream, in any order.
    ///
    /// # Errors
    /// [`Error::WrongSource`], [`Error::Gap`], [`Error::Ahead`], [`Error::Lanes`];
    /// [`Corrupt`](ErrorKind::Corrupt) when the rows do not make one stream.
    pub fn judge(&self, rows: &[LedgerRow]) -> Result<Verdict, Error> {
        let Some(first) = rows.first() else {
            let lanes = self.lanes.unwrap_or(1);
            if lanes == 0 || lanes > Self::LANES_MAX {
                return Err(Error::invalid(format!(
                    "a stream has 1 to {} lanes, not {lanes}",
                    Self::LANES_MAX
                )));
            }
            // A source that has already let go of rows needs the ledger that took them: a new database is a gap.
            for lane in 0..lanes {
                self.check_position(LaneId { stream: self.stream.clone(), lane }, self.origin)?;
            }
            return Ok(Verdict::Insert { lanes });
        };
        self.check_whole(rows, first)?;
        if first.source != self.source {
            return Err(Error::WrongSource {
                stream: self.stream.clone(),
                ledger: first.source.clone(),
                asked: self.source.clone(),
            });
        }
        if let Some(asked) = self.lanes.filter(|asked| *asked != first.lanes) {
            return Err(Error::Lanes { stream: self.stream.clone(), ledger: first.lanes, asked });
        }
        for row in rows {
            self.check_position(row.lane.clone(), row.position)?;
        }
        if rows.iter().all(|row| row.complete) && !self.reopen {
            Ok(Verdict::Complete)
        } else {
            Ok(Verdict::Take)
        }
    }

    fn check_position(&self, lane: LaneId, position: u64) -> Result<(), Error> {
        let missing_below = self.window.floor(lane.lane).min(self.window.start);
        if position < missing_below {
            return Err(Error::Gap { lane, from: position, to: missing_below });
        }
        if position > self.window.end {
            return Err(Error::Ahead { lane, position, end: self.window.end });
        }
        Ok(())
    }

    fn check_whole(&self, rows: &[LedgerRow], first: &LedgerRow) -> Result<(), Error> {
        if let Some(row) = rows.iter().find(|row| row.format != LEDGER_FORMAT) {
            return Err(Error::invalid(format!(
                "the ledger's rows of stream {} have format {}; this version reads {LEDGER_FORMAT}",
                self.stream, row.format
            )));
        }
        let whole = rows.len() == first.lanes as usize
            && rows.iter().all(|row| row.lanes == first.lanes && row.source == first.source)
            && (0..first.lanes).all(|lane| rows.iter().any(|row| row.lane.lane == lane));
        if whole {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::Corrupt,
            format!("the ledger's rows of stream {} do not agree on its lanes or source", self.stream),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request() -> ClaimRequest {
        ClaimRequest {
            stream: StreamId::new("s").unwrap(),
            lanes: None,
            source: SourceId::new("log:1").unwrap(),
            window: Window { start: 100, end: 200, floors: vec![(1, 40)] },
            origin: 100,
            reopen: false,
            owner: "test".into(),
        }
    }

    fn row(lane: u32, position: u64) -> LedgerRow {
        LedgerRow {
            lane: LaneId { stream: StreamId::new("s").unwrap(), lane },
            lanes: 2,
            epoch: 3,
            position,
            source: SourceId::new("log:1").unwrap(),
            source_position: String::new(),
            complete: false,
            format: LEDGER_FORMAT,
            owner: String::new(),
            updated_at: String::new(),
        }
    }

    #[test]
    fn a_new_stream_is_inserted_with_the_lanes_asked_for() {
        assert_eq!(request().judge(&[]).unwrap(), Verdict::Insert { lanes: 1 });
        assert_eq!(
            ClaimRequest { lanes: Some(4), ..request() }.judge(&[]).unwrap(),
            Verdict::Insert { lanes: 4 }
        );
        assert!(ClaimRequest { lanes: Some(0), ..request() }.judge(&[]).is_err());
    }

    #[test]
    fn a_new_database_behind_a_log_that_let_go_of_rows_is_a_gap() {
        let young = ClaimRequest { origin: 1, ..request() };
        assert!(matches!(young.judge(&[]), Err(Error::Gap { from: 1, to: 100, .. })));
    }

    #[test]
    fn an_idle_lane_above_its_floor_is_no_gap() {
        assert_eq!(request().judge(&[row(0, 150), row(1, 50)]).unwrap(), Verdict::Take);
        assert_eq!(request().judge(&[row(0, 100), row(1, 40)]).unwrap(), Verdict::Take);
    }

    #[test]
    fn a_restored_database_is_a_gap_by_name() {
        assert!(matches!(
            request().judge(&[row(0, 99), row(1, 150)]),
            Err(Error::Gap { from: 99, to: 100, .. })
        ));
        assert!(matches!(
            request().judge(&[row(0, 150), row(1, 39)]),
            Err(Error::Gap { from: 39, to: 40, .. })
        ));
    }

    #[test]
    fn a_cut_source_is_ahead_by_name() {
        assert!(matches!(
            request().judge(&[row(0, 201), row(1, 150)]),
            Err(Error::Ahead { position: 201, .. })
        ));
    }

    #[test]
    fn another_source_and_other_lanes_are_refused() {
        let foreign = LedgerRow { source: SourceId::new("log:2").unwrap(), ..row(0, 150) };
        let foreign_too = LedgerRow { source: SourceId::new("log:2").unwrap(), ..row(1, 150) };
        assert!(matches!(request().judge(&[foreign, foreign_too]), Err(Error::WrongSource { .. })));
        let asked = ClaimRequest { lanes: Some(3), ..request() };
        assert!(matches!(
            asked.judge(&[row(0, 150), row(1, 150)]),
            Err(Error::Lanes { ledger: 2, asked: 3, .. })
        ));
        assert_eq!(request().judge(&[row(0, 150)]).unwrap_err().kind(), ErrorKind::Corrupt);
        let future = LedgerRow { format: 9, ..row(0, 150) };
        assert!(request().judge(&[future, row(1, 150)]).is_err());
    }

    #[test]
    fn complete_means_every_lane_and_can_be_reopened() {
        let done = |lane| LedgerRow { complete: true, ..row(lane, 200) };
        assert_eq!(request().judge(&[done(0), done(1)]).unwrap(), Verdict::Complete);
        assert_eq!(request().judge(&[done(0), row(1, 200)]).unwrap(), Verdict::Take);
        let reopen = ClaimRequest { reopen: true, ..request() };
        assert_eq!(reopen.judge(&[done(0), done(1)]).unwrap(), Verdict::Take);
    }
}
