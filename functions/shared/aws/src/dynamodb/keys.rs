//! Public signing keys. Only the roles of the functions that sign may write them.

use aws_sdk_dynamodb::error::ProvideErrorMetadata;
use domain::signing::{PublicKey, SigningKeyPublisher, VerificationKey, VerificationKeys};
use domain::store::StoreFault;
use serde_json::json;

use super::Table;
use super::items::{parsed, signing_key, text};
use crate::fault::store_fault;

#[async_trait::async_trait]
impl VerificationKeys for Table {
    async fn load(&self) -> Result<Vec<VerificationKey>, StoreFault> {
        let request = self
            .client
            .query()
            .table_name(&self.name)
            .consistent_read(true)
            .key_condition_expression("pk = :keys")
            .expression_attribute_values(":keys", text("KEYS"));
        let output = request.send().await.map_err(store_fault("could not read the signing keys"))?;
        output.items().iter().map(|item| parsed(item, "public_key").map(VerificationKey::Es256)).collect()
    }
}

#[async_trait::async_trait]
impl SigningKeyPublisher for Table {
    async fn publish(&self, key: &PublicKey) -> Result<(), StoreFault> {
        let mut item = signing_key(&key.kid);
        item.insert("public_key".to_owned(), text(json!(key).to_string()));
        let request = self.client.put_item().table_name(&self.name).set_item(Some(item)).condition_expression("attribute_not_exists(pk)");
        match request.send().await {
            Ok(_) => Ok(()),
            Err(error) if error.code() == Some("ConditionalCheckFailedException") => Ok(()),
            Err(error) => Err(store_fault("could not publish a signing key")(error)),
        }
    }
}
