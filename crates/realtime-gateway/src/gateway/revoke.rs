//! What is no longer to be believed, and what changes of those who are believed.

use futures::future::join;
use realtime_core::{
    Identity, IdentityUpdate,
    revocation::{Revocation, RevocationError, Revocations},
};

use super::Gateway;
use crate::{
    Audience, ControlError, ControlErrorKind, Receipt, control::Deed, health::Link,
    identities::revocation,
};

impl Gateway {
    /// Revokes tokens: the sessions that have shown them are closed with 3500 on all nodes, and
    /// whoever shows them again is refused, on nodes that are started later, too.
    ///
    /// It is remembered in the store of [`Builder::revocations`](crate::Builder::revocations), for
    /// [`Config::longest_token`](crate::Config::longest_token) and 10 minutes from now on, or from
    /// [`issued_before`](Revocation::issued_before) where that is later. A node that doesn't hear of
    /// it, because it is cut off, finds it there within some seconds. Doing it again is harmless.
    ///
    /// # Cancel safety
    /// Dropped before it returns, it may be remembered or not, and some sessions may be closed and
    /// others not.
    ///
    /// # Errors
    /// Kind [`NotRemembered`](ControlErrorKind::NotRemembered) where the store fails: sessions are
    /// closed all the same, on the nodes that could be told, but may come back, so do it again.
    /// [`InvalidTarget`](ControlErrorKind::InvalidTarget) for names over
    /// [`MAX_NAMES`](realtime_core::revocation::MAX_NAMES).
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
        if node.joins && !node.has_store_of_revocations {
            let context = "expected a store of revocations that all nodes share, since there is a \
                           broker: give it with `Builder::revocations`";
            return Err(ControlError::new(ControlErrorKind::NoStore, context));
        }
        RevocationError::check_length(&revocation).map_err(|wrong| {
            let context = "what is to be revoked can't be named like that; nothing was done";
            ControlError::new(ControlErrorKind::InvalidTarget, context).with_source(wrong)
        })?;
        // First, so that nobody comes in whom the store let pass a moment before.
        let revocations = std::slice::from_ref(&revocation);
        revocation::hear(node, revocations);
        // Who is to be out doesn't stay for as long as a store takes.
        let (remembered, told) = join(
            revocation::remember(node, &revocation),
            self.everybody().command(Deed::Revoke(revocation.clone())),
        )
        .await;
        if told.is_err() {
            // Nobody was told anything, this node neither.
            revocation::close(node, revocations).await;
        }
        remembered.map_err(|error| {
            let told = match told.as_ref() {
                Ok(_) => "those who were closed may come back",
                Err(_) => "and other nodes could not be told",
            };
            let context =
                format!("what was revoked could not be remembered, {told}: revoke it again");
            ControlError::new(ControlErrorKind::NotRemembered, context).with_source(error)
        })?;
        told
    }

    /// Whether this node has heard just now that what somebody has shown was revoked. For the page of
    /// the feature `admin`.
    #[doc(hidden)]
    #[must_use]
    pub fn __has_heard_revoked(&self, identity: &Identity) -> bool {
        self.node().heard.applies_to(identity)
    }

    /// Whether what somebody has shown was revoked, as this node has heard or the store says. No store
    /// is asked that is known to be away.
    #[doc(hidden)]
    pub async fn __is_revoked(&self, identity: &Identity) -> Result<bool, RevocationError> {
        let node = self.node();
        if node.heard.applies_to(identity) {
            return Ok(true);
        }
        if matches!(node.revocations_link.link(), Link::Down { .. }) {
            return Ok(false);
        }
        node.revocations.is_revoked(identity).await
    }
}

impl Audience<'_> {
    /// Changes whom the sessions of the audience belong to, on all nodes: roles, claims, and when it
    /// ends. Handlers see it from the next message on, and the rules of rooms are asked again, unless
    /// they are [`asked_once`](crate::RoomRule::asked_once).
    ///
    /// It holds until the client shows a token that was issued later, so change what tokens are made
    /// of first. Sessions that begin later don't have it. Those that keep too much of earlier updates
    /// have [`failed`](Receipt::failed).
    ///
    /// # Cancel safety
    /// Dropped before it returns, some may have changed and others not. The rules of those that have
    /// are asked all the same.
    ///
    /// # Errors
    /// Those of [`disconnect`](Self::disconnect), and kind
    /// [`InvalidTarget`](ControlErrorKind::InvalidTarget) for an update over
    /// [`IdentityUpdate::MAX_BYTES`].
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
        if update.is_too_large() {
            let context = format!(
                "expected a change of at most {} bytes, since each session keeps it; got more",
                IdentityUpdate::MAX_BYTES
            );
            return Err(ControlError::new(ControlErrorKind::InvalidTarget, context));
        }
        self.command(Deed::Update(update)).await
    }
}
