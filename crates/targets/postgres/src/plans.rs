//! Plans that were made, for all connections of a handle.

use std::sync::{Arc, Mutex, PoisonError};

use standpipe_core::{Destination, Error, Schema};

use crate::{
    link::Link,
    plan::Plan,
    table::{absent, find},
};

/// Plans that are kept.
const PLANS_MAX: usize = 256;

#[derive(Default)]
pub(crate) struct Plans(Mutex<Vec<Kept>>);

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
        let found = find(link, &destination.table).await?.ok_or_else(|| absent(&destination.table))?;
        let plan = Arc::new(Plan::make(found, destination, schema)?);
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|known| !is_for(known, destination, schema));
        if kept.len() >= PLANS_MAX {
            kept.remove(0);
        }
        kept.push(Kept { destination: destination.clone(), schema: schema.clone(), plan: plan.clone() });
        Ok(plan)
    }

    fn known(&self, destination: &Arc<Destination>, schema: &Arc<Schema>) -> Option<Arc<Plan>> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.iter().find(|known| is_for(known, destination, schema)).map(|known| known.plan.clone())
    }
}

fn is_for(known: &Kept, destination: &Arc<Destination>, schema: &Arc<Schema>) -> bool {
    (Arc::ptr_eq(&known.destination, destination) || known.destination == *destination)
        && (Arc::ptr_eq(&known.schema, schema) || known.schema == *schema)
}
