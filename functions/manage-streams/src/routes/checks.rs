//! Every check of a document, the same on every route that takes one.

use std::collections::{BTreeMap, BTreeSet};

use domain::declaration::{Declaration, Draft, Leniency};
use domain::ids::{Owner, StreamKey};
use domain::limits::MAX_CONFIG_BYTES;
use domain::record::StreamRecord;
use domain::reference::unknown_resources;
use domain::resource::{MAX_REFERENCES, MAX_USERS, ResourceKey, ResourceKind, ResourceUser};
use domain::resource_config::ResourceConfig;
use serde_json::Value;

use crate::context::Context;
use crate::routes::refusal::Refusal;

/// Streams that share a section: a change of it changes all of them, in one request. Ours.
const MAX_SECTION_USERS: usize = 100;

/// Whose a document is, and what it stands for, if that has a name already.
#[derive(Debug, Clone, Copy)]
pub struct Whose<'w> {
    /// The owner.
    pub owner: &'w Owner,
    /// The stream.
    pub stream: Option<&'w StreamKey>,
}

impl<'w> Whose<'w> {
    /// A stream that exists.
    pub fn of(record: &'w StreamRecord) -> Self {
        Self { owner: &record.owner, stream: Some(&record.key) }
    }
}

/// Reads and checks an owner's document.
///
/// # Errors
/// Everything that is wrong with it.
pub async fn declaration(context: &Context, whose: Whose<'_>, text: &str, leniency: Leniency) -> Result<Declaration, Refusal> {
    checked(context, whose, Draft::parse(text, leniency)).await
}

/// Makes every check of an owner's document: its programs, and that what it names is there.
///
/// A resource that is removed right after this is a conflict of the write itself, which holds the same condition.
///
/// # Errors
/// Everything that is wrong with it.
pub async fn checked(context: &Context, whose: Whose<'_>, mut draft: Draft) -> Result<Declaration, Refusal> {
    // First, so that nobody's programs keep the compiler busy for long.
    check_size(&draft.tree().value())?;
    let faults = pipeline::faults(draft.tree());
    draft.add(faults);
    if let Some(document) = draft.document() {
        let named: BTreeSet<ResourceKey> = document.references().into_iter().map(|reference| reference.key).collect();
        let known = named_resources(context, whose, named).await?;
        let faults = unknown_resources(draft.tree(), document, &known.keys().cloned().collect());
        draft.add(faults);
        draft.resolve(&known);
    }
    draft.finish().map_err(Refusal::document)
}

/// Loads the resources that a document names, as far as they are there.
///
/// # Errors
/// Too many, or one that too many others name.
pub async fn named_resources(
    context: &Context,
    whose: Whose<'_>,
    named: BTreeSet<ResourceKey>,
) -> Result<BTreeMap<ResourceKey, ResourceConfig>, Refusal> {
    if named.len() > MAX_REFERENCES {
        return Err(Refusal::document(vec![format!("(1,1) expected at most {MAX_REFERENCES} resources to be named, got {}", named.len())]));
    }
    let user = whose.stream.map(|stream| ResourceUser::Stream(stream.clone()));
    let mut known = BTreeMap::new();
    let mut faults = Vec::new();
    for key in named {
        let Some(resource) = context.resources.load_resource(whose.owner, &key).await? else { continue };
        let most = if is_section(key.kind) { MAX_SECTION_USERS } else { MAX_USERS };
        if resource.used_by.len() >= most && user.as_ref().is_some_and(|user| !resource.used_by.contains(user)) {
            faults.push(format!("(1,1) {key} is used {most} times, as often as one can be; make another one like it"));
        }
        known.insert(key, resource.config);
    }
    if faults.is_empty() { Ok(known) } else { Err(Refusal::document(faults)) }
}

/// Returns whether a resource stands for a whole section, so that streams are made with what it says.
pub fn is_section(kind: ResourceKind) -> bool {
    matches!(kind, ResourceKind::Input | ResourceKind::Output)
}

/// Refuses too much of a document: a stream's history is kept.
///
/// # Errors
/// How much it is.
pub fn check_size(posted: &Value) -> Result<(), Refusal> {
    let size = posted.to_string().len();
    if size > MAX_CONFIG_BYTES {
        return Err(Refusal::document(vec![format!("(1,1) expected at most {MAX_CONFIG_BYTES} bytes as JSON, got {size}")]));
    }
    Ok(())
}
