//! Resources in the table, each with its users. Streams that name resources say so here, in the transaction that stores them.

use std::collections::BTreeSet;

use aws_sdk_dynamodb::types::{AttributeValue, Delete, TransactWriteItem, Update};
use domain::ids::Owner;
use domain::resource::{Resource, ResourceKey, ResourceReader, ResourceStore, ResourceUser};
use domain::store::{StoreFault, WriteFault};

use super::Table;
use super::items::{json_text, number, owner_partition, resource_in, resource_key, resource_user, text};
use super::transaction::incomplete;
use crate::fault::store_fault;

#[async_trait::async_trait]
impl ResourceReader for Table {
    async fn load_resource(&self, owner: &Owner, key: &ResourceKey) -> Result<Option<Resource>, StoreFault> {
        let item = self.get(resource_key(owner, key), "could not read a resource").await?;
        Ok(item.as_ref().map(resource_in).transpose()?.flatten())
    }
}

#[async_trait::async_trait]
impl ResourceStore for Table {
    async fn list_resources(&self, owner: &Owner) -> Result<Vec<Resource>, StoreFault> {
        let mut pages = self
            .client
            .query()
            .table_name(&self.name)
            .consistent_read(true)
            .key_condition_expression("pk = :pk AND begins_with(sk, :prefix)")
            .expression_attribute_values(":pk", text(owner_partition(owner)))
            .expression_attribute_values(":prefix", text("RESOURCE#"))
            .into_paginator()
            .items()
            .send();
        let mut resources = Vec::new();
        while let Some(item) = pages.next().await {
            resources.extend(resource_in(&item.map_err(store_fault("could not list resources"))?)?);
        }
        Ok(resources)
    }

    async fn create_resource(&self, resource: &Resource) -> Result<(), WriteFault> {
        self.write_resource(None, resource).await
    }

    async fn replace_resource(&self, before: &Resource, after: &Resource) -> Result<(), WriteFault> {
        self.write_resource(Some(before), after).await
    }

    async fn remove_resource(&self, resource: &Resource) -> Result<(), WriteFault> {
        let delete = Delete::builder()
            .table_name(&self.name)
            .set_key(Some(resource_key(&resource.owner, &resource.key)))
            .condition_expression("revision = :before AND attribute_not_exists(used_by)")
            .expression_attribute_values(":before", number(resource.revision));
        let mut writes = vec![TransactWriteItem::builder().delete(delete.build().map_err(incomplete)?).build()];
        let user = ResourceUser::Resource(resource.key.clone());
        writes.extend(self.note_uses(&resource.owner, &user, &resource.config.references(), &BTreeSet::new())?);
        self.transact(writes).await
    }
}

impl Table {
    /// Writes everything of a resource but its users, who come and go by themselves.
    async fn write_resource(&self, before: Option<&Resource>, after: &Resource) -> Result<(), WriteFault> {
        let update = Update::builder()
            .table_name(&self.name)
            .set_key(Some(resource_key(&after.owner, &after.key)))
            .update_expression("SET #record = :record, revision = :after")
            .expression_attribute_names("#record", "record")
            .expression_attribute_values(":record", json_text(after)?)
            .expression_attribute_values(":after", number(after.revision));
        let update = match before {
            None => update.condition_expression("attribute_not_exists(revision)"),
            Some(before) => {
                update.condition_expression("revision = :before").expression_attribute_values(":before", number(before.revision))
            }
        };
        let mut writes = vec![TransactWriteItem::builder().update(update.build().map_err(incomplete)?).build()];
        let user = ResourceUser::Resource(after.key.clone());
        let named_before = before.map(|before| before.config.references()).unwrap_or_default();
        writes.extend(self.note_uses(&after.owner, &user, &named_before, &after.config.references())?);
        self.transact(writes).await
    }

    /// Writes down who names which resources, for the transaction that makes it so.
    ///
    /// One that is not there, or is removed at the same time, stops the transaction. DynamoDB drops a set with its last member.
    pub(super) fn note_uses(
        &self,
        owner: &Owner,
        user: &ResourceUser,
        before: &BTreeSet<ResourceKey>,
        after: &BTreeSet<ResourceKey>,
    ) -> Result<Vec<TransactWriteItem>, WriteFault> {
        let user = AttributeValue::Ss(vec![resource_user(user)?]);
        let note = |key: &ResourceKey, expression: &str| {
            Update::builder()
                .table_name(&self.name)
                .set_key(Some(resource_key(owner, key)))
                .update_expression(expression)
                .expression_attribute_values(":user", user.clone())
        };
        let taken = after.difference(before).map(|key| note(key, "ADD used_by :user").condition_expression("attribute_exists(revision)"));
        // No condition: whatever became of the resource, its user can always go.
        let left = before.difference(after).map(|key| note(key, "DELETE used_by :user"));
        let built = taken.chain(left).map(|update| update.build().map(|update| TransactWriteItem::builder().update(update).build()));
        built.collect::<Result<_, _>>().map_err(|error| incomplete(error).into())
    }
}
