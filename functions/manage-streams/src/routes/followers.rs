//! Streams whose `input` or `output` is a resource follow when that changes: each gets the new section as an update.

use domain::access::{Caller, Reach};
use domain::declaration::{Declaration, Draft, Leniency};
use domain::document::StreamDocument;
use domain::record::StreamRecord;
use domain::resource::{Resource, ResourceUser};
use domain::text_tree::{Node, Place};
use http_edge::Problem;

use crate::context::Context;
use crate::routes::checks::{Whose, is_section, named_resources};
use crate::routes::refusal::Refusal;

/// The streams that a resource stands for a section of, each with what it will be declared as.
pub(super) struct Followers(Vec<(StreamRecord, Declaration)>);

impl Followers {
    /// Finds them, and checks that each can follow now.
    ///
    /// # Errors
    /// 409, naming the first that cannot.
    pub(super) async fn find(context: &Context, resource: &Resource) -> Result<Self, Refusal> {
        let mut followers = Vec::new();
        if !is_section(resource.key.kind) {
            return Ok(Self(followers));
        }
        for user in &resource.used_by {
            let ResourceUser::Stream(key) = user else { continue };
            let found = context.streams.load(&Reach::Owner(resource.owner.clone()), &key.id, Some(&key.version)).await?;
            let Some(found) = found else { continue };
            let Some(record) = context.provisioning().reconcile(found).await? else { continue };
            let declared = declared_with(context, &record, resource).await?;
            let is_as_wanted =
                declared.document == record.document && context.provisioning().has_sinks_as_wanted(&record, &record.document);
            // A config that is pending may be made of it.
            if is_as_wanted && record.pending.is_none() {
                continue;
            }
            let checked = context.provisioning().check_update(&record, &declared.document);
            checked.map_err(|fault| Problem::conflict(format!("stream {key} cannot follow: {fault}")))?;
            followers.push((record, declared));
        }
        Ok(Self(followers))
    }

    /// Updates them.
    ///
    /// # Errors
    /// One was changed in the meantime, or the store failed: the same request once more updates the rest.
    pub(super) async fn update(self, context: &Context, caller: &Caller) -> Result<(), Refusal> {
        for (record, declared) in self.0 {
            let key = record.key.clone();
            let updated = context.provisioning().update_stream(caller, record, declared).await;
            updated.map_err(|fault| match fault {
                domain::provision::ChangeFault::Store(fault) => Problem::from(fault),
                other => Problem::conflict(format!("the resource is changed, and stream {key} did not follow: {other}; send it again")),
            })?;
        }
        Ok(())
    }
}

/// What a stream's document means with a resource as it will be.
///
/// # Errors
/// 409, with what makes the stream impossible.
async fn declared_with(context: &Context, record: &StreamRecord, resource: &Resource) -> Result<Declaration, Refusal> {
    let place = Place { line: 1, column: 1 };
    let mut draft = Draft::read(Node::from_value(record.posted.clone(), place), Leniency::Chilled);
    let named = draft.document().map(StreamDocument::references).unwrap_or_default();
    let named = named.into_iter().map(|reference| reference.key).collect();
    let mut known = named_resources(context, Whose::of(record), named).await?;
    known.insert(resource.key.clone(), resource.config.clone());
    draft.resolve(&known);
    draft.finish().map_err(|faults| Problem::conflict(format!("stream {} cannot follow: {}", record.key, faults.join("; "))).into())
}
