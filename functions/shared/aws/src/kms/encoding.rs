//! From KMS's encodings (DER) to those of JWTs (RFC 7515, RFC 7517, RFC 7518).

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use domain::signing::PublicKey;
use domain::store::StoreFault;
use serde_json::json;
use sha2::{Digest, Sha256};

/// The bytes before the point in the `SubjectPublicKeyInfo` of every P-256 key (RFC 5480), up to the mark of an uncompressed point.
const P256_PREFIX: [u8; 27] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01,
    0x07, 0x03, 0x42, 0x00, 0x04,
];

/// Bytes of one coordinate, and of each half of a signature.
const HALF: usize = 32;

/// Encodes without padding, as JWTs do.
fn base64url(bytes: &[u8]) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

/// Reads a P-256 public key.
///
/// # Errors
/// It is of another kind.
pub(super) fn public_key(der: &[u8]) -> Result<PublicKey, StoreFault> {
    let point = der.strip_prefix(&P256_PREFIX).filter(|point| point.len() == 2 * HALF);
    let point = point.ok_or_else(|| StoreFault::new("the signing key is not a P-256 key"))?;
    let (x, y) = (base64url(&point[..HALF]), base64url(&point[HALF..]));
    // RFC 7638: the hash of the required members, in this order and without white space.
    let thumbprint = Sha256::digest(json!({"crv": "P-256", "kty": "EC", "x": x, "y": y}).to_string().as_bytes());
    Ok(PublicKey { kid: base64url(&thumbprint), x, y })
}

/// Turns a DER signature (a sequence of two integers) into the two halves that a JWT wants.
///
/// # Errors
/// It is no such signature.
pub(super) fn raw_signature(der: &[u8]) -> Result<[u8; 2 * HALF], StoreFault> {
    let malformed = || StoreFault::new("kms gave a malformed signature");
    let (sequence, rest) = element(der, 0x30).ok_or_else(malformed)?;
    let (r, after) = element(sequence, 0x02).ok_or_else(malformed)?;
    let (s, end) = element(after, 0x02).ok_or_else(malformed)?;
    if !rest.is_empty() || !end.is_empty() {
        return Err(malformed());
    }
    let mut raw = [0; 2 * HALF];
    for (number, half) in [r, s].into_iter().zip(raw.chunks_mut(HALF)) {
        let digits = number.iter().position(|byte| *byte != 0).map_or(&[][..], |first| &number[first..]);
        let start = HALF.checked_sub(digits.len()).ok_or_else(malformed)?;
        half[start..].copy_from_slice(digits);
    }
    Ok(raw)
}

/// Splits a DER element of this tag, shorter than 128 bytes, from what follows it.
fn element(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (&[found, length], rest) = der.split_first_chunk::<2>()?;
    if found != tag || length >= 0x80 {
        return None;
    }
    rest.split_at_checked(usize::from(length))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn der(r: &[u8], s: &[u8]) -> Vec<u8> {
        let mut der = vec![0x30, (4 + r.len() + s.len()) as u8, 0x02, r.len() as u8];
        der.extend(r);
        der.extend([0x02, s.len() as u8]);
        der.extend(s);
        der
    }

    #[test]
    fn short_and_padded_numbers_fill_their_halves() {
        let mut padded = vec![0];
        padded.extend([0xff; 32]);
        let raw = raw_signature(&der(&[1], &padded)).unwrap();
        assert_eq!(raw[31], 1);
        assert!(raw[..31].iter().all(|byte| *byte == 0));
        assert_eq!(raw[32..], [0xff; 32]);
    }

    #[test]
    fn malformed_signatures_are_refused() {
        let good = der(&[1; 32], &[2; 32]);
        assert!(raw_signature(&good).is_ok());
        for bad in [&good[..good.len() - 1], &[][..], &[0x30, 0x80], &der(&[1; 33], &[1; 32]), &[&good[..], &[0]].concat()] {
            assert!(raw_signature(bad).is_err(), "{bad:02x?}");
        }
    }

    #[test]
    fn a_foreign_key_is_refused() {
        assert!(public_key(&[0; 91]).is_err());
        let mut key = P256_PREFIX.to_vec();
        key.extend([7; 64]);
        let public = public_key(&key).unwrap();
        assert_eq!(public.x, public.y);
        assert_eq!(public.kid.len(), 43);
        key.push(0);
        assert!(public_key(&key).is_err());
    }
}
