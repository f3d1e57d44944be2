//! The function as Lambda's Kinesis mapping calls it, alone and by a poller that keeps AWS's rules.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test stops at what it did not expect")]

mod batches;
mod bench;
mod poller;
mod processors;
mod shards;
