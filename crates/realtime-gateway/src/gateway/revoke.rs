//! What is no longer to be believed, and what changes of those who are believed.

use realtime_core::{IdentityUpdate, revocation::Revocation};

use super::Gateway;
use crate::{Audience, ControlError, ControlErrorKind, Receipt, control::Deed, identities};

impl Gateway {
    /// Revokes tokens: the sessions that have shown them are closed with 3500 on all nodes, and
    /// whoever shows them again is refused, on nodes that are started later, too.
    ///
    /// It is remembered in the store of [`Builder::revocations`](crate::Builder::revocations), for
    /// [`Config::longest_token`](crate::Config::longest_token) from now on, or from
    /// [`issued_before`](Revocation::issued_before) where that is later. A node that doesn't hear of
    /// it, because it is cut off, finds it there within some seconds. Doing it again is harmless.
    ///
    /// # Cancel safety
    /// Dropped before it returns, it may be remembered or not, and some sessions may be closed and
    /// others not.
    ///
    /// # Errors
    /// Kind [`NotRemembered`](ControlErrorKind::NotRemembered) where the store fails: sessions are
    /// closed all the same, but may come back, so do it again.
    /// [`NoStore`](ControlErrorKind::NoStore) where there are other nodes, and no store that they
    /// share: nothing was done. [`Closed`](ControlErrorKind::Closed) and
    /// [`TooMany`](ControlErrorKind::TooMany): it is remembered.
    ///
    /// ```
    /// use std::time::SystemTime;
    ///
    /// use realtime::{CloseCode, Identity, IdentityKey, revocation::Revocation};
    ///
    /// # use realtime_testkit::memory::connect;
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let gateway = realtime::builder().build()?;
    /// # let mut phone = connect(&gateway, Identity::new("ann")).await?;
    /// // "Sign me out everywhere."
    /// let ann = Revocation::identity(IdentityKey::new("ann"), SystemTime::now());
    /// let receipt = gateway.revoke(ann).await?;
    /// assert_eq!((receipt.sessions, receipt.is_complete()), (1, true));
    /// # assert_eq!(phone.closed().await?.code, Some(CloseCode::UNAUTHORIZED));
    /// # Ok(())
    /// # }
    /// ```
    pub async fn revoke(&self, revocation: Revocation) -> Result<Receipt, ControlError> {
        let node = self.node();
        if node.joins && !node.shares_revocations {
            let context = "expected a store of revocations that all nodes share, since there is a \
                           broker: give it with `Builder::revocations`";
            return Err(ControlError::new(ControlErrorKind::NoStore, context));
        }
        // First, so that nobody comes in whom the store let pass a moment before.
        identities::hear(node, &revocation);
        let remembered = identities::remember(node, &revocation).await;
        let told = self.everybody().command(Deed::Revoke(revocation)).await;
        remembered.map_err(|error| {
            let context = "what was revoked could not be remembered: those who were closed may \
                           come back, so revoke it again";
            ControlError::new(ControlErrorKind::NotRemembered, context).with_source(error)
        })?;
        told
    }
}

impl Audience<'_> {
    /// Changes whom the sessions of the audience belong to, on all nodes: roles, claims, and when it
    /// ends. Handlers see it from the next message on, and the rules of rooms are asked again, unless
    /// they are [`asked_once`](crate::RoomRule::asked_once).
    ///
    /// It holds until the client shows a fresh token, so change what tokens are made of first.
    /// Sessions that begin later don't have it.
    ///
    /// # Cancel safety
    /// Dropped before it returns, some may have changed and others not.
    ///
    /// # Errors
    /// Those of [`disconnect`](Self::disconnect).
    ///
    /// ```
    /// use realtime::{Identity, IdentityKey, IdentityUpdate};
    ///
    /// # use realtime_testkit::memory::connect;
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let gateway = realtime::builder().build()?;
    /// # let ann = connect(&gateway, Identity::new("ann")).await?;
    /// # let session = ann.session(&gateway).ok_or("no session")?;
    /// let moderator = IdentityUpdate::new().with_roles(["member", "moderator"]);
    /// let receipt = gateway.identity(&IdentityKey::new("ann")).update_identity(moderator).await?;
    /// assert_eq!(receipt.sessions, 1);
    /// assert!(session.identity().has_role("moderator"));
    /// # Ok(())
    /// # }
    /// ```
    pub async fn update_identity(self, update: IdentityUpdate) -> Result<Receipt, ControlError> {
        self.command(Deed::Update(update)).await
    }
}
