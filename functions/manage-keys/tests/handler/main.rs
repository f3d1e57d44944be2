//! The function as API Gateway calls it, with fakes behind it; tokens go through the edge's own verification.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test stops at what it did not expect")]

mod access;
mod bench;
mod keys;
mod public_keys;
mod requests;
mod tokens;
