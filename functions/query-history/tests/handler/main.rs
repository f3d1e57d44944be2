//! The handler of `query-history`, whole: recorded API Gateway events in, status and body out, fakes behind it, no network.

mod access;
mod bench;
mod faults;
mod pages;
mod parameters;
