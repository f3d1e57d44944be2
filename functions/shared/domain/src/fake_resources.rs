//! Resources in the table that lies in memory.

use std::collections::BTreeSet;

use time::macros::datetime;

use crate::access::Caller;
use crate::declaration::Leniency;
use crate::fake_store::FakeStore;
use crate::fakes::lock;
use crate::ids::Owner;
use crate::resource::{Resource, ResourceKey, ResourceKind, ResourceReader, ResourceStore, ResourceUser};
use crate::resource_declaration::ResourceDeclaration;
use crate::store::{StoreFault, WriteFault};

/// A resource as the store holds it, made at the fake clock's start.
///
/// # Panics
/// When a name breaks its pattern, or the text declares no such resource.
#[allow(clippy::expect_used, reason = "a test with a bad name should stop here")]
pub fn resource(owner: &str, kind: ResourceKind, id: &str, text: &str) -> Resource {
    let owner: Owner = owner.parse().expect("an owner");
    let caller = Caller { subject: "tester".into(), owner: owner.clone(), scopes: Vec::new(), streams: None, api_key: None };
    let declared = ResourceDeclaration::parse(kind, text, Leniency::Strict, |_| ()).expect("a resource");
    let key = ResourceKey { kind, id: id.parse().expect("a resource id") };
    Resource::new(owner, key, declared, &caller, datetime!(2026-01-01 00:00 UTC))
}

impl FakeStore {
    /// Puts a resource as it is.
    pub fn insert_resource(&self, resource: Resource) {
        lock(&self.resources).insert(address(&resource), resource);
    }

    /// Names a resource, as the write of a stream does.
    ///
    /// # Errors
    /// [`WriteFault::Conflict`] when it does not exist.
    pub fn use_resource(&self, owner: &Owner, key: &ResourceKey, user: ResourceUser) -> Result<(), WriteFault> {
        self.note_uses(owner, &user, &BTreeSet::new(), &BTreeSet::from([key.clone()]))
    }

    /// Names resources no longer, and others from now on, all of which must exist.
    pub(crate) fn note_uses(
        &self,
        owner: &Owner,
        user: &ResourceUser,
        before: &BTreeSet<ResourceKey>,
        after: &BTreeSet<ResourceKey>,
    ) -> Result<(), WriteFault> {
        let mut resources = lock(&self.resources);
        let address = |key: &ResourceKey| (owner.clone(), key.clone());
        if after.difference(before).any(|taken| !resources.contains_key(&address(taken))) {
            return Err(WriteFault::Conflict);
        }
        for taken in after.difference(before) {
            if let Some(resource) = resources.get_mut(&address(taken)) {
                resource.used_by.insert(user.clone());
            }
        }
        for left in before.difference(after) {
            if let Some(resource) = resources.get_mut(&address(left)) {
                resource.used_by.remove(user);
            }
        }
        Ok(())
    }

    fn check_resource_unchanged(&self, before: &Resource) -> Result<Resource, WriteFault> {
        self.meet_conflict()?;
        let stored = lock(&self.resources).get(&address(before)).cloned();
        stored.filter(|stored| stored.revision == before.revision).ok_or(WriteFault::Conflict)
    }
}

fn address(resource: &Resource) -> (Owner, ResourceKey) {
    (resource.owner.clone(), resource.key.clone())
}

#[async_trait::async_trait]
impl ResourceReader for FakeStore {
    async fn load_resource(&self, owner: &Owner, key: &ResourceKey) -> Result<Option<Resource>, StoreFault> {
        self.called()?;
        Ok(lock(&self.resources).get(&(owner.clone(), key.clone())).cloned())
    }
}

#[async_trait::async_trait]
impl ResourceStore for FakeStore {
    async fn list_resources(&self, owner: &Owner) -> Result<Vec<Resource>, StoreFault> {
        self.called()?;
        Ok(lock(&self.resources).values().filter(|resource| resource.owner == *owner).cloned().collect())
    }

    async fn create_resource(&self, resource: &Resource) -> Result<(), WriteFault> {
        self.called()?;
        self.meet_conflict()?;
        if lock(&self.resources).contains_key(&address(resource)) {
            return Err(WriteFault::Conflict);
        }
        let user = ResourceUser::Resource(resource.key.clone());
        self.note_uses(&resource.owner, &user, &BTreeSet::new(), &resource.config.references())?;
        self.insert_resource(resource.clone());
        Ok(())
    }

    async fn replace_resource(&self, before: &Resource, after: &Resource) -> Result<(), WriteFault> {
        self.called()?;
        let stored = self.check_resource_unchanged(before)?;
        let user = ResourceUser::Resource(after.key.clone());
        self.note_uses(&after.owner, &user, &before.config.references(), &after.config.references())?;
        self.insert_resource(Resource { used_by: stored.used_by, ..after.clone() });
        Ok(())
    }

    async fn remove_resource(&self, resource: &Resource) -> Result<(), WriteFault> {
        self.called()?;
        let stored = self.check_resource_unchanged(resource)?;
        if !stored.used_by.is_empty() {
            return Err(WriteFault::Conflict);
        }
        let user = ResourceUser::Resource(resource.key.clone());
        self.note_uses(&resource.owner, &user, &stored.config.references(), &BTreeSet::new())?;
        lock(&self.resources).remove(&address(resource));
        Ok(())
    }
}
