//! KMS and the table's public keys, in memory.

use std::sync::{Mutex, MutexGuard, PoisonError};

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use domain::signing::{PublicKey, SigningKeyPublisher, TokenSigner, VerificationKey, VerificationKeys};
use domain::store::StoreFault;

use super::TestIssuer;

/// The bytes before the point in a P-256 `SubjectPublicKeyInfo` (RFC 5480).
const P256_HEAD: [u8; 27] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01,
    0x07, 0x03, 0x42, 0x00, 0x04,
];

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
    async fn public_key_der(&self) -> Result<Vec<u8>, StoreFault> {
        self.called("public key")?;
        let key = self.issuer.public_key();
        let half = |text: &str| BASE64_URL_SAFE_NO_PAD.decode(text).unwrap_or_default();
        Ok([&P256_HEAD[..], &half(&key.x), &half(&key.y)].concat())
    }

    async fn sign(&self, message: &[u8]) -> Result<Vec<u8>, StoreFault> {
        self.called("sign")?;
        Ok(der(&self.issuer.sign_bytes(message)))
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

/// A signature's two halves as KMS gives them: a DER sequence of two integers.
fn der(raw: &[u8]) -> Vec<u8> {
    let integer = |half: &[u8]| {
        let first = half.iter().position(|byte| *byte != 0).unwrap_or(half.len());
        let sign: &[u8] = if half.get(first).is_some_and(|byte| *byte >= 0x80) { &[0] } else { &[] };
        let digits = [sign, &half[first..]].concat();
        let length = u8::try_from(digits.len()).unwrap_or(u8::MAX);
        [&[0x02, length][..], &digits].concat()
    };
    let numbers = [integer(&raw[..32]), integer(&raw[32..])].concat();
    let length = u8::try_from(numbers.len()).unwrap_or(u8::MAX);
    [&[0x30, length][..], &numbers].concat()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
