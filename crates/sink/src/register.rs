use std::sync::Arc;

use standpipe_core::{ClaimRequest, SourceId, Window};
use standpipe_log::Log;

use crate::{
    Sink, SinkError, Stream, StreamSpec,
    pins::{self, StreamPin},
    recover::{Memory, trim_dead_letters},
    sink::Logged,
    stream::StreamState,
};

impl<L: Log> Sink<L> {
    /// Claims a stream whose rows go through the log. A stream that the log knows already is returned as it is, with the new schema.
    ///
    /// # Errors
    /// [`SinkError::Invalid`] without a log, or when the log knows the stream with another table, mode or key; the refusals of a claim.
    ///
    /// # Cancel safety
    /// Dropping the future may leave the stream known to the log; calling again goes on.
    pub async fn stream(&self, spec: StreamSpec) -> Result<Stream, SinkError> {
        self.shared.check_alive()?;
        let logged = self.logged()?;
        let _turn = self.shared.registering.lock().await;
        let mut memory = logged.memory.lock().await;
        if let Some(state) = self.shared.stream_named(&spec.id) {
            self.check_known(&state, &spec)?;
            self.pin_schema(logged, &memory, &spec).await?;
            return Ok(self.handle(state, &spec));
        }
        self.pin_schema(logged, &memory, &spec).await?;
        let number = memory.streams.keys().last().map_or(1, |last| last + 1);
        let mut pin = StreamPin {
            id: spec.id.clone(),
            origin: logged.log.end().number(),
            lanes: spec.lanes.unwrap_or(1),
            destination: spec.destination.clone(),
        };
        // Claimed first: a stream that the target refuses must not be remembered.
        let state = memory.claim(&self.shared, &*logged.log, number, &pin, spec.lanes).await?;
        pin.lanes = state.lanes.len() as u32;
        logged.log.pin(&pins::stream_key(number), &pin.encode())?.await?;
        memory.streams.insert(number, pin);
        let state = Arc::new(state);
        self.shared.add_stream(state.clone());
        Ok(self.handle(state, &spec))
    }

    /// Claims a stream whose source can be read again by itself, for [`write_at`](Sink::write_at). `None` when the ledger says
    /// that the source is complete and `reopen` is false: nothing was written then.
    ///
    /// # Errors
    /// The refusals of a claim; [`SinkError::Stream`] when this sink has the stream, or had it and lost it: a fenced owner never claims
    /// again by itself.
    ///
    /// # Cancel safety
    /// Dropping the future may leave a claim behind; calling again goes on.
    pub async fn source(
        &self,
        spec: StreamSpec,
        source: SourceId,
        window: Window,
        reopen: bool,
    ) -> Result<Option<Stream>, SinkError> {
        self.shared.check_alive()?;
        let _turn = self.shared.registering.lock().await;
        if let Some(state) = self.shared.stream_named(&spec.id) {
            let cause = state.failure().unwrap_or_else(|| SinkError::Invalid("it is open already".into()));
            return Err(SinkError::Stream { stream: spec.id, cause: Arc::new(cause) });
        }
        let request = ClaimRequest {
            stream: spec.id.clone(),
            lanes: spec.lanes,
            source,
            origin: window.start,
            window,
            reopen,
            owner: self.shared.settings.owner.clone(),
        };
        let claims = self.shared.target.claim(&request).await?;
        for claim in &claims {
            trim_dead_letters(&self.shared, &claim.lane, claim.position).await?;
        }
        let (number, destination) = (self.shared.next_unlogged(), Arc::new(spec.destination.clone()));
        let state = StreamState::new(self.shared.id, number, false, destination, claims, &[]);
        Ok(state.map(|state| {
            let state = Arc::new(state);
            self.shared.add_stream(state.clone());
            self.handle(state, &spec)
        }))
    }

    async fn pin_schema(
        &self,
        logged: &Logged<L>,
        memory: &Memory,
        spec: &StreamSpec,
    ) -> Result<(), SinkError> {
        if memory.schemas.contains(spec.schema.id()) {
            return Ok(());
        }
        logged.log.pin(&pins::schema_key(spec.schema.id()), &spec.schema.encode())?.await?;
        memory.schemas.insert(spec.schema.clone());
        Ok(())
    }

    fn check_known(&self, state: &StreamState, spec: &StreamSpec) -> Result<(), SinkError> {
        if let Some(cause) = state.failure() {
            return Err(SinkError::Stream { stream: state.id.clone(), cause: Arc::new(cause) });
        }
        if !state.logged {
            return Err(SinkError::Invalid(format!("stream {} is open, and fed by `write_at`", spec.id)));
        }
        let known = &state.lanes[0].destination;
        if **known != spec.destination {
            return Err(SinkError::Invalid(format!(
                "stream {} goes to {} ({}) since it was first opened, not to {} ({}); give the other a stream id of its own",
                spec.id,
                known.table,
                known.mode.name(),
                spec.destination.table,
                spec.destination.mode.name()
            )));
        }
        if let Some(asked) = spec.lanes.filter(|asked| *asked as usize != state.lanes.len()) {
            let ledger = state.lanes.len() as u32;
            return Err(standpipe_core::Error::Lanes { stream: spec.id.clone(), ledger, asked }.into());
        }
        Ok(())
    }

    fn handle(&self, state: Arc<StreamState>, spec: &StreamSpec) -> Stream {
        Stream { state, schema: spec.schema.clone(), block_bytes: self.shared.settings.block_bytes() }
    }
}
