//! What callers see of resources. Records never leave as they are.

use std::collections::BTreeMap;

use domain::record::rfc3339_text;
use domain::resource::{Resource, ResourceKind};
use serde::Serialize;

/// A resource, whole.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct ResourceOut {
    #[serde(rename = "type")]
    kind: ResourceKind,
    id: String,
    owner: String,
    /// The config as it was posted.
    config: serde_json::Value,
    /// The paths of the streams, and of the other resources, that name it.
    #[schema(example = json!(["/streams/refuse-trucks/1"]))]
    used_by: Vec<String>,
    created_at: String,
    created_by: String,
    updated_at: String,
    updated_by: String,
}

impl ResourceOut {
    /// The resource as it is kept.
    pub fn new(resource: &Resource) -> Self {
        // Every field by name: a new one must be shown or left out on purpose.
        let Resource { owner, key, posted, config: _, used_by, created_at, created_by, updated_at, updated_by, revision: _ } = resource;
        Self {
            kind: key.kind,
            id: key.id.to_string(),
            owner: owner.to_string(),
            config: posted.clone(),
            used_by: used_by.iter().map(ToString::to_string).collect(),
            created_at: rfc3339_text(*created_at),
            created_by: created_by.clone(),
            updated_at: rfc3339_text(*updated_at),
            updated_by: updated_by.clone(),
        }
    }
}

/// A resource in the list.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct ResourceSummary {
    updated_at: String,
    updated_by: String,
    /// Some stream, or another resource, names it.
    in_use: bool,
}

/// An owner's resources: for every type, those of the type by their ids.
pub type ResourceList = BTreeMap<String, BTreeMap<String, ResourceSummary>>;

/// Puts resources in their places. Every type is there, also one that has none.
pub fn by_type(resources: &[Resource]) -> ResourceList {
    let mut list: ResourceList = ResourceKind::ALL.iter().map(|kind| (kind.to_string(), BTreeMap::new())).collect();
    for resource in resources {
        let summary = ResourceSummary {
            updated_at: rfc3339_text(resource.updated_at),
            updated_by: resource.updated_by.clone(),
            in_use: !resource.used_by.is_empty(),
        };
        list.entry(resource.key.kind.to_string()).or_default().insert(resource.key.id.to_string(), summary);
    }
    list
}
