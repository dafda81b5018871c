//! Keys as ring takes them, each checked once where it comes in.
//!
//! `jsonwebtoken` reads them, but its own `decode` takes the cryptography from a static of the whole
//! process, and panics where there is none or two features of it are on. That one is the program's,
//! which may use it for tokens of its own. So signatures are ring's business alone, here.

use jsonwebtoken::{AlgorithmFamily, DecodingKey, DecodingKeyKind};
use realtime_core::auth::{AuthError, AuthErrorKind};
use ring::{agreement, hmac, rand::SystemRandom, signature};
use simple_asn1::ASN1Block;

use crate::{Algorithm, algorithm::Family};

/// What verifies, and is of one family.
#[derive(Clone)]
pub(crate) enum Material {
    /// Ready for each algorithm for which the secret is long enough. The secret itself isn't kept.
    Hmac(Vec<(Algorithm, hmac::Key)>),
    Rsa(signature::RsaPublicKeyComponents<Vec<u8>>),
    P256(Vec<u8>),
    P384(Vec<u8>),
    Ed(Vec<u8>),
}

/// The beginning of what is no secret of ours, whatever it is.
const PEM: &[u8] = b"-----BEGIN";
/// An uncompressed point: a byte, and both coordinates.
const P256_BYTES: usize = 1 + 2 * 32;
const P384_BYTES: usize = 1 + 2 * 48;
const ED25519_BYTES: usize = 32;

impl Material {
    pub(crate) fn hmac(secret: &[u8]) -> Result<Self, AuthError> {
        if secret.windows(PEM.len()).any(|part| part == PEM) {
            return Err(AuthError::new(
                AuthErrorKind::InvalidOption,
                "expected a secret; got a key in PEM, with which, where it is public, anybody could \
                 sign: see `Key::rsa_pem`, `ec_pem` and `ed_pem`",
            ));
        }
        let sizes = [
            (Algorithm::HS256, hmac::HMAC_SHA256, 32),
            (Algorithm::HS384, hmac::HMAC_SHA384, 48),
            (Algorithm::HS512, hmac::HMAC_SHA512, 64),
        ];
        let fitting = sizes
            .into_iter()
            .filter(|(_, _, least)| secret.len() >= *least);
        let keys: Vec<_> = fitting
            .map(|(name, algorithm, _)| (name, hmac::Key::new(algorithm, secret)))
            .collect();
        if keys.is_empty() {
            let got = format!(
                "expected a secret of at least 32 bytes for HS256, 48 for HS384, 64 for HS512; got \
                 one of {}: `openssl rand 64` makes one",
                secret.len()
            );
            return Err(AuthError::new(AuthErrorKind::InvalidOption, got));
        }
        Ok(Self::Hmac(keys))
    }

