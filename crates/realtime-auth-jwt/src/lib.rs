//! Sessions of the `realtime` gateway for those who show a JWT: signed with a secret, with a key, or
//! with one of those that an issuer publishes.
//!
//! ```no_run
//! use realtime::auth::jwt::{Jwks, Jwt};
//!
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let keys = Jwks::from_url("https://login.example.com/.well-known/jwks.json")?;
//! let jwt = Jwt::builder(keys)
//!     .issuer("https://login.example.com")
//!     .audience("chat")
//!     .tenant_claim("tenant")
//!     .roles_claim("/realm_access/roles")
//!     .from_cookie("session")
//!     .build()?;
//! let gateway = realtime::builder().authenticator(jwt).build()?;
//! # Ok(())
//! # }
//! ```
//!
//! # From a token to an identity
//! ```text
//! token ─► header ───► key ─────────► signature ─► claims ──────────────► identity
//!          algorithm   named by kid,  by ring      nothing twice,         id, tenant, roles,
//!          allowed?    of its family               issuer, audience,      claims to keep,
//!                      │                           nbf, iat, exp          exp, iat, jti
//!                      └─ not here? ask the issuer, once in a while
//! ```
//! | refused with | what |
//! | --- | --- |
//! | [`Expired`] | a token that was right in every respect, and has ended |
//! | [`Unauthorized`] | every other token that isn't right |
//! | [`Unavailable`] | one that can't be judged, since the issuer's keys can't be had, or since its `iat` is in the future and so one of the two clocks is wrong |
//!
//! # What can't be said by a token
//! - **With what it is verified.** A key has one family, and verifies the algorithms of that alone:
//!   a public key is never the secret of an HMAC, and `none` is no algorithm. Keys in the header
//!   (`jwk`, `jku`, `x5u`, `x5c`) are not looked at.
//! - **Two things at once.** Header and claims that name anything twice are refused, in whatever
//!   depth; so is base64url in any form but its own.
//! - **What isn't understood.** `crit`, encrypted, compressed and nested tokens are refused, and
//!   types (`typ`) other than `JWT` and `at+jwt`, such as tokens of a log-out.
//!
//! Secrets are at least as long as their hash, RSA keys have at least 2,048 bits; what is less is
//! refused when it is given, not with the first token.
//!
//! # The keys of an issuer
//! One task at a time fetches them, whoever waits for it, and it ends with the last clone of the
//! [`Jwt`]. It has 4 s, 64 KiB for the head and 256 KiB for the document, follows no redirect, and
//! takes up to 64 keys; a key that isn't one for us is skipped. No proxy is used, whatever the
//! environment says.
//!
//! Keys that are older than 10 minutes are used and fetched again, and older than 20 they are waited
//! for; while the issuer is away, they are good for 24 h. A token with an unknown `kid` makes the
//! issuer be asked at once, three times and then once in 30 s: that is how new keys are found, and no
//! flood of tokens becomes a flood of requests. Where it can't be asked, such a token is refused for
//! the time being, and so are all but 64 that wait for it at the same time. After a failure there is
//! a pause, from 250 ms to 10 s. No token waits for longer than 4 s. [`Jwks`] sets the times. That
//! keys can't be fetched, and that they can again, is logged under `realtime::admission`.
//!
//! [`Expired`]: realtime_core::auth::AuthErrorKind::Expired
//! [`Unauthorized`]: realtime_core::auth::AuthErrorKind::Unauthorized
//! [`Unavailable`]: realtime_core::auth::AuthErrorKind::Unavailable
#![cfg_attr(docsrs, feature(doc_cfg))]

mod algorithm;
mod builder;
mod claims;
mod header;
mod json;
mod jwks;
mod jwt;
mod key;
mod keys;

pub use algorithm::Algorithm;
pub use builder::{JwtBuilder, Keys};
pub use jwks::Jwks;
pub use jwt::Jwt;
pub use key::Key;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
