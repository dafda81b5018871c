//! A JSON Web Key Set, of which one bad key doesn't spoil the others.

use jsonwebtoken::{
    DecodingKey,
    jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyOperations, PublicKeyUse},
};
use serde::Deserialize;
use serde_json::Value;

use crate::{Algorithm, Key, key::Material, keys::KeySet};

/// How many keys of one issuer are taken.
const MOST_KEYS: usize = 64;

#[derive(Deserialize)]
struct Document {
    keys: Vec<Value>,
}

/// What could be used of a document.
#[derive(Debug)]
pub(super) struct Read {
    pub(super) keys: KeySet,
    pub(super) taken: usize,
    pub(super) skipped: usize,
}

/// Takes the keys that may verify by one of these algorithms. Where none of those that are there may,
/// it is an error, since keys that were good should outlive a mistake. An empty list is none: by that
/// an issuer withdraws all that it has had.
pub(super) fn read(text: &[u8], allowed: &[Algorithm]) -> Result<Read, &'static str> {
    let document: Document = serde_json::from_slice(text)
        .map_err(|_| "expected a JSON Web Key Set: an object in JSON with a list of `keys`")?;
    let whole = document.keys.len();
    let usable = document
        .keys
        .into_iter()
        .filter_map(|key| usable(key, allowed));
    let keys: Vec<Key> = usable.take(MOST_KEYS).collect();
    if keys.is_empty() && whole > 0 {
        return Err("expected a JSON Web Key Set with a key for one of the algorithms");
    }
    Ok(Read {
        taken: keys.len(),
        skipped: whole - keys.len(),
        keys: KeySet::new(keys),
    })
}

fn usable(key: Value, allowed: &[Algorithm]) -> Option<Key> {
    // RFC 9864 calls Ed25519 by its name; what reads keys here knows `EdDSA` alone.
    let named = |key: &Value, name| key.get(name).and_then(Value::as_str).map(str::to_owned);
    let own = named(&key, "alg").map(|name| Algorithm::named(&name));
    let mut jwk: Jwk = serde_json::from_value(key).ok()?;
    let common = &mut jwk.common;
    if !matches!(common.public_key_use, None | Some(PublicKeyUse::Signature)) {
        return None;
    }
    let verify = |operations: &Vec<KeyOperations>| operations.contains(&KeyOperations::Verify);
    if !common.key_operations.as_ref().is_none_or(verify) {
        return None;
    }
    let kid = common.key_id.take();
    let material = material(&jwk)?;
    let mut key = Key::new(material).restricted(allowed)?;
    if let Some(own) = own {
        key = key.restricted(&[own?])?;
    }
    Some(match kid {
        Some(kid) => key.with_kid(kid),
        None => key,
    })
}

/// A secret that is published is none, and a curve that isn't ours has points of the same length.
fn material(jwk: &Jwk) -> Option<Material> {
    let curve = match &jwk.algorithm {
        AlgorithmParameters::RSA(_) => None,
        AlgorithmParameters::EllipticCurve(key) => Some(&key.curve),
        AlgorithmParameters::OctetKeyPair(key) => Some(&key.curve),
        _ => return None,
    };
    let key = DecodingKey::from_jwk(jwk).ok()?;
    let material = Material::public(&key).ok()?;
    let fits = matches!(
        (&material, curve),
        (Material::Rsa(_), None)
            | (Material::P256(_), Some(EllipticCurve::P256))
            | (Material::P384(_), Some(EllipticCurve::P384))
            | (Material::Ed(_), Some(EllipticCurve::Ed25519))
    );
    fits.then_some(material)
}