    /// A public key, or what it was instead.
    pub(crate) fn public(key: &DecodingKey) -> Result<Self, &'static str> {
        match (key.family(), key.kind()) {
            (AlgorithmFamily::Rsa, DecodingKeyKind::RsaModulusExponent { n, e }) => rsa(n, e),
            (AlgorithmFamily::Rsa, DecodingKeyKind::SecretOrDer(der)) => {
                let (n, e) = pkcs1(der).ok_or("one that can't be read")?;
                rsa(&n, &e)
            }
            (AlgorithmFamily::Ec, DecodingKeyKind::SecretOrDer(point)) => point_on_curve(point),
            (AlgorithmFamily::Ed, DecodingKeyKind::SecretOrDer(point)) => {
                if point.len() == ED25519_BYTES {
                    Ok(Self::Ed(point.clone()))
                } else {
                    Err("one of another length")
                }
            }
            _ => Err("one of another family"),
        }
    }

    pub(crate) fn algorithms(&self) -> Vec<Algorithm> {
        match self {
            Self::Hmac(keys) => keys.iter().map(|(algorithm, _)| *algorithm).collect(),
            Self::Rsa(_) => Algorithm::of(Family::Rsa),
            Self::P256(_) => Algorithm::of(Family::P256),
            Self::P384(_) => Algorithm::of(Family::P384),
            Self::Ed(_) => Algorithm::of(Family::Ed),
        }
    }

    pub(crate) fn verifies(&self, algorithm: Algorithm, message: &[u8], signature: &[u8]) -> bool {
        let point = |by: &'static dyn signature::VerificationAlgorithm, point: &[u8]| {
            signature::UnparsedPublicKey::new(by, point).verify(message, signature)
        };
        match self {
            Self::Hmac(keys) => {
                let key = keys.iter().find(|(its, _)| *its == algorithm);
                key.is_some_and(|(_, key)| hmac::verify(key, message, signature).is_ok())
            }
            Self::Rsa(key) => {
                let by = match algorithm {
                    Algorithm::PS256 => &signature::RSA_PSS_2048_8192_SHA256,
                    Algorithm::PS384 => &signature::RSA_PSS_2048_8192_SHA384,
                    Algorithm::PS512 => &signature::RSA_PSS_2048_8192_SHA512,
                    Algorithm::RS256 => &signature::RSA_PKCS1_2048_8192_SHA256,
                    Algorithm::RS384 => &signature::RSA_PKCS1_2048_8192_SHA384,
                    Algorithm::RS512 => &signature::RSA_PKCS1_2048_8192_SHA512,
                    _ => return false,
                };
                key.verify(by, message, signature).is_ok()
            }
            Self::P256(key) => {
                algorithm == Algorithm::ES256
                    && point(&signature::ECDSA_P256_SHA256_FIXED, key).is_ok()
            }
            Self::P384(key) => {
                algorithm == Algorithm::ES384
                    && point(&signature::ECDSA_P384_SHA384_FIXED, key).is_ok()
            }
            Self::Ed(key) => {
                algorithm == Algorithm::EdDSA && point(&signature::ED25519, key).is_ok()
            }
        }
    }
}

/// ring takes from 2,048 to 8,192 bits, and says so only with the first signature.
fn rsa(n: &[u8], e: &[u8]) -> Result<Material, &'static str> {
    let (n, e) = (without_zeros(n), without_zeros(e));
    let leading = n.first().map_or(0, |byte| byte.leading_zeros() as usize);
    let bits = n.len() * 8 - leading;
    if bits < 2_048 {
        return Err("one of less than 2,048 bits");
    }
    if bits > 8_192 {
        return Err("one of more than 8,192 bits");
    }
    let odd = |number: &[u8]| number.last().is_some_and(|last| last % 2 == 1);
    if !odd(n) || !odd(e) || e == [1] || e.len() > 4 {
        return Err("one that can't be right");
    }
    let (n, e) = (n.to_vec(), e.to_vec());
    Ok(Material::Rsa(signature::RsaPublicKeyComponents { n, e }))
}

fn without_zeros(number: &[u8]) -> &[u8] {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    number.get(zeros..).unwrap_or_default()
}

/// Modulus and exponent of an `RSAPublicKey`.
fn pkcs1(der: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    let blocks = simple_asn1::from_der(der).ok()?;
    let [ASN1Block::Sequence(_, fields)] = &*blocks else {
        return None;
    };
    let [ASN1Block::Integer(_, n), ASN1Block::Integer(_, e)] = &**fields else {
        return None;
    };
    Some((n.to_signed_bytes_be(), e.to_signed_bytes_be()))
}

/// One that lies on no curve of ours verifies nothing; here is the place to say so. To agree on a
/// secret with it is the way in which ring looks at a point.
fn point_on_curve(point: &[u8]) -> Result<Material, &'static str> {
    let (curve, material): (_, fn(Vec<u8>) -> Material) = match point.len() {
        P256_BYTES => (&agreement::ECDH_P256, Material::P256),
        P384_BYTES => (&agreement::ECDH_P384, Material::P384),
        _ => return Err("one on another curve than P-256 and P-384"),
    };
    let ours = agreement::EphemeralPrivateKey::generate(curve, &SystemRandom::new());
    let ours = ours.map_err(|_| "no random number from the system")?;
    let theirs = agreement::UnparsedPublicKey::new(curve, point);
    let agreed = agreement::agree_ephemeral(ours, &theirs, |_| ());
    agreed.map_err(|_| "one on another curve than P-256 and P-384")?;
    Ok(material(point.to_vec()))
}
