//! The arguments of handlers and hooks.
//!
//! | argument | in handlers | in hooks |
//! | --- | --- | --- |
//! | [`Session`], [`Gateway`](crate::Gateway), [`Identity`] | yes | yes |
//! | [`Extension<T>`](Extension) | what the session keeps of this type | the same |
//! | [`State<T>`](State) | the router's state | the state given to `hook_state` |
//! | `Message`, `Payload`, `Json<T>`, [`RouteTail`] | yes | no |
//! | [`Replier`] | as the first argument | no |
//! | [`RoomParam<T>`](RoomParam), [`RoomParams<T>`](RoomParams), `RoomName` | rules of rooms | no |
//! | [`DisconnectInfo`] | no | `on_disconnect` |
//! | [`ErrorContext`] | no | `on_error` |
//! | [`Change`](realtime_core::presence::Change) | no | `on_presence` |
//! | `Option<E>`, `Result<E, E::Rejection>` | yes | yes |
//!
//! ```
//! use realtime::{Gateway, Identity, Json, Router, Session, hooks::ErrorContext};
//! use serde::Deserialize;
//!
//! #[derive(Deserialize)]
//! struct Move {
//!     x: u8,
//!     y: u8,
//! }
//!
//! /// Up to eight of them, in any order.
//! async fn play(gateway: Gateway, player: Identity, Json(Move { x, y }): Json<Move>) {
//!     let _delivery = gateway.broadcast("move", Json(&(player.id(), x, y))).await;
//! }
//!
//! /// Not every error belongs to a session.
//! async fn report(error: ErrorContext, session: Option<Session>) {
//!     let session = session.map(|session| session.id().to_string());
//!     eprintln!("{session:?}: {}", error.error());
//! }
//!
//! let router = Router::new().route("play", play);
//! let gateway = realtime::builder().router(router).on_error(report).build()?;
//! # Ok::<(), realtime::error::BuildError>(())
//! ```

mod context;

use std::{convert::Infallible, ops::Deref};

use realtime_core::{DisconnectInfo, Identity, Text, extract::FromContext, presence::Change};

use crate::{ErrorContext, Session};

pub use crate::session::Replier;

pub use super::rooms::{FromRoomParams, RoomParam, RoomParams};
pub(crate) use context::{ALL, HasGateway, HasSession, HasState};
pub use context::{
    ConnectContext, DisconnectContext, ErrorHookContext, MessageContext, PresenceContext,
};

/// The application's own state.
///
/// `T` is the state that was given to `Router::with_state` or `hook_state`, or a part of it that
/// [`FromRef`] gets out of it.
///
/// ```
/// use std::sync::Arc;
/// use realtime::{Json, Router, State};
///
/// struct App {
///     motd: String,
/// }
///
/// async fn motd(State(app): State<Arc<App>>) -> Json<String> {
///     Json(app.motd.clone())
/// }
///
/// let app = Arc::new(App { motd: "hello".to_owned() });
/// let router: Router = Router::new().route("motd", motd).with_state(app);
/// ```
#[derive(Debug, Clone, Copy, Default)]
pub struct State<T>(pub T);

impl<T> Deref for State<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

/// Gets a part of the application's state.
///
/// ```
/// use realtime::{Json, Router, State, extract::FromRef};
///
/// #[derive(Clone)]
/// struct Database; // a pool of connections, say
///
/// #[derive(Clone)]
/// struct App {
///     database: Database,
///     motd: &'static str,
/// }
///
/// impl FromRef<App> for Database {
///     fn from_ref(app: &App) -> Self {
///         app.database.clone()
///     }
/// }
///
/// async fn count(State(_database): State<Database>) -> Json<u64> {
///     Json(7)
/// }
///
/// async fn motd(State(app): State<App>) -> Json<&'static str> {
///     Json(app.motd)
/// }
///
/// let router = Router::new().route("count", count).route("motd", motd);
/// let router: Router = router.with_state(App { database: Database, motd: "hello" });
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is neither the state `{S}` nor a part of it",
    label = "not in the state `{S}`",
    note = "`State<T>` needs the `T` that is given to `with_state` (or `hook_state`), or one that \
            implements `FromRef` for it"
)]
pub trait FromRef<S> {
    /// Clones the part.
    fn from_ref(state: &S) -> Self;
}

