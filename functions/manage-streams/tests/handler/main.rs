//! The function as API Gateway calls it: recorded events in, answers out, the outside world faked.

mod access;
mod bench;
mod creation;
mod deletion;
mod faults;
mod races;
mod readiness;
mod reading;
mod requests;
mod sinks;
