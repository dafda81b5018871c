//! What handlers and hooks take as arguments.
//!
//! | argument | in handlers | in hooks |
//! | --- | --- | --- |
//! | [`Session`], [`Gateway`], [`Identity`] | yes | yes |
//! | [`State<T>`](State) | the router's state | the state given to `hook_state` |
//! | `Message`, `Payload`, `Json<T>`, [`RouteTail`] | yes | no |
//! | [`DisconnectInfo`] | no | `on_disconnect` |
//! | [`ErrorContext`] | no | `on_error` |
//! | `Option<E>`, `Result<E, E::Rejection>` | yes | yes |

mod context;

use std::{convert::Infallible, ops::Deref};

use realtime_core::{DisconnectInfo, Identity, Text, extract::FromContext};

use crate::{ErrorContext, Gateway, Session};

pub use context::{ConnectContext, DisconnectContext, ErrorHookContext, MessageContext};
pub(crate) use context::{HasGateway, HasSession, HasState};

/// The application's own state.
///
/// `T` is the state that was given to `Router::with_state` or `hook_state`, or a part of it that
/// [`FromRef`] takes out.
#[derive(Debug, Clone, Copy, Default)]
pub struct State<T>(pub T);

impl<T> Deref for State<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

/// Takes a part out of the application's state.
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

/// What follows the prefix in a message's route; empty for an exact route, and the whole route
/// for the fallback.
///
/// A handler for the prefix `room.` that gets the route `room.42` finds `42` here.
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
        Ok(Self(cx.tail.clone()))
    }
}

/// The argument is not to be had: the gateway is gone, or the error belongs to no session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("there is no {0} here: take `Option` of it where it may be missing")]
pub struct Missing(&'static str);

impl<Cx: HasSession> FromContext<Cx> for Session {
    type Rejection = Missing;

    fn from_context(cx: &Cx) -> Result<Self, Missing> {
        cx.session().cloned().ok_or(Missing("session"))
    }
}

impl<Cx: HasGateway> FromContext<Cx> for Gateway {
    type Rejection = Missing;

    fn from_context(cx: &Cx) -> Result<Self, Missing> {
        cx.gateway().upgrade().ok_or(Missing("gateway"))
    }
}

macro_rules! identity_from {
    ($($context:ident),*) => {$(
        impl<S> FromContext<$context<S>> for Identity {
            type Rejection = Missing;

            fn from_context(cx: &$context<S>) -> Result<Self, Missing> {
                cx.session().map(|s| s.identity().clone()).ok_or(Missing("session"))
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

impl<S> FromContext<ErrorHookContext<S>> for ErrorContext {
    type Rejection = Infallible;

    fn from_context(cx: &ErrorHookContext<S>) -> Result<Self, Infallible> {
        Ok(cx.error.clone())
    }
}
