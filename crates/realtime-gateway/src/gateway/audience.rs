//! Sessions in rooms, of tenants and identities, one session, everybody: one way to say which, and
//! one to send to them.

use std::{borrow::Cow, time::Duration};

use realtime_core::{
    BoxError, IdentityKey, IntoPayload, Message, RoomName, SessionId, Text,
    broker::{
        Topic,
        envelope::{Except, Target},
    },
    history::{HistoryError, HistoryErrorKind, IdempotencyKey},
    presence::{Group, MemberPage, PresenceError, PresenceErrorKind},
};

use super::Gateway;
use crate::{
    DeliverError, DeliverErrorKind, Delivery, ErrorStage, Remote, Session,
    outgoing::{envelope, prepare, publish, tell_unsaid},
    rooms::{self, RoomHistory, ToRooms},
    session::check_route,
};

/// Which sessions are meant, on all nodes: from [`Gateway::room`], [`rooms`](Gateway::rooms),
/// [`tenant`](Gateway::tenant), [`identity`](Gateway::identity), [`session`](Gateway::session) or
/// [`everybody`](Gateway::everybody).
///
/// ```
/// use realtime::{Identity, Json};
///
/// # use realtime_testkit::memory::connect;
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let gateway = realtime::builder().build()?;
/// # let mut ann = connect(&gateway, Identity::new("ann")).await?;
/// # let mut bob = connect(&gateway, Identity::new("bob")).await?;
/// # let (author, reader) = (ann.session(&gateway).ok_or("")?, bob.session(&gateway).ok_or("")?);
/// # author.join("chat:7").await?;
/// # reader.join("chat:7").await?;
/// // To all in the room but the one who wrote it.
/// let delivery = gateway.room("chat:7").except(&author).send("said", Json("hello")).await?;
/// assert_eq!(delivery.local, 1);
/// # assert_eq!(bob.receive_on("said").await?.decode::<String>()?, "hello");
/// # ann.expect_nothing().await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
#[must_use = "nothing happens before it is told what, such as by `send`"]
pub struct Audience<'g> {
    pub(super) gateway: &'g Gateway,
    pub(super) to: Result<Target, Wrong>,
    pub(super) except: Vec<Except>,
    pub(super) key: Option<IdempotencyKey>,
    pub(super) within: Duration,
}