impl<T: Clone> FromRef<T> for T {
    fn from_ref(state: &T) -> Self {
        state.clone()
    }
}

impl<Cx: HasState, T: FromRef<Cx::State>> FromContext<Cx> for State<T> {
    type Rejection = Infallible;

    fn from_context(cx: &Cx) -> Result<Self, Infallible> {
        Ok(Self(T::from_ref(cx.state())))
    }
}

/// A value that the application keeps with the session, in its
/// [`extensions`](Session::extensions).
///
/// ```
/// # use realtime::{Session, extract::Extension};
/// #[derive(Clone)]
/// struct Locale(String);
///
/// /// An `on_connect` hook sets it,
/// async fn connected(session: Session) {
///     session.extensions().insert(Locale("en".to_owned()));
/// }
///
/// /// and a handler reads it.
/// async fn hello(Extension(locale): Extension<Locale>) {
///     println!("hello in {}", locale.0);
/// }
/// ```
#[derive(Debug, Clone, Copy, Default)]
pub struct Extension<T>(pub T);

impl<T> Deref for Extension<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

/// The session keeps no value of the type that was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "expected the session to keep a value of type {0}; got none: insert it into \
     `session.extensions()`, in `on_connect` say"
)]
pub struct MissingExtension(&'static str);

impl<Cx: HasSession, T: Clone + Send + Sync + 'static> FromContext<Cx> for Extension<T> {
    type Rejection = MissingExtension;

    fn from_context(cx: &Cx) -> Result<Self, MissingExtension> {
        let kept = cx.session().and_then(|session| session.extensions().get());
        kept.map(Self)
            .ok_or(MissingExtension(std::any::type_name::<T>()))
    }
}

/// What follows the prefix in a message's route; empty for an exact route, and the whole route
/// for the fallback.
///
/// ```
/// use realtime::{Json, Router, extract::RouteTail};
///
/// // With the route `room.42` it answers "42".
/// let room = async |RouteTail(room): RouteTail| Json(room.to_string());
/// let router: Router = Router::new().prefix("room.", room);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteTail(pub Text);

impl Deref for RouteTail {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl<S> FromContext<MessageContext<S>> for RouteTail {
    type Rejection = Infallible;

    fn from_context(cx: &MessageContext<S>) -> Result<Self, Infallible> {
        let route = cx.inbound.message.route_text();
        let tail = route.get(cx.used..).filter(|tail| !tail.is_empty());
        Ok(Self(
            tail.map_or_else(Text::default, |tail| route.slice_ref(tail)),
        ))
    }
}

/// The argument isn't there: the gateway is gone, or the error belongs to no session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected a {0}; there is none here: use `Option` of it where it may be missing")]
pub struct Missing(&'static str);

impl Missing {
    pub(crate) const fn gateway() -> Self {
        Self("gateway")
    }
}

impl<Cx: HasSession> FromContext<Cx> for Session {
    type Rejection = Missing;

    fn from_context(cx: &Cx) -> Result<Self, Missing> {
        cx.session().cloned().ok_or(Missing("session"))
    }
}

macro_rules! identity_from {
    ($($context:ident),*) => {$(
        impl<S> FromContext<$context<S>> for Identity {
            type Rejection = Missing;

            fn from_context(cx: &$context<S>) -> Result<Self, Missing> {
                cx.session().map(Session::identity).ok_or(Missing("session"))
            }
        }
    )*};
}
identity_from!(
    MessageContext,
    ConnectContext,
    DisconnectContext,
    ErrorHookContext
);

impl<S> FromContext<DisconnectContext<S>> for DisconnectInfo {
    type Rejection = Infallible;

    fn from_context(cx: &DisconnectContext<S>) -> Result<Self, Infallible> {
        Ok(cx.info.clone())
    }
}

impl<S> FromContext<PresenceContext<S>> for Change {
    type Rejection = Infallible;

    fn from_context(cx: &PresenceContext<S>) -> Result<Self, Infallible> {
        Ok(cx.change.clone())
    }
}

impl<S> FromContext<ErrorHookContext<S>> for ErrorContext {
    type Rejection = Infallible;

    fn from_context(cx: &ErrorHookContext<S>) -> Result<Self, Infallible> {
        Ok(cx.error.clone())
    }
}
