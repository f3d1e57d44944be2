//! The handler of `query-history`, whole: recorded API Gateway events in, status and body out, fakes behind it, no network.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test stops at what it did not expect")]

mod access;
mod bench;
mod dead_letters;
mod faults;
mod pages;
mod parameters;
mod redrive;
