//! One key, what it may verify, and by which name tokens ask for it.

mod material;

use std::fmt;

use jsonwebtoken::DecodingKey;
use realtime_core::auth::{AuthError, AuthErrorKind};

use crate::Algorithm;

pub(crate) use material::Material;

/// A key by which tokens are verified: a secret, or somebody's public key.
///
/// It verifies what fits it and nothing else: a public key never serves as a secret, whatever a
/// token says. `Debug` shows its name and its algorithms.
///
/// ```
/// use realtime::auth::jwt::Key;
///
/// let key = Key::hmac("a secret that has 32 bytes, or more")?.with_kid("2026-11");
/// assert!(!format!("{key:?}").contains("secret"));
/// assert!(Key::hmac("too short").is_err());
/// # Ok::<(), realtime::auth::AuthError>(())
/// ```
#[derive(Clone)]
pub struct Key {
    kid: Option<String>,
    /// What it verifies: at least one.
    algorithms: Vec<Algorithm>,
    material: Material,
}

impl Key {
    /// A secret that the issuer has, too, for HS256 from 32 bytes on, for HS384 from 48, for HS512
    /// from 64: as long as what the hash gives, as RFC 7518 demands it. The bytes are taken as they
    /// are: decode what is written in base64.
    ///
    /// # Errors
    /// Kind [`InvalidOption`](AuthErrorKind::InvalidOption) for one of less than 32 bytes, and for a
    /// key in PEM: who verifies with a public key as the secret lets anybody sign.
    pub fn hmac(secret: impl AsRef<[u8]>) -> Result<Self, AuthError> {
        Material::hmac(secret.as_ref()).map(Self::new)
    }

    /// An RSA key of 2,048 to 8,192 bits, for RS256 to RS512 and PS256 to PS512: a `PUBLIC KEY` or
    /// an `RSA PUBLIC KEY` in PEM.
    ///
    /// # Errors
    /// Kind [`InvalidOption`](AuthErrorKind::InvalidOption) for anything else, a private key among
    /// it.
    pub fn rsa_pem(pem: impl AsRef<[u8]>) -> Result<Self, AuthError> {
        public(pem.as_ref(), "RSA", DecodingKey::from_rsa_pem)
    }

    /// A key on P-256 for ES256, or on P-384 for ES384: a `PUBLIC KEY` in PEM.
    ///
    /// # Errors
    /// Those of [`rsa_pem`](Self::rsa_pem).
    pub fn ec_pem(pem: impl AsRef<[u8]>) -> Result<Self, AuthError> {
        public(pem.as_ref(), "EC", DecodingKey::from_ec_pem)
    }

    /// An Ed25519 key, for EdDSA: a `PUBLIC KEY` in PEM.
    ///
    /// # Errors
    /// Those of [`rsa_pem`](Self::rsa_pem).
    pub fn ed_pem(pem: impl AsRef<[u8]>) -> Result<Self, AuthError> {
        public(pem.as_ref(), "Ed25519", DecodingKey::from_ed_pem)
    }

    /// Names it, as tokens do in `kid`. Where there are several keys each needs a name; a single one
    /// without a name is the one for all tokens.
    #[must_use]
    pub fn with_kid(mut self, kid: impl Into<String>) -> Self {
        self.kid = Some(kid.into());
        self
    }

    pub(crate) fn new(material: Material) -> Self {
        Self {
            kid: None,
            algorithms: material.algorithms(),
            material,
        }
    }

    pub(crate) fn kid(&self) -> Option<&str> {
        self.kid.as_deref()
    }

    pub(crate) fn fits(&self, algorithm: Algorithm) -> bool {
        self.algorithms.contains(&algorithm)
    }

    /// Leaves it those of its algorithms that are allowed; `None` where that is none.
    pub(crate) fn restricted(mut self, allowed: &[Algorithm]) -> Option<Self> {
        self.algorithms.retain(|a| allowed.contains(a));
        (!self.algorithms.is_empty()).then_some(self)
    }

    /// Whether this is its signature. By an algorithm that isn't this key's, nothing is.
    pub(crate) fn verifies(&self, algorithm: Algorithm, message: &[u8], signature: &[u8]) -> bool {
        self.fits(algorithm) && self.material.verifies(algorithm, message, signature)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key")
            .field("kid", &self.kid)
            .field("algorithms", &self.algorithms)
            .finish_non_exhaustive()
    }
}

/// What is wrong with it is not shown: it may be a private one.
fn public(
    pem: &[u8],
    family: &str,
    read: fn(&[u8]) -> jsonwebtoken::errors::Result<DecodingKey>,
) -> Result<Key, AuthError> {
    let text = String::from_utf8_lossy(pem);
    let refused = |got: &str| {
        let why = format!("expected a public {family} key in PEM; got {got}");
        AuthError::new(AuthErrorKind::InvalidOption, why)
    };
    if text.contains("PRIVATE KEY-----") {
        return Err(refused(
            "a private one, which only the issuer should have: `openssl pkey -pubout` makes a \
             public one of it",
        ));
    }
    if !text.contains("PUBLIC KEY-----") {
        return Err(refused("none, or a certificate"));
    }
    let key = read(pem).map_err(|_| refused("another one"))?;
    let material = Material::public(&key).map_err(refused)?;
    Ok(Key::new(material))
}
