use std::{sync::Arc, time::Instant};

use standpipe_harness::Outcome;
use tokio::sync::{Mutex, Semaphore};

use super::{Connection, Hold, Made, Pool};

/// The pool that one writes for oneself: the idle connections in one locked list, the numbers of those lent in
/// another, and a semaphore so that nobody asks in vain.
#[derive(Clone)]
pub(crate) struct TwoLists(Arc<Lists>);

struct Lists {
    made: Arc<Made>,
    free: Semaphore,
    idle: Mutex<Vec<(u64, Connection)>>,
    lent: Mutex<Vec<u64>>,
}

impl Pool for TwoLists {
    async fn new(made: &Arc<Made>, connections_max: u32) -> Outcome<Self> {
        Ok(TwoLists(Arc::new(Lists {
            made: Arc::clone(made),
            free: Semaphore::new(connections_max as usize),
            idle: Mutex::default(),
            lent: Mutex::default(),
        })))
    }

    async fn turn(&self, hold: Hold) -> Outcome<Instant> {
        let _free = self.0.free.acquire().await?;
        let idle = self.0.idle.lock().await.pop();
        let (number, mut connection) = {
            let mut lent = self.0.lent.lock().await;
            let taken = match idle {
                Some(taken) => taken,
                None => {
                    let number = (0..).find(|number| !lent.contains(number)).unwrap_or_default();
                    (number, Connection::new(&self.0.made))
                }
            };
            lent.push(taken.0);
            taken
        };
        let at = hold.lent();
        connection.touch();
        hold.work().await;
        self.0.lent.lock().await.retain(|one| *one != number);
        self.0.idle.lock().await.push((number, connection));
        Ok(at)
    }
}
