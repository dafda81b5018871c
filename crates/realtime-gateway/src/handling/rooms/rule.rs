//! What is so of the rooms of one pattern.

use std::{fmt, sync::Arc};

use realtime_core::{Text, history::Retention};

use crate::{AtOnce, Handler, extract::MessageContext, handling::router::Erased};

/// What is so of the rooms whose names fit a pattern: who may come in, and what they have.
///
/// Registered with [`Router::room`](crate::Router::room). A room whose name fits no rule has
/// nothing but members, and only handlers let sessions into it.
///
/// ```
/// use std::time::Duration;
///
/// use realtime::{ClientError, Router, Session, extract::RoomParam, history::Retention, room::RoomRule};
///
/// async fn may_follow(session: Session, RoomParam(order): RoomParam<u64>) -> Result<(), ClientError> {
///     // Look into a database, say.
///     Ok(())
/// }
///
/// let day = Duration::from_secs(86_400);
/// let router: Router = Router::new()
///     // A client asks for itself: {"id": 1, "route": "join", "data": {"room": "order:42"}}
///     .room("order:{id}", RoomRule::allow(may_follow).history(Retention::new(100, day)?))
///     // Only handlers let sessions in, with `session.join("staff")`.
///     .room("staff", RoomRule::new().history(Retention::new(1_000, day)?));
/// # Ok::<(), realtime::history::InvalidRetention>(())
/// ```
#[must_use = "a rule does nothing before it is given to `Router::room`"]
pub struct RoomRule<S = ()> {
    pub(crate) allow: Option<Erased<S>>,
    pub(crate) options: RoomOptions,
}

/// What rooms have.
#[derive(Debug, Clone, Default)]
pub(crate) struct RoomOptions {
    pub(crate) history: Option<Retention>,
    /// The route on which clients publish.
    pub(crate) publish: Option<Text>,
    /// It is kept who is in them.
    pub(crate) presence: bool,
    /// The route on which members are told who comes and goes.
    pub(crate) announce: Option<Text>,
    /// Who is let in stays, whatever becomes of its identity.
    pub(crate) asked_once: bool,
}

impl<S: Clone + Send + Sync + 'static> RoomRule<S> {
    /// Only handlers let sessions in, with [`Session::join`](crate::Session::join).
    pub fn new() -> Self {
        Self {
            allow: None,
            options: RoomOptions::default(),
        }
    }

    /// Clients may ask to come in, and this decides: an async function of
    /// [extractors](crate::extract), as a handler is one. Its error is the answer; what it returns
    /// otherwise isn't looked at.
    ///
    /// It is asked each time that a client joins, and each time that it comes back and recovers.
    pub fn allow<Args: AtOnce>(rule: impl Handler<Args, S>) -> Self {
        Self {
            allow: Some(Arc::new(move |cx: MessageContext<S>| rule.call(cx))),
            options: RoomOptions::default(),
        }
    }

    /// Who was let in stays, also where its roles or claims change.
    ///
    /// Without this the rule is asked again when they do: because the client has shown a fresh token,
    /// or by [`Audience::update_identity`](crate::Audience::update_identity). It is asked as for a
    /// `join` without more data than the room's name, about everybody who is in the room, however
    /// they came in. Whom it refuses is removed, and told so; a rule that fails, or takes longer than
    /// [`Config::hook_timeout`](crate::Config::hook_timeout), keeps nobody in.
    ///
    /// Of a rule that nobody is asked by ([`new`](Self::new)) it is refused when the gateway is built.
    pub fn asked_once(mut self) -> Self {
        self.options.asked_once = true;
        self
    }

    /// Every client that asks may come in.
    ///
    /// ```
    /// use realtime::{Router, room::RoomRule};
    ///
    /// let router: Router = Router::new().room("score:{match}", RoomRule::open());
    /// ```
    pub fn open() -> Self {
        Self::allow(async || ())
    }

    /// What is sent to the rooms is kept, and who comes back gets what it has missed.
    ///
    /// Each message gets an offset, and a send waits until the store of the gateway's
    /// [history](crate::Builder::history) has it.
    pub fn history(mut self, retention: Retention) -> Self {
        self.options.history = Some(retention);
        self
    }

    /// Members may publish to the rooms: with the route `publish`, and what they send comes to all
    /// members, and to themselves, on this route.
    ///
    /// ```
    /// use realtime::{Router, room::RoomRule};
    ///
    /// // {"route": "publish", "data": {"room": "chat:1", "data": "hello"}} comes to all as
    /// // {"route": "said", "room": "chat:1", "data": "hello"}
    /// let router: Router = Router::new().room("chat:{id}", RoomRule::open().publish("said"));
    /// ```
    pub fn publish(mut self, route: impl Into<Text>) -> Self {
        self.options.publish = Some(route.into());
        self
    }

    /// It is kept who is in the rooms, over all nodes: for
    /// [`Audience::members`](crate::Audience::members), and for the hooks of
    /// [`Builder::on_presence`](crate::Builder::on_presence).
    ///
    /// Members are identities, however many sessions of theirs are in the room. Each first and each
    /// last session of an identity in a room costs the presence store a call, and each room on a
    /// node one every third of a lease.
    pub fn presence(mut self) -> Self {
        self.options.presence = true;
        self
    }

    /// The members are told who comes and goes, on this route, and may ask who is there, with the
    /// route `members`. It includes [`presence`](Self::presence).
    ///
    /// ```
    /// use realtime::{Router, room::RoomRule};
    ///
    /// // {"route": "who", "room": "chat:1", "data": {"joined": [{"id": "ann", "version": 7}]}}
    /// let router: Router = Router::new().room("chat:{id}", RoomRule::open().announce("who"));
    /// ```
    pub fn announce(mut self, route: impl Into<Text>) -> Self {
        self.options.presence = true;
        self.options.announce = Some(route.into());
        self
    }

    /// Whether clients may ask to be let in.
    #[must_use]
    pub const fn is_asked(&self) -> bool {
        self.allow.is_some()
    }

    /// The route of what clients [`publish`](Self::publish).
    #[must_use]
    pub fn published(&self) -> Option<&str> {
        self.options.publish.as_deref()
    }

    /// The route on which who comes and goes is [announced](Self::announce).
    #[must_use]
    pub fn announced(&self) -> Option<&str> {
        self.options.announce.as_deref()
    }

    pub(crate) fn with_state<S2: 'static>(self, state: S) -> RoomRule<S2> {
        RoomRule {
            allow: self
                .allow
                .map(|allow| crate::handling::router::bind(allow, state)),
            options: self.options,
        }
    }
}

impl<S: Clone + Send + Sync + 'static> Default for RoomRule<S> {
    fn default() -> Self {
        Self::new()
    }
}

impl<S> fmt::Debug for RoomRule<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RoomRule")
            .field("clients_ask", &self.allow.is_some())
            .field("options", &self.options)
            .finish()
    }
}
