//! The function as API Gateway calls it: recorded events in, answers out, the outside world faked.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test stops at what it did not expect")]

mod access;
mod bench;
mod creation;
mod deletion;
mod documents;
mod faults;
mod races;
mod readiness;
mod reading;
mod requests;
mod resources;
mod sinks;
