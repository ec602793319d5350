//! Plans that were made, for all connections of a handle.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, PoisonError},
};

use standpipe_core::{Destination, Error, Schema};

use crate::{
    details,
    link::Link,
    plan::Plan,
    table::{absent, find},
};

/// Plans that are kept.
const PLANS_MAX: usize = 256;

#[derive(Default)]
pub(crate) struct Plans {
    kept: Mutex<Vec<Kept>>,
    /// Tables that the server empties after a crash, by their names in quotes.
    unlogged: Mutex<BTreeSet<String>>,
}

struct Kept {
    destination: Arc<Destination>,
    schema: Arc<Schema>,
    plan: Arc<Plan>,
}

impl Plans {
    /// The plan for blocks of this schema: a kept one, or one for the table as it is now.
    pub(crate) async fn plan(
        &self,
        link: &mut Link,
        destination: &Arc<Destination>,
        schema: &Arc<Schema>,
    ) -> Result<Arc<Plan>, Error> {
        match self.known(destination, schema) {
            Some(plan) => Ok(plan),
            None => self.look_again(link, destination, schema).await,
        }
    }

    /// The plan for the table as it is now.
    pub(crate) async fn look_again(
        &self,
        link: &mut Link,
        destination: &Arc<Destination>,
        schema: &Arc<Schema>,
    ) -> Result<Arc<Plan>, Error> {
        let mut found = find(link, &destination.table).await?.ok_or_else(|| absent(&destination.table))?;
        let is_unlogged = details::look(link, &mut found).await?;
        let plan = Arc::new(Plan::make(found, destination, schema)?);
        if is_unlogged {
            self.warn_of(&plan.table);
        }
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|known| !is_for(known, destination, schema));
        if kept.len() >= PLANS_MAX {
            kept.remove(0);
        }
        kept.push(Kept { destination: destination.clone(), schema: schema.clone(), plan: plan.clone() });
        Ok(plan)
    }

    /// Says once for each table what a crash of the server does to it.
    fn warn_of(&self, table: &str) {
        let is_new = self.unlogged.lock().unwrap_or_else(PoisonError::into_inner).insert(table.to_owned());
        if is_new {
            tracing::warn!("{}", unlogged(table));
        }
    }

    /// What to know of the tables that rows went to.
    pub(crate) fn remarks(&self) -> Vec<String> {
        let tables = self.unlogged.lock().unwrap_or_else(PoisonError::into_inner);
        tables.iter().map(|table| unlogged(table)).collect()
    }

    fn known(&self, destination: &Arc<Destination>, schema: &Arc<Schema>) -> Option<Arc<Plan>> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.iter().find(|known| is_for(known, destination, schema)).map(|known| known.plan.clone())
    }
}

fn is_for(known: &Kept, destination: &Arc<Destination>, schema: &Arc<Schema>) -> bool {
    (Arc::ptr_eq(&known.destination, destination) || known.destination == *destination)
        && (Arc::ptr_eq(&known.schema, schema) || known.schema == *schema)
}

fn unlogged(table: &str) -> String {
    format!(
        "table {table} is UNLOGGED: the server empties it after a crash, and rows that were applied are not written again; \
         ALTER TABLE {table} SET LOGGED keeps them"
    )
}
