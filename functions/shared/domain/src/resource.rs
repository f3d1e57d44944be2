//! Resources: parts that an owner's streams share by name. A change of one reaches the streams that use it.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::ids::ResourceId;

/// A kind of resource, as it stands in a path: Bento's five component types.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ResourceKind {
    /// Remembers keys, for `dedupe`.
    Cache,
    /// A whole `input` section.
    Input,
    /// A whole `output` section.
    Output,
    /// One processor.
    Processor,
    /// Limits what is taken in.
    RateLimit,
}

impl ResourceKind {
    /// Every kind.
    pub const ALL: [Self; 5] = [Self::Cache, Self::Input, Self::Output, Self::Processor, Self::RateLimit];

    /// The kind as text.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Cache => "cache",
            Self::Input => "input",
            Self::Output => "output",
            Self::Processor => "processor",
            Self::RateLimit => "rate_limit",
        }
    }
}

impl fmt::Display for ResourceKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A text that is no kind of resource.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected a resource type of: cache, input, output, processor, rate_limit; got {0:?}")]
pub struct UnknownResourceKind(String);

impl FromStr for ResourceKind {
    type Err = UnknownResourceKind;

    fn from_str(text: &str) -> Result<Self, UnknownResourceKind> {
        let unknown = || UnknownResourceKind(text.chars().take(100).collect());
        Self::ALL.into_iter().find(|kind| kind.as_str() == text).ok_or_else(unknown)
    }
}

/// Names a resource of an owner.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ResourceKey {
    /// What it is.
    pub kind: ResourceKind,
    /// Which one.
    pub id: ResourceId,
}

impl fmt::Display for ResourceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind, self.id)
    }
}
