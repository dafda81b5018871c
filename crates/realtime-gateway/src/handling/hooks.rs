//! What the application does when a session connects, disconnects, comes or goes,
//! or something fails.

use std::{error::Error, sync::Arc};

use futures::future::BoxFuture;
use realtime_core::{BoxError, DisconnectInfo, extract::FromContext, presence::Change};

use super::{
    Host,
    extract::{ConnectContext, DisconnectContext, ErrorHookContext, PresenceContext},
};
use crate::{Session, quiet::QuietError};

/// What an `on_error` hook receives.
#[derive(Debug, Clone)]
pub struct ErrorContext {
    stage: ErrorStage,
    error: Arc<QuietError>,
    session: Option<Session>,
}

/// Where an error happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorStage {
    /// A request could not be authenticated.
    Authentication,
    /// The broker, or a message from it.
    Broker,
    /// The history of a room, or a message in it.
    History,
    /// A hook failed, panicked or took too long.
    Hook,
    /// A message could not be decoded or handled.
    Message,
    /// A background task of the gateway died, and was started again.
    Background,
    /// A call to presence failed.
    Presence,
    /// A session ended in an unexpected way.
    Disconnect,
}

impl ErrorContext {
    pub(crate) fn new(
        stage: ErrorStage,
        error: impl Into<BoxError>,
        session: Option<Session>,
    ) -> Self {
        Self {
            stage,
            error: Arc::new(QuietError::new(error)),
            session,
        }
    }

    /// Where it happened.
    #[must_use]
    pub fn stage(&self) -> ErrorStage {
        self.stage
    }

    /// What happened; its `source()` chain has the causes.
    #[must_use]
    pub fn error(&self) -> &(dyn Error + 'static) {
        self.error.get()
    }

    /// The session it happened to, where there is one.
    #[must_use]
    pub fn session(&self) -> Option<&Session> {
        self.session.as_ref()
    }
}

/// What a hook may return: `()`, or for `on_connect` also a `Result` whose error refuses the
/// session.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not something a hook can return",
    label = "expected `()` or `Result<(), E>` with `E: Into<BoxError>`"
)]
pub trait HookResult {
    #[doc(hidden)]
    fn into_result(self) -> Result<(), BoxError>;
}

impl HookResult for () {
    fn into_result(self) -> Result<(), BoxError> {
        Ok(())
    }
}

impl<E: Into<BoxError>> HookResult for Result<(), E> {
    fn into_result(self) -> Result<(), BoxError> {
        self.map_err(E::into)
    }
}

/// An async function or closure of up to eight [extractors](crate::extract) that fit the hook's
/// context `Cx`.
///
/// It is implemented for all that fit; never implement it yourself.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not fit this hook",
    label = "not an async function of up to eight extractors that fit `{Cx}`",
    note = "a hook has no message: `Message`, `Payload`, `Json<T>` and `RouteTail` are for \
            handlers. It may take `Session`, `Gateway`, `Identity`, `State<T>` with the state \
            given to `hook_state`, and `DisconnectInfo`, `ErrorContext` or `Change` in theirs"
)]
pub trait Hook<Args, Cx>: Clone + Send + Sync + 'static {
    #[doc(hidden)]
    fn call(&self, cx: Cx) -> BoxFuture<'static, Result<(), BoxError>>;
}

macro_rules! hook {
    ($($arg:ident),*) => {
        impl<F, Fut, Cx, $($arg,)*> Hook<($($arg,)*), Cx> for F
        where
            F: Fn($($arg),*) -> Fut + Clone + Send + Sync + 'static,
            Fut: Future<Output: HookResult> + Send + 'static,
            $($arg: FromContext<Cx>,)*
        {
            #[allow(non_snake_case, unused_variables, reason = "one macro for every arity")]
            fn call(&self, cx: Cx) -> BoxFuture<'static, Result<(), BoxError>> {
                $(
                    let $arg = match $arg::from_context(&cx) {
                        Ok(value) => value,
                        Err(error) => {
                            return Box::pin(std::future::ready(Err(error.into())));
                        }
                    };
                )*
                let running = self($($arg),*);
                Box::pin(async move { running.await.into_result() })
            }
        }
    };
}
hook!();
hook!(A);
hook!(A, B);
hook!(A, B, C);
hook!(A, B, C, D);
hook!(A, B, C, D, E);
hook!(A, B, C, D, E, G);
hook!(A, B, C, D, E, G, H);
hook!(A, B, C, D, E, G, H, I);

type Ran = BoxFuture<'static, Result<(), BoxError>>;
type Erased<T> = Box<dyn Fn(Host, T) -> Ran + Send + Sync>;

/// All hooks of a gateway, erased, each with the state it was registered with.
#[derive(Default)]
pub(crate) struct Hooks {
    pub(crate) connect: Vec<Erased<Session>>,
    pub(crate) disconnect: Vec<Erased<(Session, DisconnectInfo)>>,
    pub(crate) error: Vec<Erased<ErrorContext>>,
    pub(crate) presence: Vec<Erased<Change>>,
}

impl Hooks {
    pub(crate) fn on_connect<Args, S>(&mut self, hook: impl Hook<Args, ConnectContext<S>>, state: S)
    where
        S: Clone + Send + Sync + 'static,
    {
        self.connect.push(Box::new(move |host, session| {
            hook.call(ConnectContext {
                session,
                host,
                state: state.clone(),
            })
        }));
    }

    pub(crate) fn on_disconnect<Args, S>(
        &mut self,
        hook: impl Hook<Args, DisconnectContext<S>>,
        state: S,
    ) where
        S: Clone + Send + Sync + 'static,
    {
        self.disconnect.push(Box::new(move |host, (session, info)| {
            hook.call(DisconnectContext {
                session,
                host,
                info,
                state: state.clone(),
            })
        }));
    }

    pub(crate) fn on_presence<Args, S>(
        &mut self,
        hook: impl Hook<Args, PresenceContext<S>>,
        state: S,
    ) where
        S: Clone + Send + Sync + 'static,
    {
        self.presence.push(Box::new(move |host, change| {
            hook.call(PresenceContext {
                host,
                change,
                state: state.clone(),
            })
        }));
    }

    pub(crate) fn on_error<Args, S>(&mut self, hook: impl Hook<Args, ErrorHookContext<S>>, state: S)
    where
        S: Clone + Send + Sync + 'static,
    {
        self.error.push(Box::new(move |host, error| {
            hook.call(ErrorHookContext {
                host,
                error,
                state: state.clone(),
            })
        }));
    }
}

impl std::fmt::Debug for Hooks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hooks")
            .field("connect", &self.connect.len())
            .field("disconnect", &self.disconnect.len())
            .field("error", &self.error.len())
            .field("presence", &self.presence.len())
            .finish()
    }
}
