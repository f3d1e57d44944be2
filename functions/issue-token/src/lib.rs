//! Issues tokens to operators: invoked with IAM credentials, never over HTTP.
//!
//! Promises: signs with the KMS key, whose public half it publishes for the functions that verify; keeps no token.
//!
//! Leaves to others: verifying.

pub mod context;
pub mod handler;
