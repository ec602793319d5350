use standpipe_core::{Error, Participant, Xid, async_trait};

use crate::{
    Postgres,
    error::Failure,
    link::Answer,
    name::literal,
};

#[async_trait]
impl Participant for Postgres {
    async fn commit(&self, xid: &Xid) -> Result<(), Error> {
        self.end_prepared("COMMIT PREPARED", xid).await
    }

    async fn rollback(&self, xid: &Xid) -> Result<(), Error> {
        self.end_prepared("ROLLBACK PREPARED", xid).await
    }

    async fn recover(&self, prefix: &str) -> Result<Vec<Xid>, Error> {
        let query = format!(
            "SELECT gid FROM pg_catalog.pg_prepared_xacts WHERE database = current_database() \
             AND starts_with(gid, {}) ORDER BY gid",
            literal(prefix)
        );
        let mut lease = self.lease().await?;
        let answer =
            lease.ask(&query).await.map_err(|failure| failure.explain("listing prepared transactions"))?;
        answer.rows.iter().map(|row| Xid::new(Answer::text(row, 0)?)).collect()
    }
}

impl Postgres {
    async fn end_prepared(&self, statement: &str, xid: &Xid) -> Result<(), Error> {
        let mut lease = self.lease().await?;
        match lease.ask(&format!("{statement} {}", literal(xid.as_str()))).await {
            Ok(_) => Ok(()),
            // There is no such transaction: it was ended before.
            Err(Failure::Server(refusal)) if refusal.code == "42704" => Ok(()),
            Err(failure) => {
                let error = failure.explain(&format!("{statement} {xid}"));
                Err(Error::retry(error.to_string()).with_source(error))
            }
        }
    }
}
