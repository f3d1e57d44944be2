//! The one guarded way out: HTTP calls to addresses that somebody else chose.
//!
//! Promises: a call reaches public addresses and what the deployment's [`AllowList`] names, over https, within 5 s, and nothing else.
//! It follows no redirect, uses no proxy, and reads no more than it is told to.
//!
//! Leaves to others: calls to AWS (`millrace-aws`), and what an answer means. [`OidcKeys`] is here since it does little but call.

mod allow_list;
mod client;
mod jwk;
mod names;
mod oidc;
mod public_address;
#[cfg(any(test, feature = "testing"))]
pub mod test_server;

pub use allow_list::{AllowList, BadAllowList};
pub use client::{OutgoingClient, OutgoingFault};
pub use oidc::OidcKeys;
pub use public_address::is_public;
