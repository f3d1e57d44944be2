use serde_json::{Value, json};

use super::*;

fn read(key: &Value) -> Result<VerificationKey, &'static str> {
    Jwk::deserialize(key).unwrap().verification_key()
}

fn ec() -> Value {
    json!({"kty": "EC", "crv": "P-256", "kid": "one", "x": encoded(&[1; 32]), "y": encoded(&[2; 32])})
}

/// An RSA key whose modulus has this many bits.
fn rsa(bits: usize) -> Value {
    let mut modulus = vec![0xff; bits.div_ceil(8)];
    modulus[0] >>= modulus.len() * 8 - bits;
    json!({"kty": "RSA", "kid": "two", "n": encoded(&modulus), "e": "AQAB"})
}

/// The key with other members; null takes one away.
fn with(mut key: Value, members: Value) -> Value {
    for (name, value) in members.as_object().unwrap() {
        if value.is_null() {
            key.as_object_mut().unwrap().remove(name).unwrap();
        } else {
            key[name] = value.clone();
        }
    }
    key
}

#[test]
fn keys_of_both_kinds_are_read() {
    let expected = PublicKey { kid: "one".to_owned(), x: encoded(&[1; 32]), y: encoded(&[2; 32]) };
    assert_eq!(read(&ec()), Ok(VerificationKey::Es256(expected)));
    let expected = VerificationKey::Rs256 { kid: "two".to_owned(), n: encoded(&[0xff; 256]), e: "AQAB".to_owned() };
    assert_eq!(read(&rsa(2048)), Ok(expected));
}

#[test]
fn members_that_say_what_we_want_change_nothing() {
    assert_eq!(read(&with(ec(), json!({"use": "sig", "alg": "ES256", "key_ops": ["verify"], "x5t": "abc"}))), read(&ec()));
    assert_eq!(read(&with(rsa(4096), json!({"use": "sig", "alg": "RS256", "key_ops": ["sign", "verify"]}))), read(&rsa(4096)));
}

#[test]
fn keys_for_something_else_are_skipped() {
    for key in [ec(), rsa(2048)] {
        for (change, reason) in [
            (json!({"kid": null}), "it has no kid"),
            (json!({"kid": ""}), "it has no kid"),
            (json!({"use": "enc"}), "its use is not sig"),
            (json!({"key_ops": ["encrypt"]}), "its key_ops lack verify"),
            (json!({"key_ops": []}), "its key_ops lack verify"),
            (json!({"kty": "oct", "k": "AAAA"}), "its kty is neither EC nor RSA"),
            (json!({"kty": "OKP"}), "its kty is neither EC nor RSA"),
        ] {
            assert_eq!(read(&with(key.clone(), change)), Err(reason));
        }
    }
}

#[test]
fn an_algorithm_of_another_kind_is_skipped() {
    for algorithm in ["RS256", "ES384", "HS256", "none", "es256"] {
        assert_eq!(read(&with(ec(), json!({"alg": algorithm}))), Err("its alg is not ES256"));
    }
    for algorithm in ["ES256", "PS256", "RS512", "HS256", "none"] {
        assert_eq!(read(&with(rsa(2048), json!({"alg": algorithm}))), Err("its alg is not RS256"));
    }
}

#[test]
fn points_of_another_curve_or_length_are_skipped() {
    for crv in [json!("P-384"), json!("secp256k1"), Value::Null] {
        assert_eq!(read(&with(ec(), json!({"crv": crv}))), Err("its crv is not P-256"));
    }
    for bad in [json!(encoded(&[1; 31])), json!(encoded(&[1; 33])), json!("not base64url!"), json!(""), Value::Null] {
        for name in ["x", "y"] {
            assert_eq!(read(&with(ec(), json!({name: bad}))), Err("a coordinate is not 32 bytes"), "{name} {bad}");
        }
    }
}

#[test]
fn moduli_from_2048_to_8192_bits_are_read() {
    for bits in [2048, 2049, 3072, 8191, 8192] {
        assert!(read(&rsa(bits)).is_ok(), "{bits}");
    }
    for bits in [512, 1024, 2047, 8193, 16_384] {
        assert_eq!(read(&rsa(bits)), Err("its modulus is too short or too long"), "{bits}");
    }
}

#[test]
fn unreadable_moduli_and_exponents_are_skipped() {
    for name in ["n", "e"] {
        for bad in [json!("not base64url!"), json!(""), json!(encoded(&[0, 0])), Value::Null] {
            assert_eq!(read(&with(rsa(2048), json!({name: bad}))), Err("its modulus or exponent is unreadable"), "{name} {bad}");
        }
    }
}

#[test]
fn a_leading_zero_is_taken_away_and_not_counted() {
    let padded = [&[0][..], &[0xff; 256]].concat();
    assert_eq!(read(&with(rsa(2048), json!({"n": encoded(&padded)}))), read(&rsa(2048)));
    let too_short = [&[0][..], &[0xff; 255]].concat();
    assert!(read(&with(rsa(2048), json!({"n": encoded(&too_short)}))).is_err());
}
