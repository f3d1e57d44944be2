//! Hears from CloudFormation how stacks are, and notes it on the streams and sinks that they were made for.
//!
//! Promises: news may come late, twice, out of order or garbled: the record stays truthful, and one bad message stops no other.
//!
//! What waited for it goes on: the sinks of a stream that works now, the end of a stream whose sinks are gone.
//!
//! Leaves to others: news that never comes (`manage-streams` asks on the next read).

pub mod context;
pub mod handler;
pub mod notification;
