//! How a token can be signed, and with what sort of key: one that is of another sort can never be
//! taken for it.

use std::fmt;

/// How a token is signed. `none` is not among them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Algorithm {
    /// ECDSA over P-256 with SHA-256.
    ES256,
    /// ECDSA over P-384 with SHA-384.
    ES384,
    /// Ed25519, under its older name and under that of RFC 9864.
    EdDSA,
    /// HMAC with SHA-256.
    HS256,
    /// HMAC with SHA-384.
    HS384,
    /// HMAC with SHA-512.
    HS512,
    /// RSA-PSS with SHA-256.
    PS256,
    /// RSA-PSS with SHA-384.
    PS384,
    /// RSA-PSS with SHA-512.
    PS512,
    /// RSA as of PKCS #1 1.5, with SHA-256.
    RS256,
    /// RSA as of PKCS #1 1.5, with SHA-384.
    RS384,
    /// RSA as of PKCS #1 1.5, with SHA-512.
    RS512,
}

/// What a key is. An algorithm fits one family alone, and so does a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Family {
    /// A secret that both sides have.
    Hmac,
    /// An RSA key.
    Rsa,
    /// A point on P-256.
    P256,
    /// A point on P-384.
    P384,
    /// A point on Ed25519's curve.
    Ed,
}

impl Algorithm {
    /// Those that a public key verifies: what an issuer that publishes its keys can use.
    pub(crate) const PUBLIC: [Self; 9] = [
        Self::ES256,
        Self::ES384,
        Self::EdDSA,
        Self::PS256,
        Self::PS384,
        Self::PS512,
        Self::RS256,
        Self::RS384,
        Self::RS512,
    ];
    const ALL: [Self; 12] = [
        Self::ES256,
        Self::ES384,
        Self::EdDSA,
        Self::HS256,
        Self::HS384,
        Self::HS512,
        Self::PS256,
        Self::PS384,
        Self::PS512,
        Self::RS256,
        Self::RS384,
        Self::RS512,
    ];

    /// What it is called in a token's header and in a key's `alg`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::ES256 => "ES256",
            Self::ES384 => "ES384",
            Self::EdDSA => "EdDSA",
            Self::HS256 => "HS256",
            Self::HS384 => "HS384",
            Self::HS512 => "HS512",
            Self::PS256 => "PS256",
            Self::PS384 => "PS384",
            Self::PS512 => "PS512",
            Self::RS256 => "RS256",
            Self::RS384 => "RS384",
            Self::RS512 => "RS512",
        }
    }

    /// The one of this name, in this very case.
    pub(crate) fn named(name: &str) -> Option<Self> {
        let found = Self::ALL.into_iter().find(|a| a.name() == name);
        found.or_else(|| (name == "Ed25519").then_some(Self::EdDSA))
    }

    pub(crate) const fn family(self) -> Family {
        match self {
            Self::ES256 => Family::P256,
            Self::ES384 => Family::P384,
            Self::EdDSA => Family::Ed,
            Self::HS256 | Self::HS384 | Self::HS512 => Family::Hmac,
            Self::PS256 | Self::PS384 | Self::PS512 | Self::RS256 | Self::RS384 | Self::RS512 => {
                Family::Rsa
            }
        }
    }

    /// All that a family has.
    pub(crate) fn of(family: Family) -> Vec<Self> {
        let mut all = Self::ALL.to_vec();
        all.retain(|a| a.family() == family);
        all
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_has_its_name_and_nothing_else_has_one() {
        for algorithm in Algorithm::ALL {
            assert_eq!(Algorithm::named(algorithm.name()), Some(algorithm));
            assert!(Algorithm::of(algorithm.family()).contains(&algorithm));
        }
        for name in ["none", "None", "", "hs256", "HS256 ", "ES256K", "RSA-OAEP"] {
            assert_eq!(Algorithm::named(name), None, "{name}");
        }
        let mut public = Algorithm::ALL.to_vec();
        public.retain(|a| a.family() != Family::Hmac);
        assert_eq!(public, Algorithm::PUBLIC);
    }
}
