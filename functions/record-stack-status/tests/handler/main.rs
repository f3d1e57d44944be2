//! The function as SNS calls it: CloudFormation's notifications in, the stored record afterwards, the outside world faked.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test stops at what it did not expect")]

mod bench;
mod stacks;
mod updates;