/// What is wrong with an audience. It is told by what is done with it, so that it is handled in one
/// place.
#[derive(Debug, Clone)]
pub(super) struct Wrong(pub(super) Cow<'static, str>);

impl Gateway {
    /// The members of a room, on all nodes.
    ///
    /// A room is there as long as it has members: a message to any other is for nobody, and no
    /// error.
    ///
    /// ```
    /// # use realtime::{Identity, Json};
    /// # use realtime_testkit::memory::connect;
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let gateway = realtime::builder().build()?;
    /// # let mut ann = connect(&gateway, Identity::new("ann")).await?;
    /// # ann.session(&gateway).ok_or("")?.join("order:42").await?;
    /// gateway.room("order:42").send("status", Json("shipped")).await?;
    /// # assert_eq!(ann.receive_on("status").await?.decode::<String>()?, "shipped");
    /// # Ok(())
    /// # }
    /// ```
    pub fn room<R>(&self, name: R) -> Audience<'_>
    where
        R: TryInto<RoomName, Error: Into<BoxError>>,
    {
        self.rooms([name])
    }

    /// The members of several rooms, each session once: 1 to 64 rooms. A room with a history is
    /// sent to by itself.
    ///
    /// The message says the first of them that was named here; which of them a member is in isn't
    /// looked up.
    ///
    /// ```
    /// # use realtime::{Identity, Json};
    /// # use realtime_testkit::memory::connect;
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let gateway = realtime::builder().build()?;
    /// # let mut ann = connect(&gateway, Identity::new("ann")).await?;
    /// # let session = ann.session(&gateway).ok_or("")?;
    /// session.join("team:red").await?;
    /// session.join("floor:2").await?;
    /// let delivery = gateway.rooms(["team:red", "floor:2"]).send("drill", Json(())).await?;
    /// assert_eq!(delivery.local, 1, "once, though it is in both");
    /// # Ok(())
    /// # }
    /// ```
    pub fn rooms<R>(&self, names: impl IntoIterator<Item = R>) -> Audience<'_>
    where
        R: TryInto<RoomName, Error: Into<BoxError>>,
    {
        let parsed = names.into_iter().take(Target::MAX_ROOMS + 1);
        let parsed = parsed.map(|name| name.try_into().map_err(Into::into));
        let to = match parsed.collect::<Result<Vec<RoomName>, BoxError>>() {
            Err(wrong) => Err(Wrong(wrong.to_string().into())),
            Ok(rooms) if rooms.is_empty() => Err(Wrong("expected a room; got none".into())),
            Ok(rooms) if rooms.len() > Target::MAX_ROOMS => Err(Wrong(
                format!(
                    "expected at most {} rooms at once; got more: send to some after the others",
                    Target::MAX_ROOMS
                )
                .into(),
            )),
            Ok(rooms) => Ok(Target::Rooms(rooms)),
        };
        self.audience(to)
    }

    /// All sessions of a tenant, on all nodes. Every session of the gateway is looked at.
    ///
    /// ```
    /// # use realtime::{Identity, Json};
    /// # use realtime_testkit::memory::connect;
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let gateway = realtime::builder().build()?;
    /// # let mut ann = connect(&gateway, Identity::new("ann").with_tenant("acme")).await?;
    /// # let mut bob = connect(&gateway, Identity::new("bob").with_tenant("other")).await?;
    /// gateway.tenant("acme").send("notice", Json("maintenance at noon")).await?;
    /// # ann.receive_on("notice").await?;
    /// # bob.expect_nothing().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn tenant(&self, tenant: impl Into<Text>) -> Audience<'_> {
        self.audience(Ok(Target::Tenant(tenant.into())))
    }

    /// The sessions of one identity, on all nodes: what
    /// [`send_to_identity`](Self::send_to_identity) sends to.
    ///
    /// ```
    /// # use realtime::{Identity, IdentityKey, Json};
    /// # use realtime_testkit::memory::connect;
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let gateway = realtime::builder().build()?;
    /// # let mut phone = connect(&gateway, Identity::new("ann")).await?;
    /// # let mut laptop = connect(&gateway, Identity::new("ann")).await?;
    /// # let reading = laptop.session(&gateway).ok_or("")?;
    /// // The other devices of somebody who has read it on this one.
    /// let ann = IdentityKey::new("ann");
    /// gateway.identity(&ann).except(&reading).send("read", Json(7)).await?;
    /// # phone.receive_on("read").await?;
    /// # laptop.expect_nothing().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn identity(&self, identity: &IdentityKey) -> Audience<'_> {
        self.audience(Ok(Target::Identity(identity.clone())))
    }

    /// The inbox of an identity: its sessions that have joined it, on all nodes, and those that come
    /// later, as long as it is kept. The router [has one](crate::Router::inbox).
    pub fn inbox(&self, identity: &IdentityKey) -> Audience<'_> {
        self.audience(match self.node().room_table.has_inbox() {
            true => Ok(Target::Rooms(vec![RoomName::inbox(identity)])),
            false => Err(Wrong(
                "expected a router whose identities have an inbox; this one has none: see \
                 `Router::inbox`"
                    .into(),
            )),
        })
    }

    /// One session, on whatever node it is. Where it is on this one, no other is asked; else all
    /// of them look for it.
    ///
    /// ```
    /// # use realtime::{CloseCode, Identity, SessionId};
    /// # use realtime_testkit::memory::connect;
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let gateway = realtime::builder().build()?;
    /// # let mut ann = connect(&gateway, Identity::new("ann")).await?;
    /// # let id: SessionId = ann.session(&gateway).ok_or("no session")?.id();
    /// // `id` comes from a list of sessions, say, or from a log line.
    /// let receipt = gateway.session(id).disconnect(CloseCode::DISCONNECTED, "by hand").await?;
    /// assert_eq!(receipt.sessions, 1);
    /// # assert_eq!(ann.closed().await?.reason, "by hand");
    /// # Ok(())
    /// # }
    /// ```
    pub fn session(&self, id: SessionId) -> Audience<'_> {
        self.audience(Ok(Target::Session(id)))
    }

    /// All sessions, on all nodes: what [`broadcast`](Self::broadcast) sends to.
    ///
    /// ```
    /// # use realtime::{Identity, Json};
    /// # use realtime_testkit::memory::connect;
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let gateway = realtime::builder().build()?;
    /// # let mut ann = connect(&gateway, Identity::new("ann")).await?;
    /// # let mut bob = connect(&gateway, Identity::new("bob")).await?;
    /// # let session = ann.session(&gateway).ok_or("")?;
    /// gateway.everybody().except(&session).send("cursor", Json((3, 4))).await?;
    /// # bob.receive_on("cursor").await?;
    /// # ann.expect_nothing().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn everybody(&self) -> Audience<'_> {
        self.audience(Ok(Target::All))
    }

    fn audience(&self, to: Result<Target, Wrong>) -> Audience<'_> {
        Audience {
            gateway: self,
            to,
            except: Vec::new(),
            key: None,
            within: Audience::WITHIN,
        }
    }
}

