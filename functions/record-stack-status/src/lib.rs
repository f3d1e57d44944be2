//! Hears from CloudFormation how stacks are, and notes it on the streams and sinks that they were made for.
//!
//! Promises: news may come late, twice, out of order or garbled: the record stays truthful, and one bad message stops no other.
//!
//! Leaves to others: news that never comes (`manage-streams` asks on the next read).

pub mod context;
pub mod handler;
pub mod notification;
