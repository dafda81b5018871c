//! The revocation seam: what is no longer to be believed, though it hasn't ended?

mod any;
mod memory;
mod page;

use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use crate::{Identity, IdentityKey, error::operation_error, timestamp};

pub use any::AnyRevocations;
pub use memory::MemoryRevocations;
pub use page::Page;

/// What is no longer to be believed: tokens of somebody, of a tenant, of everybody, or a single one.
///
/// What was issued later is believed again, so who was revoked may sign in again, unless the
/// application doesn't let them.
///
/// ```
/// use std::time::{Duration, SystemTime};
///
/// use realtime::{Identity, IdentityKey, revocation::Revocation};
///
/// let now = SystemTime::now();
/// let signed_out = Revocation::identity(IdentityKey::new("ada"), now);
/// let old = Identity::new("ada").with_issued_at(now - Duration::from_secs(60));
/// let fresh = Identity::new("ada").with_issued_at(now + Duration::from_secs(1));
/// assert!(signed_out.applies_to(&old) && !signed_out.applies_to(&fresh));
/// // Nobody knows when this one was issued, so it may be an old one.
/// assert!(signed_out.applies_to(&Identity::new("ada")));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Revocation {
    /// Whose tokens.
    pub scope: RevocationScope,
    /// Tokens that were issued before this are revoked, and those of which it isn't known.
    #[serde(with = "timestamp")]
    pub issued_before: SystemTime,
}

/// Whose tokens are revoked.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum RevocationScope {
    /// Those of everybody.
    Everybody,
    /// Those of all identities of a tenant.
    Tenant(String),
    /// Those of one identity.
    Identity(IdentityKey),
    /// The one with this [id](Identity::token_id), whenever it was issued.
    Token(String),
}

impl Revocation {
    /// Everybody's tokens that were issued before this: a secret has leaked, say.
    #[must_use]
    pub const fn everybody(issued_before: SystemTime) -> Self {
        Self {
            scope: RevocationScope::Everybody,
            issued_before,
        }
    }

    /// The tokens of a tenant's identities that were issued before this.
    #[must_use]
    pub fn tenant(tenant: impl Into<String>, issued_before: SystemTime) -> Self {
        Self {
            scope: RevocationScope::Tenant(tenant.into()),
            issued_before,
        }
    }

    /// An identity's tokens that were issued before this: it was signed out everywhere, say.
    #[must_use]
    pub const fn identity(identity: IdentityKey, issued_before: SystemTime) -> Self {
        Self {
            scope: RevocationScope::Identity(identity),
            issued_before,
        }
    }

    /// The token with this id, such as the `jti` of a JWT.
    #[must_use]
    pub fn token(id: impl Into<String>) -> Self {
        Self {
            scope: RevocationScope::Token(id.into()),
            issued_before: SystemTime::now(),
        }
    }

    /// Whether what this identity has shown is revoked by it.
    #[must_use]
    pub fn applies_to(&self, identity: &Identity) -> bool {
        let is_old = identity
            .issued_at()
            .is_none_or(|issued| issued < self.issued_before);
        match &self.scope {
            RevocationScope::Everybody => is_old,
            RevocationScope::Tenant(tenant) => is_old && identity.tenant() == tenant,
            RevocationScope::Identity(key) => is_old && identity.key() == key,
            RevocationScope::Token(id) => identity.token_id() == Some(id),
        }
    }
}

/// Remembers what was revoked, for all nodes, and for those that are started later.
///
/// # What every method promises
/// - **Concurrency.** It may be called at any time, from any task and any node, beside any other
///   call.
/// - **Cancel safety.** Where the future is dropped it may have happened or not; calling it again is
///   harmless.
pub trait Revocations: Send + Sync + 'static {
    /// Remembers it, at least until this time: when the last token that it concerns has ended by
    /// itself.
    ///
    /// # Behavior
    /// - Once it has returned, [`is_revoked`](Self::is_revoked) says so on every node.
    /// - Of two for the same scope the later `issued_before` holds, and the later `until`.
    /// - It is forgotten some time after `until`.
    ///
    /// # Errors
    /// - Kind [`Unavailable`](RevocationErrorKind::Unavailable): it may be remembered or not; the same
    ///   call may be made again.
    /// - Kind [`Full`](RevocationErrorKind::Full): there is no room, and it is not remembered.
    /// - Kind [`TooLarge`](RevocationErrorKind::TooLarge): its names have more than [`MAX_NAMES`].
    fn revoke(
        &self,
        revocation: &Revocation,
        until: SystemTime,
    ) -> impl Future<Output = Result<(), RevocationError>> + Send;

    /// Whether what this identity has shown is revoked.
    ///
    /// # Behavior
    /// - It is, where any revocation that is remembered [applies](Revocation::applies_to) to it.
    /// - Where that can't be known, it is an error and never a no.
    ///
    /// # Errors
    /// Kind [`Unavailable`](RevocationErrorKind::Unavailable), also where what lies in the place of a
    /// revocation can't be read.
    fn is_revoked(
        &self,
        identity: &Identity,
    ) -> impl Future<Output = Result<bool, RevocationError>> + Send;

    /// What was revoked since: for a node that may not have heard of it. Begin with the default
    /// position, go on with the one in the answer.
    ///
    /// # Behavior
    /// - In any order, each at least once; what is forgotten by now may be missing.
    /// - At most [`PAGE`] at once; where more are known, [`Page::more`] says so.
    ///
    /// # Errors
    /// Kind [`Unavailable`](RevocationErrorKind::Unavailable).
    fn since(&self, after: u64) -> impl Future<Output = Result<Page, RevocationError>> + Send;

    /// Whether other nodes see what this one remembers. A gateway with a broker isn't built with
    /// one of which they don't.
    fn is_shared(&self) -> bool;
}

/// How many revocations one answer of [`Revocations::since`] has at the most.
pub const PAGE: usize = 1_000;

/// How many bytes the names of what is revoked may have together: a tenant, an identity with its
/// tenant, or the id of a token. 4 KiB, which is more than [`IdentityKey::MAX_BYTES`].
pub const MAX_NAMES: usize = 4 << 10;

operation_error! {
    /// A revocation that could not be remembered or asked for.
    RevocationError, RevocationErrorKind
}

/// The sorts of [`RevocationError`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RevocationErrorKind {
    /// The store has no room, and drops nothing that counts. There is room when something has ended.
    Full,
    /// The store is set up in a way that can never work.
    InvalidOption,
    /// Something that is revoked is longer than the store can hold.
    TooLarge,
    /// The store can't be reached, or didn't answer in time.
    Unavailable,
}

impl RevocationError {
    /// Whether the same call may succeed later.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        matches!(
            self.kind,
            RevocationErrorKind::Full | RevocationErrorKind::Unavailable
        )
    }

    /// The error of a revocation whose names have more than [`MAX_NAMES`].
    ///
    /// # Errors
    /// That error, where they have.
    pub fn check_length(revocation: &Revocation) -> Result<(), Self> {
        let length = match &revocation.scope {
            RevocationScope::Everybody => 0,
            RevocationScope::Tenant(tenant) => tenant.len(),
            RevocationScope::Identity(key) => key.tenant().len() + key.id().len(),
            RevocationScope::Token(id) => id.len(),
        };
        match length {
            0..=MAX_NAMES => Ok(()),
            _ => Err(Self::new(
                RevocationErrorKind::TooLarge,
                format!("names of what is revoked have at most {MAX_NAMES} bytes; got {length}"),
            )),
        }
    }
}