impl Audience<'_> {
    /// Leaves somebody out: a session, or all sessions of an identity. At most 32.
    ///
    /// In a room with a history, name the identity: a session that comes back is another one, and
    /// would get with what it has missed what it was left out of.
    pub fn except(mut self, who: impl Into<Except>) -> Self {
        if self.except.len() < Except::MAX {
            self.except.push(who.into());
        } else if self.to.is_ok() {
            let got = format!("expected at most {} exceptions; got more", Except::MAX);
            self.to = Err(Wrong(got.into()));
        }
        self
    }

    /// The newest messages that are kept of the room, or the newest of those before an offset: at
    /// most so many, in their order. To read on into the past, ask again with the
    /// [`before`](RoomHistory::before) of the answer.
    ///
    /// A room without a history has none.
    ///
    /// # Errors
    /// When the history can't be asked, or holds what this gateway's codec can't read; of kind
    /// [`Config`](HistoryErrorKind::Config) where the audience isn't one room with a valid name.
    ///
    /// ```
    /// # use realtime::{Identity, Json, Router, history::Retention, room::RoomRule};
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let rule = RoomRule::new().history(Retention::new(9, std::time::Duration::from_secs(9))?);
    /// # let gateway = realtime::builder().router(Router::new().room("a", rule)).build()?;
    /// for n in 1..=3 {
    ///     gateway.room("a").send("count", Json(n)).await?;
    /// }
    /// let latest = gateway.room("a").history(None, 2).await?;
    /// assert_eq!(latest.messages[1].decode::<u8>()?, 3);
    /// let earlier = gateway.room("a").history(latest.before, 2).await?;
    /// assert_eq!(earlier.messages[0].offset(), Some(1));
    /// # Ok(())
    /// # }
    /// ```
    pub async fn history(
        &self,
        before: Option<u64>,
        count: usize,
    ) -> Result<RoomHistory, HistoryError> {
        match &self.to {
            Ok(Target::Rooms(rooms)) if rooms.len() == 1 => {
                rooms::latest(self.gateway.node(), &rooms[0], before, count).await
            }
            other => {
                let got = match other {
                    Ok(_) => "another audience",
                    Err(Wrong(wrong)) => wrong,
                };
                let context = format!("expected one room to ask for its history; got {got}");
                Err(HistoryError::new(HistoryErrorKind::Config, context))
            }
        }
    }

    /// Who is in the room, or of the tenant online, over all nodes, in the order in which they came:
    /// at most `limit`, of those after a [version](realtime_core::presence::Present::version), or of
    /// the first. To read on, ask again with the `after` of the answer.
    ///
    /// A room's rule says that it is [kept](crate::RoomRule::presence) who is in it; for tenants
    /// that is [`Config::tenant_presence`](crate::Config::tenant_presence). Of somebody who is cut
    /// off it is noticed when the heartbeat is; of a node that has crashed, when its leases end.
    ///
    /// # Errors
    /// When presence can't be asked; of kind [`Config`](PresenceErrorKind::Config) where it isn't
    /// kept, and where the audience is neither one room with a valid name nor a tenant.
    ///
    /// ```
    /// # use realtime::{Identity, Router, room::RoomRule};
    /// # use realtime_testkit::memory::connect;
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let router = Router::new().room("chat:{id}", RoomRule::open().presence());
    /// let gateway = realtime::builder().router(router).tenant_presence(true).build()?;
    /// # let mut ann = connect(&gateway, Identity::new("ann").with_tenant("acme")).await?;
    /// # ann.session(&gateway).ok_or("")?.join("chat:7").await?;
    /// # tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    /// let in_room = gateway.room("chat:7").members(None, 100).await?;
    /// assert_eq!((in_room.count, in_room.members[0].identity.id()), (1, "ann"));
    /// let online = gateway.tenant("acme").members(None, 100).await?;
    /// assert_eq!(online.count, 1);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn members(
        &self,
        after: Option<u64>,
        limit: usize,
    ) -> Result<MemberPage, PresenceError> {
        let group = match &self.to {
            Ok(Target::Rooms(rooms)) if rooms.len() == 1 => Group::Room(rooms[0].clone()),
            Ok(Target::Tenant(tenant)) => Group::Tenant(tenant.clone()),
            other => {
                let got = match other {
                    Ok(_) => "another audience",
                    Err(Wrong(wrong)) => wrong,
                };
                let context =
                    format!("expected one room or a tenant to ask who is there; got {got}");
                return Err(PresenceError::new(PresenceErrorKind::Config, context));
            }
        };
        rooms::members(self.gateway.node(), &group, after, limit).await
    }

    /// Names the message, so that sending it twice to a room with a history sends it once: the
    /// second is answered as the first was. The history remembers the name for
    /// [`IDEMPOTENCY_WINDOW`](realtime_core::history::IDEMPOTENCY_WINDOW), and as long as it is
    /// among the room's latest [`IDEMPOTENCY_KEYS`](realtime_core::history::IDEMPOTENCY_KEYS).
    ///
    /// ```
    /// # use realtime::{Identity, Json, Router, history::Retention, room::RoomRule};
    /// # use realtime_testkit::memory::connect;
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let rule = RoomRule::new().history(Retention::new(9, std::time::Duration::from_secs(9))?);
    /// # let gateway = realtime::builder().router(Router::new().room("a", rule)).build()?;
    /// # let mut ann = connect(&gateway, Identity::new("ann")).await?;
    /// # ann.session(&gateway).ok_or("")?.join("a").await?;
    /// for _ in 0..2 {
    ///     let audience = gateway.room("a").idempotency_key("payment-4711".parse()?);
    ///     audience.send("paid", Json(12)).await?;
    /// }
    /// # assert_eq!(ann.receive_on("paid").await?.decode::<u8>()?, 12);
    /// # ann.expect_nothing().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn idempotency_key(mut self, key: IdempotencyKey) -> Self {
        self.key = Some(key);
        self
    }

    /// Sends data on a route to each session of the audience, on all nodes, once.
    ///
    /// The message is encoded and framed once. It returns when the message is on its way to the
    /// local sessions, in the order of the caller's other sends and broadcasts, and has been handed
    /// to the broker. What one node sends to one room arrives in its order everywhere.
    ///
    /// That nobody is in a room or of a tenant, or that there is no such session, is no error: [`Delivery::local`] counts this node's
    /// sessions.
    ///
    /// # Cancel safety
    /// Dropped before it returns, some sessions may receive the message and others not.
    ///
    /// # Errors
    /// Kind [`InvalidTarget`](DeliverErrorKind::InvalidTarget) for a room without a valid name, no
    /// room, too many at once, one with a history among others, or an idempotency key without a
    /// history; [`Encode`](DeliverErrorKind::Encode), as for [`Gateway::broadcast`];
    /// [`Closed`](DeliverErrorKind::Closed) while the gateway shuts down;
    /// [`Broker`](DeliverErrorKind::Broker) when only local sessions received it, which
    /// [`delivered`](DeliverError::delivered) counts. For an identity those of
    /// [`Gateway::send_to_identity`].
    pub async fn send(
        self,
        route: impl Into<Text>,
        data: impl IntoPayload,
    ) -> Result<Delivery, DeliverError> {
        self.send_message(Message::new(route, data)?).await
    }

    /// Sends a message that is already built. What it says of a room is replaced.
    ///
    /// # Errors
    /// Those of [`send`](Self::send).
    pub async fn send_message(self, message: Message) -> Result<Delivery, DeliverError> {
        let Self {
            gateway,
            to,
            except,
            key,
            within: _,
        } = self;
        check_route(&message)?;
        let message = message.without_room();
        let to = to.map_err(|Wrong(context)| {
            DeliverError::new(DeliverErrorKind::InvalidTarget, context, Delivery::none())
        })?;
        match to {
            Target::Rooms(rooms) => {
                let to = ToRooms {
                    rooms,
                    except,
                    message,
                    key,
                };
                let node = gateway.node();
                gateway.background().carry(rooms::send(node, to)).await
            }
            _ if key.is_some() => {
                let context = "expected a room with a history for a message with an idempotency \
                               key; got another audience";
                let kind = DeliverErrorKind::InvalidTarget;
                Err(DeliverError::new(kind, context, Delivery::none()))
            }
            Target::Identity(key) => gateway.send_to_one(&key, &except, &message).await,
            Target::All if except.is_empty() => gateway.send_to_all(&message).await,
            to => gateway.send_to_many(to, except, &message).await,
        }
    }
}

impl Gateway {
    async fn send_to_many(
        &self,
        to: Target,
        except: Vec<Except>,
        message: &Message,
    ) -> Result<Delivery, DeliverError> {
        let node = self.node();
        let mut out = prepare(node, message)?;
        let unsaid = out.unsaid.take();
        let (hub, frames) = (&node.hub, &out.frames);
        let local = match to {
            Target::Session(id) => hub.hand_to_session(frames, id, &except).await,
            _ => hub.hand_to_those(frames, &to, &except).await,
        };
        tell_unsaid(node, unsaid, ErrorStage::Message, (&to, &except)).await;
        let mut delivery = Delivery {
            local,
            ..Delivery::none()
        };
        // It is on no other node.
        if matches!(to, Target::Session(id) if hub.get(id).is_some()) {
            delivery.remote = Remote::Nodes(0);
            return Ok(delivery);
        }
        let envelope = || envelope(node, &out, to, &except, None);
        publish(node, Topic::All, envelope, delivery).await
    }
}

impl From<&Session> for Except {
    fn from(session: &Session) -> Self {
        Self::Session(session.id())
    }
}
