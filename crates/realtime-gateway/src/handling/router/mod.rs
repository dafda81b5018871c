//! Routes of messages to handlers.

mod layered;
mod table;

use std::{any::TypeId, fmt, sync::Arc};

use futures::future::BoxFuture;
use realtime_core::{BoxError, Message, codec::routes, extract::Reply};
use tower_layer::Layer;
use tower_service::Service;

use self::layered::{RouteService, erased, layered};
use super::{
    authenticate,
    rooms::{RoomRule, RoomTable},
};
use crate::{
    BuildError, BuildErrorKind, Handler, Inbound, escape::Escaped, extract::MessageContext,
};

pub(crate) use table::{RouteTable, RouterService};

/// Routes messages to handlers by their `route`: exact before the longest prefix before the
/// fallback.
///
/// ```
/// use realtime::{ClientError, Json, Message, Router, Session, State, extract::RouteTail};
///
/// #[derive(Clone)]
/// struct App {
///     greeting: &'static str,
/// }
///
/// async fn hello(State(app): State<App>) -> Json<&'static str> {
///     Json(app.greeting)
/// }
///
/// async fn room(session: Session, RouteTail(room): RouteTail) {
///     println!("{} speaks in {room}", session.identity_key().id());
/// }
///
/// async fn other(message: Message) -> Result<(), ClientError> {
///     Err(ClientError::new("no_such_thing", format!("nothing at {}", message.route())))
/// }
///
/// let router: Router = Router::new()
///     .route("hello", hello)
///     .prefix("room.", room)
///     .fallback(other)
///     .with_state(App { greeting: "hello" });
/// ```
///
/// A handler must not capture a clone of the gateway, since the gateway would then own itself and
/// never end: use [`Gateway`](crate::Gateway) as an argument instead.
#[doc = ""]
#[doc = include_str!("../../../docs/handlers.md")]
pub struct Router<S = ()> {
    routes: Vec<(Pattern, Erased<S>)>,
    rooms: Vec<(String, RoomRule<S>)>,
    inboxes: Vec<RoomRule<S>>,
    /// Which declaration a route's handler was held to, where there is one.
    declared: Vec<(String, TypeId)>,
}

/// When a handler is chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Pattern {
    Exact(String),
    Prefix(String),
    Fallback,
}

impl Pattern {
    /// How it is written in labels of metrics, and in traces.
    fn label(&self) -> String {
        match self {
            Self::Exact(route) => route.clone(),
            Self::Prefix(prefix) => format!("{prefix}*"),
            Self::Fallback => "*".to_owned(),
        }
    }

    /// Whether a message can come by it.
    fn check(&self) -> Result<(), BuildError> {
        let longest = Message::MAX_NAME_BYTES;
        let got = match self {
            Self::Exact(route) if routes::is_reserved(route) => {
                format!("expected a route other than the gateway's own; got {route:?}")
            }
            Self::Exact(name) | Self::Prefix(name) if name.len() > longest => {
                let start = Escaped(name);
                let bytes = name.len();
                format!(
                    "expected a route or prefix of at most {longest} bytes, since no client can \
                     send a longer one; got {bytes} bytes: {start}"
                )
            }
            Self::Exact(_) | Self::Prefix(_) | Self::Fallback => return Ok(()),
        };
        Err(BuildError::new(BuildErrorKind::InvalidOption, got))
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(route) => write!(f, "the route {route:?}"),
            Self::Prefix(prefix) => write!(f, "the prefix {prefix:?}"),
            Self::Fallback => f.write_str("the fallback"),
        }
    }
}

pub(crate) type Running = BoxFuture<'static, Result<Reply, BoxError>>;
pub(crate) type Erased<S> = Arc<dyn Fn(MessageContext<S>) -> Running + Send + Sync>;

