//! Carries events from a stream's raw to its processed Kinesis stream.
//!
//! Promises: no event is lost and none blocks its neighbours; what cannot be processed becomes a dead letter; only transient faults
//! are reported to Lambda, as the one sequence number from which the batch must come again.
//!
//! Leaves to others: taking events in (`ingest-events`), delivering them (sinks).

pub mod context;
pub mod event;
pub mod handler;
