//! Streams in the table. Every write is conditional: on absence, or on the revision that was read.

use std::collections::BTreeSet;

use aws_sdk_dynamodb::types::{Delete, Put, TransactWriteItem, Update};
use domain::access::Reach;
use domain::ids::{IngestId, Owner, StreamId, StreamKey, Version};
use domain::record::StreamRecord;
use domain::resource::ResourceUser;
use domain::store::{IngestReader, StoreFault, StreamReader, StreamStore, StreamWriter, WriteFault, newest, newest_working};

use super::Table;
use super::items::{
    Item, claim_key, ingest_item, ingest_key, number, owner_in, owner_partition, parsed, source_item, source_key, stack_item, stack_key,
    stats_key, stream_item, stream_key, stream_record, text, versions_prefix,
};
use super::transaction::incomplete;
use crate::fault::store_fault;

#[async_trait::async_trait]
impl StreamReader for Table {
    async fn load(&self, reach: &Reach, id: &StreamId, version: Option<&Version>) -> Result<Option<StreamRecord>, StoreFault> {
        let Some(owner) = self.owner_within(reach, id).await? else { return Ok(None) };
        match version {
            Some(version) => self.load_version(&owner, &StreamKey { id: id.clone(), version: version.clone() }).await,
            None => Ok(newest(self.query_streams(&owner, &versions_prefix(id)).await?)),
        }
    }
}

#[async_trait::async_trait]
impl IngestReader for Table {
    async fn load_for_ingest(&self, reach: &Reach, id: &StreamId) -> Result<Option<StreamRecord>, StoreFault> {
        let Some(owner) = self.owner_within(reach, id).await? else { return Ok(None) };
        Ok(newest_working(self.query_streams(&owner, &versions_prefix(id)).await?))
    }

    async fn load_by_ingest_id(&self, reach: &Reach, id: &IngestId) -> Result<Option<StreamRecord>, StoreFault> {
        let Some(item) = self.get(ingest_key(id), "could not look up an ingest id").await? else { return Ok(None) };
        let Some(owner) = owner_in(&item).filter(|owner| reach.covers(owner)) else { return Ok(None) };
        let record = self.load_version(&owner, &parsed(&item, "stream")?).await?;
        // The version may have been made anew, under another name.
        Ok(record.filter(|record| record.ingest_id == *id))
    }
}

#[async_trait::async_trait]
impl StreamStore for Table {
    async fn list(&self, owner: &Owner) -> Result<Vec<StreamRecord>, StoreFault> {
        self.query_streams(owner, "STREAM#").await
    }

    async fn create(&self, record: &StreamRecord) -> Result<(), WriteFault> {
        let claim = Update::builder()
            .table_name(&self.name)
            .set_key(Some(claim_key(&record.key.id)))
            .update_expression("SET #owner = :owner")
            .condition_expression("attribute_not_exists(#owner) OR #owner = :owner")
            .expression_attribute_names("#owner", "owner")
            .expression_attribute_values(":owner", text(record.owner.as_str()));
        let put =
            Put::builder().table_name(&self.name).set_item(Some(stream_item(record)?)).condition_expression("attribute_not_exists(pk)");
        let name =
            Put::builder().table_name(&self.name).set_item(Some(ingest_item(record))).condition_expression("attribute_not_exists(pk)");
        let mut writes = vec![
            TransactWriteItem::builder().update(claim.build().map_err(incomplete)?).build(),
            TransactWriteItem::builder().put(put.build().map_err(incomplete)?).build(),
            self.put_config(record)?,
            self.put_stats(record)?,
            // Drawn by chance: it must not take another stream's name, however unlikely.
            TransactWriteItem::builder().put(name.build().map_err(incomplete)?).build(),
        ];
        if let Some(source) = source_item(record) {
            writes.push(self.put(source)?);
        }
        for (part, stack) in record.parts() {
            writes.push(self.put(stack_item(record, part, &stack.stack_name))?);
        }
        let user = ResourceUser::Stream(record.key.clone());
        writes.extend(self.note_uses(&record.owner, &user, &BTreeSet::new(), &record.references())?);
        self.transact(writes).await
    }
}

