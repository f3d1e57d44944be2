//! API keys in the table. Only the function that makes them may write them.

use aws_sdk_dynamodb::types::{Put, TransactWriteItem};
use domain::access::Reach;
use domain::api_key::{ApiKey, ApiKeyReader, ApiKeyStore};
use domain::ids::{ApiKeyId, Owner};
use domain::store::{StoreFault, WriteFault};

use super::Table;
use super::items::{api_key_item, api_key_key, api_key_owner_item, api_key_owner_key, api_keys_partition, number, owner_in, parsed, text};
use super::transaction::incomplete;
use crate::fault::store_fault;

#[async_trait::async_trait]
impl ApiKeyReader for Table {
    async fn load_key(&self, reach: &Reach, id: &ApiKeyId) -> Result<Option<ApiKey>, StoreFault> {
        let owner = match reach {
            Reach::Owner(owner) => Some(owner.clone()),
            Reach::Everyone => self.get(api_key_owner_key(id), "could not read an api key's owner").await?.as_ref().and_then(owner_in),
        };
        let Some(owner) = owner else { return Ok(None) };
        let item = self.get(api_key_key(&owner, id), "could not read an api key").await?;
        item.as_ref().map(|item| parsed(item, "record")).transpose()
    }
}

#[async_trait::async_trait]
impl ApiKeyStore for Table {
    async fn list_keys(&self, owner: &Owner) -> Result<Vec<ApiKey>, StoreFault> {
        let mut pages = self
            .client
            .query()
            .table_name(&self.name)
            .consistent_read(true)
            .key_condition_expression("pk = :pk")
            .expression_attribute_values(":pk", text(api_keys_partition(owner)))
            .into_paginator()
            .items()
            .send();
        let mut keys = Vec::new();
        while let Some(item) = pages.next().await {
            keys.push(parsed(&item.map_err(store_fault("could not list api keys"))?, "record")?);
        }
        Ok(keys)
    }

    async fn create_key(&self, key: &ApiKey) -> Result<(), WriteFault> {
        // Whoever has the id has the item that says so.
        let claim =
            Put::builder().table_name(&self.name).set_item(Some(api_key_owner_item(key))).condition_expression("attribute_not_exists(pk)");
        let claim = TransactWriteItem::builder().put(claim.build().map_err(incomplete)?).build();
        self.transact(vec![claim, self.put(api_key_item(key)?)?]).await
    }

    async fn replace_key(&self, before: &ApiKey, after: &ApiKey) -> Result<(), WriteFault> {
        let put = Put::builder()
            .table_name(&self.name)
            .set_item(Some(api_key_item(after)?))
            .condition_expression("revision = :before")
            .expression_attribute_values(":before", number(before.revision));
        self.transact(vec![TransactWriteItem::builder().put(put.build().map_err(incomplete)?).build()]).await
    }

    async fn remove_key(&self, key: &ApiKey) -> Result<(), StoreFault> {
        let items = [api_key_key(&key.owner, &key.id), api_key_owner_key(&key.id)];
        let deletions = items.into_iter().map(|item| self.delete(item)).collect::<Result<Vec<_>, _>>();
        match deletions {
            Ok(deletions) => self.transact(deletions).await,
            Err(fault) => Err(fault),
        }
        .map_err(|fault| match fault {
            WriteFault::Store(fault) => fault,
            WriteFault::Conflict => StoreFault::new("could not delete an api key: other writes kept coming"),
        })
    }
}
