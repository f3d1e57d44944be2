//! The function as API Gateway calls it: recorded events in, answers out, the outside world faked.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test stops at what it did not expect")]

mod access;
mod bench;
mod collection;
mod conditions;
mod configs;
mod creation;
mod deletion;
mod documents;
mod failed_updates;
mod faults;
mod patches;
mod pause;
mod races;
mod raw_less;
mod readiness;
mod reading;
mod references;
mod requests;
mod resources;
mod sinks;
mod stats;
mod trial;
mod updates;
