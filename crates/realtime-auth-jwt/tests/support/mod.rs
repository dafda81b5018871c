//! Those who sign tokens, and what tests ask of what is signed.
#![allow(
    dead_code,
    unreachable_pub,
    reason = "shared by test files that use a part of it each"
)]

pub mod issuer;

use std::time::{SystemTime, UNIX_EPOCH};

use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use rcgen::KeyPair;
use realtime_auth_jwt::{Jwt, JwtBuilder, Key, Keys};
use realtime_core::{
    Identity,
    auth::{AuthError, AuthErrorKind, Authenticator, Token},
};
use ring::{
    hmac,
    rand::SystemRandom,
    signature::{self, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RsaKeyPair},
};
use serde_json::{Value, json};
use tokio_rustls::rustls::pki_types::{PrivatePkcs8KeyDer, pem::PemObject};

/// Made for these tests, and known to everybody.
const RSA: &str = include_str!("rsa-2048.pem");
pub const SHORT_RSA: &str = include_str!("rsa-1024-public.pem");
pub const OTHER_CURVE: &str = include_str!("secp256k1-public.pem");

/// 64 bytes: long enough for every algorithm.
pub const SECRET: &[u8] = b"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

/// Has a key, and signs with it whatever it is asked to.
pub enum Signer {
    Hmac(Vec<u8>),
    Rsa(RsaKeyPair),
    /// The key, its curve, and its public half in PEM.
    Ec(EcdsaKeyPair, &'static str, String),
    Ed(Ed25519KeyPair, String),
}

impl Signer {
    pub fn hmac() -> Self {
        Self::Hmac(SECRET.to_vec())
    }

    /// Always the same: to make one takes ring's users another library, and a while.
    pub fn rsa() -> Self {
        let der = PrivatePkcs8KeyDer::from_pem_slice(RSA.as_bytes()).unwrap();
        Self::Rsa(RsaKeyPair::from_pkcs8(der.secret_pkcs8_der()).unwrap())
    }

    pub fn p256() -> Self {
        let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
        Self::ec(&key, &signature::ECDSA_P256_SHA256_FIXED_SIGNING, "P-256")
    }

    pub fn p384() -> Self {
        let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap();
        Self::ec(&key, &signature::ECDSA_P384_SHA384_FIXED_SIGNING, "P-384")
    }

    fn ec(
        key: &KeyPair,
        by: &'static signature::EcdsaSigningAlgorithm,
        curve: &'static str,
    ) -> Self {
        let ours = EcdsaKeyPair::from_pkcs8(by, &key.serialize_der(), &SystemRandom::new());
        Self::Ec(ours.unwrap(), curve, key.public_key_pem())
    }

    pub fn ed() -> Self {
        let key = KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
        let ours = Ed25519KeyPair::from_pkcs8_maybe_unchecked(&key.serialize_der());
        Self::Ed(ours.unwrap(), key.public_key_pem())
    }

    pub fn sign(&self, algorithm: &str, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match self {
            Self::Hmac(secret) => {
                let by = match algorithm {
                    "HS384" => hmac::HMAC_SHA384,
                    "HS512" => hmac::HMAC_SHA512,
                    _ => hmac::HMAC_SHA256,
                };
                hmac::sign(&hmac::Key::new(by, secret), message)
                    .as_ref()
                    .to_vec()
            }
            Self::Rsa(key) => {
                let by: &dyn signature::RsaEncoding = match algorithm {
                    "PS256" => &signature::RSA_PSS_SHA256,
                    "PS384" => &signature::RSA_PSS_SHA384,
                    "PS512" => &signature::RSA_PSS_SHA512,
                    "RS384" => &signature::RSA_PKCS1_SHA384,
                    "RS512" => &signature::RSA_PKCS1_SHA512,
                    _ => &signature::RSA_PKCS1_SHA256,
                };
                let mut signature = vec![0; key.public().modulus_len()];
                key.sign(by, &random, message, &mut signature).unwrap();
                signature
            }
            Self::Ec(key, ..) => key.sign(&random, message).unwrap().as_ref().to_vec(),
            Self::Ed(key, _) => key.sign(message).as_ref().to_vec(),
        }
    }

    /// A token with this header and these claims, each written as it is.
    pub fn raw(&self, algorithm: &str, header: &str, claims: &str) -> String {
        let message = format!("{}.{}", encoded(header), encoded(claims));
        let signature = encoded(self.sign(algorithm, message.as_bytes()));
        format!("{message}.{signature}")
    }

