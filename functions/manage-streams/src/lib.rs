//! Declares, shows, changes and removes streams and their sinks, and the resources that streams share.
//!
//! Promises: a change is checked whole before anything happens; a record is written before its stack is asked for, and whatever is
//! left half-done heals on the next read; two writers give one conflict.
//!
//! Leaves to others: events (`ingest-events`, `query-history`), news of stacks (`record-stack-status`).

pub mod context;
pub mod entity_tag;
pub mod flags;
pub mod named_resource;
pub mod resource_views;
pub mod routes;
pub mod stats_view;
pub mod views;
