//! The configs that streams had. They are written with the streams' records ([`super::streams`]).

use aws_sdk_dynamodb::types::{Put, TransactWriteItem};
use domain::config::{AcceptedConfig, ConfigHistory, ConfigPage, ConfigSummary};
use domain::ids::{Owner, StreamKey};
use domain::record::StreamRecord;
use domain::store::{StoreFault, WriteFault};

use super::Table;
use super::items::{config_item, config_key, config_sort_key, configs_prefix, owner_partition, parsed, text};
use super::transaction::incomplete;
use crate::fault::store_fault;

#[async_trait::async_trait]
impl ConfigHistory for Table {
    async fn list_configs(&self, owner: &Owner, key: &StreamKey, page: ConfigPage) -> Result<Vec<ConfigSummary>, StoreFault> {
        let first = config_sort_key(key, 0);
        // Numbers begin at 1.
        let last = page.before.map_or_else(|| format!("{}~", configs_prefix(key)), |before| config_sort_key(key, before.saturating_sub(1)));
        let mut pages = self
            .client
            .query()
            .table_name(&self.name)
            .consistent_read(true)
            .scan_index_forward(false)
            .limit(i32::try_from(page.limit).unwrap_or(i32::MAX))
            .key_condition_expression("pk = :pk AND sk BETWEEN :first AND :last")
            .projection_expression("summary")
            .expression_attribute_values(":pk", text(owner_partition(owner)))
            .expression_attribute_values(":first", text(first))
            .expression_attribute_values(":last", text(last))
            .into_paginator()
            .items()
            .send();
        let mut summaries = Vec::new();
        while summaries.len() < page.limit
            && let Some(item) = pages.next().await
        {
            summaries.push(parsed(&item.map_err(store_fault("could not list a stream's configs"))?, "summary")?);
        }
        Ok(summaries)
    }

    async fn load_config(&self, owner: &Owner, key: &StreamKey, number: u32) -> Result<Option<AcceptedConfig>, StoreFault> {
        let Some(item) = self.get(config_key(owner, key, number), "could not read a stream's config").await? else { return Ok(None) };
        Ok(Some(AcceptedConfig { summary: parsed(&item, "summary")?, posted: parsed(&item, "posted")? }))
    }
}

impl Table {
    /// Keeps a record's newest config, whose number nobody may have taken.
    pub(super) fn put_config(&self, record: &StreamRecord) -> Result<TransactWriteItem, WriteFault> {
        let put =
            Put::builder().table_name(&self.name).set_item(Some(config_item(record)?)).condition_expression("attribute_not_exists(pk)");
        Ok(TransactWriteItem::builder().put(put.build().map_err(incomplete)?).build())
    }
}
