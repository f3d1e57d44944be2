//! The templates, read as text: that they say what our code passes and expects, and that nothing in them was left soft.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test stops at what it did not expect")]

mod deployment;
mod rights;
mod signing_keys;
mod stacks;
mod yaml;
