//! The system's own look-ups, for work that no caller asked for.

use domain::process::Route;
use domain::record::{Part, StreamRecord};
use domain::store::{FaultyStreams, Routes, StackIndex, StoreFault};

use super::Table;
use super::items::{owner_in, parsed, source_key, stack_key, stream_record, text};
use crate::fault::store_fault;

#[async_trait::async_trait]
impl StackIndex for Table {
    async fn find_by_stack(&self, stack_name: &str) -> Result<Option<(StreamRecord, Part)>, StoreFault> {
        let Some(item) = self.get(stack_key(stack_name), "could not read a stack's purpose").await? else { return Ok(None) };
        let owner = owner_in(&item).ok_or_else(|| StoreFault::new("a stack's purpose names no owner"))?;
        let part: Part = parsed(&item, "part")?;
        let record = self.load_version(&owner, &parsed(&item, "stream")?).await?;
        Ok(record.map(|record| (record, part)))
    }
}

#[async_trait::async_trait]
impl Routes for Table {
    async fn route(&self, raw_stream: &str) -> Result<Option<Route>, StoreFault> {
        let item = self.get(source_key(raw_stream), "could not read a route").await?;
        item.as_ref().map(|item| parsed(item, "route")).transpose()
    }
}

#[async_trait::async_trait]
impl FaultyStreams for Table {
    async fn faulty(&self) -> Result<Vec<StreamRecord>, StoreFault> {
        let request = self
            .client
            .query()
            .table_name(&self.name)
            .index_name("faulty")
            .key_condition_expression("faulty = :yes")
            .expression_attribute_values(":yes", text("yes"))
            .limit(1_000);
        let output = request.send().await.map_err(store_fault("could not list faulty streams"))?;
        output.items().iter().map(stream_record).collect()
    }
}
