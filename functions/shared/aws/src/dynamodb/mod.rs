//! The one table: what lies where, and every read and write of it.
//!
//! | partition | sort key | holds |
//! |---|---|---|
//! | `OWNER#{owner}` | `STREAM#{id}#{version}` | a stream's record; nobody reaches another owner's partition |
//! | `CLAIM#{id}` | `CLAIM` | the owner of an id, for ever |
//! | `SOURCE#{raw stream}` | `SOURCE` | where a raw stream's records go |
//! | `STACK#{stack name}` | `STACK` | which part of which stream a stack was made for |
//! | `KEYS` | `KEY#{kid}` | a public signing key |

mod items;
mod keys;
mod lookups;
mod streams;

use aws_config::SdkConfig;
use aws_sdk_dynamodb::Client;

/// The table.
#[derive(Debug, Clone)]
pub struct Table {
    client: Client,
    name: String,
}

impl Table {
    /// Uses the table of this name.
    pub fn new(config: &SdkConfig, name: String) -> Self {
        Self { client: Client::new(config), name }
    }
}
