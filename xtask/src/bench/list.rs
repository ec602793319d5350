//! The workloads, for people.
