//! Makes, rotates and revokes API keys, signs their tokens, and publishes the deployment's public keys.
//!
//! Promises: a token is shown once and kept nowhere; nobody reaches another owner's keys; a revoked key's tokens are refused by every
//! function within a minute.
//!
//! Leaves to others: verifying (`millrace-http`), tokens for operators (`issue-token`).

pub mod authorized_key;
pub mod context;
pub mod routes;
pub mod views;
