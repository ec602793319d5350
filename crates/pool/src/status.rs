/// How many of what a [`Pool`](crate::Pool) holds, all counted at one instant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Status {
    /// Places taken: `idle + in_use`. Never more than `connections_max`.
    pub size: usize,
    /// Connections that wait to be borrowed.
    pub idle: usize,
    /// Places held by leases, and by acquirers that connect, check, or were just served.
    pub in_use: usize,
    /// Acquirers in the queue.
    pub waiting: usize,
}