impl<S: Clone + Send + Sync + 'static> Router<S> {
    /// A router without routes.
    #[must_use]
    pub fn new() -> Self {
        Self {
            routes: Vec::new(),
            rooms: Vec::new(),
            inboxes: Vec::new(),
            declared: Vec::new(),
        }
    }

    fn add<Args>(mut self, pattern: Pattern, handler: impl Handler<Args, S>) -> Self {
        self.routes
            .push((pattern, Arc::new(move |cx| handler.call(cx))));
        self
    }

    /// Handles messages with exactly this route.
    ///
    /// Two handlers for one route are an error when the gateway is built, and so are a route of
    /// more than 256 bytes, which no client can send, and the gateway's own `error` and `gap`.
    ///
    /// ```
    /// use realtime::{Json, Router};
    ///
    /// async fn sum(Json(numbers): Json<Vec<i32>>) -> Json<i32> {
    ///     Json(numbers.iter().sum())
    /// }
    ///
    /// // A client sends {"id":"1","route":"sum","data":[1,2]}
    /// // and gets       {"id":"1","route":"sum","data":3}
    /// let router = Router::new().route("sum", sum);
    /// # use realtime::{Gateway, Identity};
    /// # use realtime_testkit::memory::{TestError, connect};
    /// # let gateway = realtime::builder().router(router).build().unwrap();
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn check(gateway: Gateway) -> Result<(), TestError> {
    /// # let mut ann = connect(&gateway, Identity::new("ann")).await?;
    /// # assert_eq!(ann.request("sum", Json(&[1, 2])).await?.decode::<i32>()?, 3);
    /// # Ok(())
    /// # }
    /// # check(gateway).unwrap();
    /// ```
    #[must_use]
    pub fn route<Args>(self, route: impl Into<String>, handler: impl Handler<Args, S>) -> Self {
        self.add(Pattern::Exact(route.into()), handler)
    }

    /// Handles messages whose route begins with this prefix and has no route of its own. Of
    /// several prefixes the longest wins. What follows it is [`RouteTail`]. A prefix has at most 256
    /// bytes.
    ///
    /// ```
    /// use realtime::{Json, Router, extract::RouteTail};
    ///
    /// let router = Router::new()
    ///     .prefix("room.", async |RouteTail(room): RouteTail| Json(format!("room {room}")))
    ///     .prefix("room.vip.", async |RouteTail(room): RouteTail| Json(format!("lounge {room}")));
    /// // `room.1` is answered with "room 1", and `room.vip.1` with "lounge 1".
    /// # use realtime::{Gateway, Identity};
    /// # use realtime_testkit::memory::{TestError, connect};
    /// # let gateway = realtime::builder().router(router).build().unwrap();
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn check(gateway: Gateway) -> Result<(), TestError> {
    /// # let mut ann = connect(&gateway, Identity::new("ann")).await?;
    /// # assert_eq!(ann.request("room.1", ()).await?.decode::<String>()?, "room 1");
    /// # assert_eq!(ann.request("room.vip.1", ()).await?.decode::<String>()?, "lounge 1");
    /// # Ok(())
    /// # }
    /// # check(gateway).unwrap();
    /// ```
    ///
    /// [`RouteTail`]: crate::extract::RouteTail
    #[must_use]
    pub fn prefix<Args>(self, prefix: impl Into<String>, handler: impl Handler<Args, S>) -> Self {
        self.add(Pattern::Prefix(prefix.into()), handler)
    }

    /// Handles every other message. Without a fallback, a client that asked with an id
    /// receives the error `unknown_route`. Beside the prefix `""`, which every route has, it would
    /// never be called: that is refused when the gateway is built.
    ///
    /// ```
    /// use realtime::{ClientError, Message, Router};
    ///
    /// let router: Router = Router::new().fallback(async |message: Message| {
    ///     let text = format!("this server is too old for {:?}", message.route());
    ///     Err::<(), _>(ClientError::new("not_supported", text))
    /// });
    /// ```
    #[must_use]
    pub fn fallback<Args>(self, handler: impl Handler<Args, S>) -> Self {
        self.add(Pattern::Fallback, handler)
    }

    /// Says what is so of the rooms whose names fit a pattern. A parameter stands in braces, and is
    /// read with [`RoomParam`](crate::extract::RoomParam). Of several patterns that fit, the one
    /// that was registered first counts. A rule all of whose rooms fit an earlier pattern would
    /// never be asked: that is refused when the gateway is built.
    ///
    /// Where clients may ask to come in, the routes `join`, `leave` and `recover` are the gateway's
    /// own, and `publish` where they may publish.
    ///
    /// ```
    /// use realtime::{Router, room::RoomRule};
    ///
    /// let router = Router::new()
    ///     .room("score:{match}", RoomRule::open())
    ///     .room("staff", RoomRule::new());
    /// # use realtime::{Gateway, Identity, Json};
    /// # use realtime_testkit::memory::{TestError, connect};
    /// # let gateway = realtime::builder().router(router).build().unwrap();
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn check(gateway: Gateway) -> Result<(), TestError> {
    /// # let mut ann = connect(&gateway, Identity::new("ann")).await?;
    /// # ann.request("join", Json(serde_json::json!({"room": "score:7"}))).await?;
    /// # assert!(ann.request("join", Json(serde_json::json!({"room": "staff"}))).await.is_err());
    /// # Ok(())
    /// # }
    /// # check(gateway).unwrap();
    /// ```
    #[must_use]
    pub fn room(mut self, pattern: impl Into<String>, rule: RoomRule<S>) -> Self {
        self.rooms.push((pattern.into(), rule));
        self
    }

    /// Gives each identity a room of its own, an inbox: with a history what is sent there
    /// ([`Gateway::inbox`](crate::Gateway::inbox)) is kept while nobody of it is online. The rule
    /// says how much, and the history how much of all.
    ///
    /// Its clients call it `@me`, in `join`, `recover` and `leave` and in the messages that they
    /// get; no other client can come in. A handler lets a session in with
    /// [`RoomName::inbox`](realtime_core::RoomName::inbox).
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use realtime::{Identity, IdentityKey, Json, Router, history::Retention, room::RoomRule};
    ///
    /// let kept = Retention::new(100, Duration::from_secs(7 * 86_400))?;
    /// let router = Router::new().inbox(RoomRule::open().history(kept));
    /// # use realtime::Gateway;
    /// # use realtime_testkit::memory::connect;
    /// let gateway = realtime::builder().router(router).build()?;
    ///
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn check(gateway: Gateway) -> Result<(), Box<dyn std::error::Error>> {
    /// # let mut ann = connect(&gateway, Identity::new("ann")).await?;
    /// # ann.request("join", Json(serde_json::json!({"room": "@me"}))).await?;
    /// // Ann is on the train, and her phone asks for what it has missed later.
    /// gateway.inbox(&IdentityKey::new("ann")).send("reminder", Json("dentist at nine")).await?;
    /// # let reminder = ann.receive_on("reminder").await?;
    /// # assert_eq!(reminder.room().map(|room| room.as_str()), Some("@me"));
    /// # Ok(())
    /// # }
    /// # check(gateway).unwrap();
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn inbox(mut self, rule: RoomRule<S>) -> Self {
        self.inboxes.push(rule);
        self
    }

    /// Adds the routes of another router, which needs the same state, or has its own.
    ///
    /// ```
    /// use realtime::{Json, Router, State};
    ///
    /// fn chat() -> Router {
    ///     Router::new().route("chat.say", async |Json(_line): Json<String>| {})
    /// }
    ///
    /// fn rooms() -> Router {
    ///     let rooms = async |State(rooms): State<Vec<String>>| Json(rooms);
    ///     Router::new().route("rooms", rooms).with_state(vec!["lobby".to_owned()])
    /// }
    ///
    /// let router = chat().merge(rooms());
    /// ```
    #[must_use]
    pub fn merge(mut self, other: Self) -> Self {
        self.routes.extend(other.routes);
        self.rooms.extend(other.rooms);
        self.inboxes.extend(other.inboxes);
        self.declared.extend(other.declared);
        self
    }

    /// Adds the routes of another router behind a prefix, which is a part of the names of its routes
    /// and nothing else: put the dot into it.
    ///
    /// The other router's fallback becomes the handler of all that begins with the prefix and has no
    /// route there. Handlers see the whole route; a [`RouteTail`](crate::extract::RouteTail) is what
    /// follows prefix and pattern. Rules of rooms, whose names are no routes, stay as they are.
    ///
    /// ```
    /// use realtime::{Json, Message, Router};
    ///
    /// fn chat() -> Router {
    ///     Router::new()
    ///         .route("say", async |Json(line): Json<String>| Json(line))
    ///         .fallback(async |message: Message| Json(format!("no {}", message.route())))
    /// }
    ///
    /// // The routes are `chat.say` and all else that begins with `chat.`.
    /// let router = Router::new().nest("chat.", chat());
    /// # use realtime::{Gateway, Identity};
    /// # use realtime_testkit::memory::{TestError, connect};
    /// # let gateway = realtime::builder().router(router).build().unwrap();
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn check(gateway: Gateway) -> Result<(), TestError> {
    /// # let mut ann = connect(&gateway, Identity::new("ann")).await?;
    /// # assert_eq!(ann.request("chat.say", Json("hi")).await?.decode::<String>()?, "hi");
    /// # assert_eq!(ann.request("chat.x", ()).await?.decode::<String>()?, "no chat.x");
    /// # assert_eq!(ann.request("say", Json("hi")).await.unwrap_err().code(), Some("unknown_route"));
    /// # Ok(())
    /// # }
    /// # check(gateway).unwrap();
    /// ```
    #[must_use]
    pub fn nest(mut self, prefix: impl Into<String>, other: Self) -> Self {
        let prefix = prefix.into();
        let behind = |pattern: Pattern| match pattern {
            Pattern::Exact(route) => Pattern::Exact(format!("{prefix}{route}")),
            Pattern::Prefix(other) => Pattern::Prefix(format!("{prefix}{other}")),
            Pattern::Fallback if prefix.is_empty() => Pattern::Fallback,
            Pattern::Fallback => Pattern::Prefix(prefix.clone()),
        };
        let routes = other.routes.into_iter();
        let nested = routes.map(|(pattern, handler)| (behind(pattern), handler));
        self.routes.extend(nested);
        self.rooms.extend(other.rooms);
        self.inboxes.extend(other.inboxes);
        let declared = other.declared.into_iter();
        self.declared
            .extend(declared.map(|(route, types)| (format!("{prefix}{route}"), types)));
        self
    }

    /// Puts a [message layer](crate::middleware) around the handlers of all routes, prefixes and
    /// fallbacks that the router has so far, and around none that are added later.
    ///
    /// Of several, the last one that was added is the outermost; all are inside those of
    /// [`Builder::layer`](crate::Builder::layer). Rules of rooms and the gateway's own routes, such as
    /// `join`, see only the latter.
    ///
    /// Each session has a service of its own for each of these routes, made when its first message
    /// comes by it and kept for as long as the session. So a layer that counts, such as tower's
    /// `RateLimitLayer`, counts the messages of one session on one route, unless what it counts in is
    /// shared by the layer itself.
    ///
    /// ```
    /// use realtime::{
    ///     BoxError, ClientError, Json, Router,
    ///     extract::Reply,
    ///     middleware::{Inbound, Next, from_fn},
    /// };
    ///
    /// async fn admins_only(inbound: Inbound, next: Next) -> Result<Reply, BoxError> {
    ///     if !inbound.session.identity().has_role("admin") {
    ///         return Err(ClientError::new("forbidden", "only admins may do that").into());
    ///     }
    ///     next.run(inbound).await
    /// }
    ///
    /// let admin = Router::new().route("ban", async || ()).layer(from_fn(admins_only));
    /// let router = Router::new().route("hello", async || Json("hello")).nest("admin.", admin);
    /// # use realtime::{Gateway, Identity};
    /// # use realtime_testkit::memory::{TestError, connect};
    /// # let gateway = realtime::builder().router(router).build().unwrap();
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn check(gateway: Gateway) -> Result<(), TestError> {
    /// # let mut ann = connect(&gateway, Identity::new("ann")).await?;
    /// # ann.request("hello", ()).await?;
    /// # assert_eq!(ann.request("admin.ban", ()).await.unwrap_err().code(), Some("forbidden"));
    /// # Ok(())
    /// # }
    /// # check(gateway).unwrap();
    /// ```
    #[must_use]
    pub fn layer<L>(mut self, layer: L) -> Self
    where
        L: Layer<RouteService> + Send + Sync + 'static,
        L::Service: Service<Inbound, Response = Reply, Error: Into<BoxError>> + Send + 'static,
        <L::Service as Service<Inbound>>::Future: Send + 'static,
    {
        let around = erased(layer);
        let routes = self.routes.into_iter();
        let routes = routes.map(|(pattern, handler)| (pattern, layered(&around, handler)));
        self.routes = routes.collect();
        self
    }

    /// The routes that have a handler of their own, in the order in which they came: what
    /// [`route`](Self::route) was called with, behind the prefixes of [`nest`](Self::nest).
    ///
    /// ```
    /// use realtime::Router;
    ///
    /// let chat = Router::<()>::new().route("say", async || ()).prefix("room.", async || ());
    /// let router = Router::new().route("hello", async || ()).nest("chat.", chat);
    /// assert_eq!(router.routes().collect::<Vec<_>>(), ["hello", "chat.say"]);
    /// ```
    pub fn routes(&self) -> impl Iterator<Item = &str> {
        self.routes.iter().filter_map(|(pattern, _)| match pattern {
            Pattern::Exact(route) => Some(route.as_str()),
            Pattern::Prefix(_) | Pattern::Fallback => None,
        })
    }

    /// Notes that the handler of a route was held to a declaration.
    #[doc(hidden)]
    #[must_use]
    pub fn __declare(mut self, route: &str, types: TypeId) -> Self {
        self.declared.push((route.to_owned(), types));
        self
    }

    /// What was noted, behind the prefixes of [`nest`](Self::nest).
    #[doc(hidden)]
    pub fn __declared(&self) -> impl Iterator<Item = (&str, TypeId)> {
        self.declared
            .iter()
            .map(|(route, types)| (route.as_str(), *types))
    }

    /// The patterns of rooms that have a rule, in the order in which they came.
    ///
    /// ```
    /// use realtime::{Router, room::RoomRule};
    ///
    /// let router = Router::<()>::new().room("order:{id}", RoomRule::open());
    /// assert_eq!(router.rooms().collect::<Vec<_>>(), ["order:{id}"]);
    /// ```
    pub fn rooms(&self) -> impl Iterator<Item = &str> {
        self.rooms.iter().map(|(pattern, _)| pattern.as_str())
    }

    /// The same with their rules.
    ///
    /// ```
    /// use realtime::{Router, room::RoomRule};
    ///
    /// let router = Router::<()>::new().room("chat:{id}", RoomRule::open().publish("said"));
    /// for (pattern, rule) in router.rules() {
    ///     assert_eq!((pattern, rule.published()), ("chat:{id}", Some("said")));
    /// }
    /// ```
    pub fn rules(&self) -> impl Iterator<Item = (&str, &RoomRule<S>)> {
        self.rooms
            .iter()
            .map(|(pattern, rule)| (pattern.as_str(), rule))
    }

    /// Gives the handlers their state. The result needs none, or that of a router it is merged
    /// into.
    ///
    /// ```
    /// use std::sync::{Arc, atomic::{AtomicU64, Ordering::Relaxed}};
    /// use realtime::{Json, Router, State};
    ///
    /// async fn count(State(calls): State<Arc<AtomicU64>>) -> Json<u64> {
    ///     Json(calls.fetch_add(1, Relaxed) + 1)
    /// }
    ///
    /// let router = Router::new().route("count", count).with_state(Arc::new(AtomicU64::new(0)));
    /// let gateway = realtime::builder().router(router).build()?;
    /// # Ok::<(), realtime::error::BuildError>(())
    /// ```
    #[must_use]
    pub fn with_state<S2: 'static>(self, state: S) -> Router<S2> {
        let routes = self.routes.into_iter();
        let (rooms, inboxes) = (self.rooms.into_iter(), self.inboxes.into_iter());
        let inbox = |rule: RoomRule<S>| rule.with_state(state.clone());
        let route = |(pattern, handler)| (pattern, bind(handler, state.clone()));
        let room =
            |(pattern, rule): (String, RoomRule<S>)| (pattern, rule.with_state(state.clone()));
        Router {
            routes: routes.map(route).collect(),
            rooms: rooms.map(room).collect(),
            inboxes: inboxes.map(inbox).collect(),
            declared: self.declared,
        }
    }
}

/// Gives a handler its state.
pub(crate) fn bind<S, S2>(handler: Erased<S>, state: S) -> Erased<S2>
where
    S: Clone + Send + Sync + 'static,
    S2: 'static,
{
    Arc::new(move |cx: MessageContext<S2>| {
        let MessageContext {
            inbound,
            host,
            used,
            params,
            state: _,
        } = cx;
        handler(MessageContext {
            inbound,
            host,
            used,
            params,
            state: state.clone(),
        })
    })
}

/// A router whose handlers have the state that they need, as [`Builder::router`] takes it.
///
/// It is implemented for [`Router`] without a state alone; never implement it yourself.
///
/// [`Builder::router`]: crate::Builder::router
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no router of messages whose handlers have all the state that they need",
    label = "expected a `realtime::Router` that needs no state",
    note = "`axum::Router` is for HTTP requests; the gateway itself is a route of it, as a service",
    note = "give the handlers their state before the router goes into the builder: \
            `.router(router.with_state(state))`"
)]
pub trait CompleteRouter {
    #[doc(hidden)]
    fn complete(self) -> Router;
}

impl CompleteRouter for Router {
    fn complete(self) -> Router {
        self
    }
}

impl Router {
    pub(crate) fn build(
        self,
        accepts_tokens: bool,
    ) -> Result<(RouteTable, Arc<RoomTable>), BuildError> {
        let mut table = RouteTable::default();
        let rooms = Arc::new(RoomTable::build(self.rooms, self.inboxes)?);
        let shows = accepts_tokens.then(authenticate::route);
        let own = rooms.routes().into_iter().chain(shows);
        let own = own.map(|(route, handler)| (Pattern::Exact(route.to_owned()), handler));
        for (pattern, handler) in own.chain(self.routes) {
            pattern.check()?;
            if !table.insert(&pattern, handler) {
                let got = format!("expected one handler for {pattern}; got two: remove one");
                return Err(BuildError::new(BuildErrorKind::DuplicateRoute, got));
            }
        }
        if table.hides_its_fallback() {
            let got = "expected the prefix \"\", which every route has, or a fallback; got both, of \
                       which the fallback would never be called: remove one";
            return Err(BuildError::new(BuildErrorKind::DuplicateRoute, got));
        }
        table.answer_pings();
        Ok((table, rooms))
    }
}

impl<S: Clone + Send + Sync + 'static> Default for Router<S> {
    fn default() -> Self {
        Self::new()
    }
}

impl<S> fmt::Debug for Router<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.routes.iter().map(|(pattern, _)| pattern))
            .finish()
    }
}
