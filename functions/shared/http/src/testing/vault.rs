//! KMS and the table's public keys, in memory.

use std::sync::{Mutex, MutexGuard, PoisonError};

use domain::signing::{PublicKey, SigningKeyPublisher, TokenSigner, VerificationKey, VerificationKeys};
use domain::store::StoreFault;

use super::TestIssuer;

/// What the vault calls its key.
pub const THUMBPRINT: &str = "vault-key";

/// Signs as KMS does and keeps what is published. May be told which call to fail, and notes what was asked of it.
#[derive(Debug, Default)]
pub struct FakeVault {
    issuer: TestIssuer,
    calls: Mutex<Vec<&'static str>>,
    failing: Mutex<Option<&'static str>>,
    published: Mutex<Vec<PublicKey>>,
}

impl FakeVault {
    /// The issuer whose key this is.
    pub fn issuer(&self) -> &TestIssuer {
        &self.issuer
    }

    /// Fails `public key`, `sign` or `publish` from now on, or nothing.
    pub fn fail(&self, call: Option<&'static str>) {
        *lock(&self.failing) = call;
    }

    /// What was asked, in order.
    pub fn calls(&self) -> Vec<&'static str> {
        lock(&self.calls).clone()
    }

    /// The public keys that were published.
    pub fn published(&self) -> Vec<PublicKey> {
        lock(&self.published).clone()
    }

    fn called(&self, call: &'static str) -> Result<(), StoreFault> {
        lock(&self.calls).push(call);
        if *lock(&self.failing) == Some(call) { Err(StoreFault::new(format!("{call}: scripted failure"))) } else { Ok(()) }
    }
}

#[async_trait::async_trait]
impl TokenSigner for FakeVault {
    async fn public_key(&self) -> Result<PublicKey, StoreFault> {
        self.called("public key")?;
        Ok(PublicKey { kid: THUMBPRINT.to_owned(), ..self.issuer.public_key() })
    }

    async fn sign(&self, message: &[u8]) -> Result<[u8; 64], StoreFault> {
        self.called("sign")?;
        self.issuer.sign_bytes(message).try_into().map_err(|_| StoreFault::new("no signature"))
    }
}

#[async_trait::async_trait]
impl SigningKeyPublisher for FakeVault {
    async fn publish(&self, key: &PublicKey) -> Result<(), StoreFault> {
        self.called("publish")?;
        let mut published = lock(&self.published);
        if !published.contains(key) {
            published.push(key.clone());
        }
        Ok(())
    }
}

#[async_trait::async_trait]
impl VerificationKeys for FakeVault {
    async fn load(&self) -> Result<Vec<VerificationKey>, StoreFault> {
        Ok(self.published().into_iter().map(VerificationKey::Es256).collect())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
