//! Signs tokens with a key that never leaves KMS.

mod encoding;

use aws_config::SdkConfig;
use aws_sdk_kms::Client;
use aws_sdk_kms::primitives::Blob;
use aws_sdk_kms::types::{MessageType, SigningAlgorithmSpec};
use domain::signing::{PublicKey, TokenSigner};
use domain::store::StoreFault;

use crate::fault::store_fault;

/// One asymmetric KMS key (`ECC_NIST_P256`, `SIGN_VERIFY`).
#[derive(Debug, Clone)]
pub struct KmsKey {
    client: Client,
    key_id: String,
}

impl KmsKey {
    /// Signs with the key of this id.
    pub fn new(config: &SdkConfig, key_id: String) -> Self {
        Self { client: Client::new(config), key_id }
    }
}

#[async_trait::async_trait]
impl TokenSigner for KmsKey {
    async fn public_key(&self) -> Result<PublicKey, StoreFault> {
        let answer = self.client.get_public_key().key_id(&self.key_id).send().await;
        let output = answer.map_err(store_fault("could not get the public key"))?;
        let der = output.public_key.map(Blob::into_inner).ok_or_else(|| StoreFault::new("kms gave no public key"))?;
        encoding::public_key(&der)
    }

    async fn sign(&self, message: &[u8]) -> Result<[u8; 64], StoreFault> {
        let request = self.client.sign().key_id(&self.key_id).message(Blob::new(message));
        let request = request.message_type(MessageType::Raw).signing_algorithm(SigningAlgorithmSpec::EcdsaSha256);
        let output = request.send().await.map_err(store_fault("could not sign"))?;
        let der = output.signature.map(Blob::into_inner).ok_or_else(|| StoreFault::new("kms gave no signature"))?;
        encoding::raw_signature(&der)
    }
}
