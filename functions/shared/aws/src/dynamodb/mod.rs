//! The one table: what lies where, and every read and write of it.
//!
//! | partition | sort key | holds |
//! |---|---|---|
//! | `OWNER#{owner}` | `STREAM#{id}#{version}` | a stream's record; nobody reaches another owner's partition |
//! | `CLAIM#{id}` | `CLAIM` | the owner of an id, for ever |
//! | `SOURCE#{raw stream}` | `SOURCE` | where a raw stream's records go |
//! | `STACK#{stack name}` | `STACK` | which part of which stream a stack was made for |
//! | `KEYS` | `KEY#{kid}` | a public signing key |
//! | `APIKEYS#{owner}` | `KEY#{id}` | an API key; nobody reaches another owner's partition |
//! | `APIKEY#{id}` | `APIKEY` | the owner of an API key, for admins |

mod api_keys;
mod items;
mod keys;
mod lookups;
mod streams;
mod transaction;

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
