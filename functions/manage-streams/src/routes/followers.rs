//! Streams whose `input` or `output` is a resource follow when that changes: each gets the new section as an update.

use std::collections::BTreeMap;

use domain::access::{Caller, Reach};
use domain::declaration::Declaration;
use domain::record::StreamRecord;
use domain::resource::{Resource, ResourceUser};
use http_edge::Problem;

use crate::context::Context;
use crate::routes::checks::is_section;
use crate::routes::refusal::Refusal;

/// The streams that a resource stands for a section of, each with what it will be declared as.
#[derive(Default)]
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
        let resources = BTreeMap::from([(resource.key.clone(), resource.config.clone())]);
        for user in &resource.used_by {
            let ResourceUser::Stream(key) = user else { continue };
            let found = context.streams.load(&Reach::Owner(resource.owner.clone()), &key.id, Some(&key.version)).await?;
            let Some(found) = found else { continue };
            let Some(record) = context.provisioning().reconcile(found).await? else { continue };
            let mut document = record.document.clone();
            document.resolve(&resources);
            if document == record.document {
                continue;
            }
            let checked = context.provisioning().check_update(&record, &document);
            checked.map_err(|fault| Problem::conflict(format!("stream {key} cannot follow: {fault}")))?;
            followers.push((record.clone(), Declaration { posted: record.posted, document }));
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
