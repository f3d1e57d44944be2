//! Public keys as issuers publish them (RFC 7517, RFC 7518).

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use domain::signing::{PublicKey, VerificationKey};
use serde::Deserialize;

/// Bytes of a coordinate on P-256 (<https://www.rfc-editor.org/rfc/rfc7518#section-6.2.1.2>).
const P256_COORDINATE_BYTES: usize = 32;

/// The shortest RSA modulus, in bits (<https://www.rfc-editor.org/rfc/rfc7518#section-3.3>).
const MIN_RSA_BITS: u32 = 2048;

/// The longest RSA modulus, in bits: the longest that aws-lc verifies with
/// (<https://docs.rs/aws-lc-rs/latest/aws_lc_rs/signature/static.RSA_PKCS1_2048_8192_SHA256.html>).
const MAX_RSA_BITS: u32 = 8192;

/// A key of a set. Members that no key of ours has are not read.
#[derive(Deserialize)]
pub(crate) struct Jwk {
    kty: String,
    pub(crate) kid: Option<String>,
    #[serde(rename = "use")]
    purpose: Option<String>,
    alg: Option<String>,
    key_ops: Option<Vec<String>>,
    crv: Option<String>,
    x: Option<String>,
    y: Option<String>,
    n: Option<String>,
    e: Option<String>,
}

impl Jwk {
    /// Reads a key that signatures can be verified with.
    ///
    /// # Errors
    /// Why it is none of ours.
    pub(crate) fn verification_key(&self) -> Result<VerificationKey, &'static str> {
        let kid = self.kid.as_deref().filter(|kid| !kid.is_empty()).ok_or("it has no kid")?;
        if self.purpose.as_deref().is_some_and(|purpose| purpose != "sig") {
            return Err("its use is not sig");
        }
        if self.key_ops.as_deref().is_some_and(|operations| !operations.iter().any(|operation| operation == "verify")) {
            return Err("its key_ops lack verify");
        }
        match self.kty.as_str() {
            "EC" => self.es256(kid),
            "RSA" => self.rs256(kid),
            _ => Err("its kty is neither EC nor RSA"),
        }
    }

    fn es256(&self, kid: &str) -> Result<VerificationKey, &'static str> {
        if self.alg.as_deref().is_some_and(|algorithm| algorithm != "ES256") {
            return Err("its alg is not ES256");
        }
        if self.crv.as_deref() != Some("P-256") {
            return Err("its crv is not P-256");
        }
        let coordinate = |text: &Option<String>| decoded(text).filter(|bytes| bytes.len() == P256_COORDINATE_BYTES);
        let (Some(x), Some(y)) = (coordinate(&self.x), coordinate(&self.y)) else { return Err("a coordinate is not 32 bytes") };
        Ok(VerificationKey::Es256(PublicKey { kid: kid.to_owned(), x: encoded(&x), y: encoded(&y) }))
    }

    fn rs256(&self, kid: &str) -> Result<VerificationKey, &'static str> {
        if self.alg.as_deref().is_some_and(|algorithm| algorithm != "RS256") {
            return Err("its alg is not RS256");
        }
        let number = |text: &Option<String>| decoded(text).map(without_leading_zeros).filter(|bytes| !bytes.is_empty());
        let (Some(n), Some(e)) = (number(&self.n), number(&self.e)) else { return Err("its modulus or exponent is unreadable") };
        if !(MIN_RSA_BITS..=MAX_RSA_BITS).contains(&bits(&n)) {
            return Err("its modulus is too short or too long");
        }
        Ok(VerificationKey::Rs256 { kid: kid.to_owned(), n: encoded(&n), e: encoded(&e) })
    }
}

fn decoded(text: &Option<String>) -> Option<Vec<u8>> {
    BASE64_URL_SAFE_NO_PAD.decode(text.as_deref()?).ok()
}

fn encoded(bytes: &[u8]) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

/// Some issuers put a zero in front (RFC 7518, section 6.3.1.1), and aws-lc takes none.
fn without_leading_zeros(mut bytes: Vec<u8>) -> Vec<u8> {
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    bytes.drain(..zeros);
    bytes
}

/// The length of a number without leading zero bytes.
fn bits(number: &[u8]) -> u32 {
    let leading = number.first().map_or(0, |byte| byte.leading_zeros());
    u32::try_from(number.len()).map_or(u32::MAX, |bytes| bytes.saturating_mul(8)) - leading
}

#[cfg(test)]
#[path = "jwk_tests.rs"]
mod tests;
