//! The resources that a config names: each must be there, before anything is made with it.

use std::collections::BTreeSet;

use domain::ids::Owner;
use domain::resource::{MAX_REFERENCES, MAX_USERS, ResourceKey};

use crate::context::Context;
use crate::routes::refusal::Refusal;

/// Refuses a config that names resources which do not exist, so that the caller learns which.
///
/// One that is removed right after this is a conflict of the write itself, which holds the same condition.
///
/// # Errors
/// Every resource that cannot be named.
// Seam: with `StreamDocument::references` each fault can stand at its line and column, and among those of the document.
pub(super) async fn check_references(context: &Context, owner: &Owner, named: BTreeSet<ResourceKey>) -> Result<(), Refusal> {
    if named.len() > MAX_REFERENCES {
        return Err(Refusal::document(vec![format!("expected at most {MAX_REFERENCES} resources to be named, got {}", named.len())]));
    }
    let mut faults = Vec::new();
    for key in named {
        match context.resources.load_resource(owner, &key).await? {
            None => faults.push(format!("resource {key} does not exist")),
            Some(resource) if resource.used_by.len() >= MAX_USERS => {
                faults.push(format!("resource {key} is used {MAX_USERS} times, as often as one can be; make another one like it"));
            }
            Some(_) => {}
        }
    }
    if faults.is_empty() { Ok(()) } else { Err(Refusal::document(faults)) }
}