#[async_trait::async_trait]
impl StreamWriter for Table {
    async fn replace(&self, before: &StreamRecord, after: &StreamRecord) -> Result<(), WriteFault> {
        let put = Put::builder()
            .table_name(&self.name)
            .set_item(Some(stream_item(after)?))
            .condition_expression("revision = :before")
            .expression_attribute_values(":before", number(before.revision));
        let mut writes = vec![TransactWriteItem::builder().put(put.build().map_err(incomplete)?).build()];
        if after.last_config_version > before.last_config_version {
            writes.push(self.put_config(after)?);
        }
        if after.route() != before.route()
            && let Some(source) = source_item(after)
        {
            writes.push(self.put(source)?);
        }
        let old: BTreeSet<&str> = before.parts().map(|(_, stack)| stack.stack_name.as_str()).collect();
        for (part, stack) in after.parts().filter(|(_, stack)| !old.contains(stack.stack_name.as_str())) {
            writes.push(self.put(stack_item(after, part, &stack.stack_name))?);
        }
        let new: BTreeSet<&str> = after.parts().map(|(_, stack)| stack.stack_name.as_str()).collect();
        for gone in old.difference(&new) {
            writes.push(self.delete(stack_key(gone))?);
        }
        let user = ResourceUser::Stream(after.key.clone());
        writes.extend(self.note_uses(&after.owner, &user, &before.references(), &after.references())?);
        self.transact(writes).await
    }

    async fn remove(&self, record: &StreamRecord) -> Result<(), WriteFault> {
        let delete = Delete::builder()
            .table_name(&self.name)
            .set_key(Some(stream_key(&record.owner, &record.key)))
            .condition_expression("revision = :before")
            .expression_attribute_values(":before", number(record.revision));
        let mut writes = vec![
            TransactWriteItem::builder().delete(delete.build().map_err(incomplete)?).build(),
            self.delete(stats_key(&record.ingest_id))?,
            self.delete(ingest_key(&record.ingest_id))?,
        ];
        if let Some(raw_stream) = &record.resources.raw_stream {
            writes.push(self.delete(source_key(raw_stream))?);
        }
        for (_, stack) in record.parts() {
            writes.push(self.delete(stack_key(&stack.stack_name))?);
        }
        let user = ResourceUser::Stream(record.key.clone());
        writes.extend(self.note_uses(&record.owner, &user, &record.references(), &BTreeSet::new())?);
        self.transact(writes).await
    }
}

impl Table {
    /// Loads one version from its owner's partition.
    pub(super) async fn load_version(&self, owner: &Owner, key: &StreamKey) -> Result<Option<StreamRecord>, StoreFault> {
        let item = self.get(stream_key(owner, key), "could not read a stream").await?;
        item.as_ref().map(stream_record).transpose()
    }

    /// Reads one item as it is now.
    pub(super) async fn get(&self, key: Item, tried: &str) -> Result<Option<Item>, StoreFault> {
        let request = self.client.get_item().table_name(&self.name).set_key(Some(key)).consistent_read(true);
        Ok(request.send().await.map_err(store_fault(tried))?.item)
    }

    async fn query_streams(&self, owner: &Owner, sort_prefix: &str) -> Result<Vec<StreamRecord>, StoreFault> {
        let mut pages = self
            .client
            .query()
            .table_name(&self.name)
            .consistent_read(true)
            .key_condition_expression("pk = :pk AND begins_with(sk, :prefix)")
            .expression_attribute_values(":pk", text(owner_partition(owner)))
            .expression_attribute_values(":prefix", text(sort_prefix))
            .into_paginator()
            .items()
            .send();
        let mut records = Vec::new();
        while let Some(item) = pages.next().await {
            records.push(stream_record(&item.map_err(store_fault("could not list streams"))?)?);
        }
        Ok(records)
    }

    /// In whose partition a stream lies, if that is within reach.
    async fn owner_within(&self, reach: &Reach, id: &StreamId) -> Result<Option<Owner>, StoreFault> {
        match reach {
            Reach::Owner(owner) => Ok(Some(owner.clone())),
            Reach::Everyone => self.owner_of(id).await,
        }
    }

    async fn owner_of(&self, id: &StreamId) -> Result<Option<Owner>, StoreFault> {
        let item = self.get(claim_key(id), "could not read an id's owner").await?;
        Ok(item.as_ref().and_then(owner_in))
    }
}