    pub fn token(&self, algorithm: &str, claims: &Value) -> String {
        let header = json!({ "alg": algorithm, "typ": "JWT" });
        self.raw(algorithm, &header.to_string(), &claims.to_string())
    }

    pub fn named(&self, algorithm: &str, kid: &str, claims: &Value) -> String {
        let header = json!({ "alg": algorithm, "kid": kid });
        self.raw(algorithm, &header.to_string(), &claims.to_string())
    }

    /// The public key in PEM.
    pub fn pem(&self) -> String {
        match self {
            Self::Hmac(_) => panic!("a secret has no public key"),
            Self::Rsa(_) => KeyPair::from_pem(RSA).unwrap().public_key_pem(),
            Self::Ec(_, _, pem) | Self::Ed(_, pem) => pem.clone(),
        }
    }

    /// The public key in PEM, as PKCS #1 has it.
    pub fn pkcs1_pem(&self) -> String {
        let Self::Rsa(key) = self else {
            panic!("only RSA keys have it")
        };
        let text = STANDARD.encode(key.public());
        let lines: Vec<&str> = (0..text.len())
            .step_by(64)
            .map(|at| &text[at..text.len().min(at + 64)])
            .collect();
        format!(
            "-----BEGIN RSA PUBLIC KEY-----\n{}\n-----END RSA PUBLIC KEY-----\n",
            lines.join("\n")
        )
    }

    /// What verifies what it signs.
    pub fn key(&self) -> Key {
        match self {
            Self::Hmac(secret) => Key::hmac(secret),
            Self::Rsa(_) => Key::rsa_pem(self.pem()),
            Self::Ec(..) => Key::ec_pem(self.pem()),
            Self::Ed(..) => Key::ed_pem(self.pem()),
        }
        .unwrap()
    }

    /// The public key as an issuer publishes it.
    pub fn jwk(&self, kid: &str) -> Value {
        match self {
            Self::Hmac(secret) => json!({ "kty": "oct", "kid": kid, "k": encoded(secret) }),
            Self::Rsa(key) => {
                let key = signature::RsaPublicKeyComponents::<Vec<u8>>::from(key.public());
                json!({ "kty": "RSA", "kid": kid, "n": encoded(key.n), "e": encoded(key.e) })
            }
            Self::Ec(key, curve, _) => {
                let point = &key.public_key().as_ref()[1..];
                let (x, y) = point.split_at(point.len() / 2);
                json!({ "kty": "EC", "kid": kid, "crv": curve, "x": encoded(x), "y": encoded(y) })
            }
            Self::Ed(key, _) => {
                let x = encoded(key.public_key());
                json!({ "kty": "OKP", "kid": kid, "crv": "Ed25519", "x": x })
            }
        }
    }
}

pub fn encoded(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Seconds since 1970.
pub fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_secs()
}

/// Good claims of Ada's.
pub fn ada() -> Value {
    json!({ "sub": "ada", "aud": "chat", "exp": now() + 600 })
}

/// Good claims, with one of them in place of what it was; without it where that is null.
pub fn but(name: &str, value: Value) -> Value {
    let mut claims = ada();
    claims[name] = value;
    if let Value::Object(claims) = &mut claims {
        claims.retain(|_, value| !value.is_null());
    }
    claims
}

/// What accepts Ada's claims, whoever has issued them.
pub fn for_chat(keys: impl Into<Keys>) -> JwtBuilder {
    let keys = keys.into();
    let is_issuer = matches!(keys, Keys::Issuer(_));
    let builder = Jwt::builder(keys).audience("chat");
    match is_issuer {
        true => builder.any_issuer(),
        false => builder,
    }
}

pub async fn show(jwt: &Jwt, token: &str) -> Result<Identity, AuthError> {
    jwt.authenticate_token(Token::parse(token.as_bytes())?)
        .await
}

pub async fn accepted(jwt: &Jwt, token: &str) -> Identity {
    show(jwt, token).await.unwrap()
}

/// Why it was refused, as one that isn't right and not as one that has ended.
pub async fn refused(jwt: &Jwt, token: &str) -> String {
    let error = show(jwt, token).await.unwrap_err();
    assert_eq!(error.kind(), AuthErrorKind::Unauthorized, "{error}");
    assert!(
        token.len() < 20 || !error.to_string().contains(token),
        "{error}"
    );
    error.to_string()
}
