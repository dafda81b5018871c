//! What arguments are extracted from: one context for messages, one for each sort of hook.

use realtime_core::{DisconnectInfo, Message, extract::HasMessage, presence::Change};

use crate::{
    ErrorContext, Inbound, Session,
    handling::{Host, Params},
};

/// An exact route is used up, however long it is.
pub(crate) const ALL: usize = usize::MAX;

/// What a handler's arguments are extracted from.
#[derive(Debug)]
pub struct MessageContext<S = ()> {
    pub(crate) inbound: Inbound,
    pub(crate) host: Host,
    /// How many bytes of the route its pattern has used up; [`ALL`] by an exact one.
    pub(crate) used: usize,
    /// The room that a rule is asked about.
    pub(crate) params: Option<Params>,
    pub(crate) state: S,
}

/// What the arguments of an `on_connect` hook are extracted from.
#[derive(Debug)]
pub struct ConnectContext<S = ()> {
    pub(crate) session: Session,
    pub(crate) host: Host,
    pub(crate) state: S,
}

/// What the arguments of an `on_disconnect` hook are extracted from.
#[derive(Debug)]
pub struct DisconnectContext<S = ()> {
    pub(crate) session: Session,
    pub(crate) host: Host,
    pub(crate) info: DisconnectInfo,
    pub(crate) state: S,
}

/// What the arguments of an `on_error` hook are extracted from.
#[derive(Debug)]
pub struct ErrorHookContext<S = ()> {
    pub(crate) host: Host,
    pub(crate) error: ErrorContext,
    pub(crate) state: S,
}

/// What the arguments of an `on_presence` hook are extracted from.
#[derive(Debug)]
pub struct PresenceContext<S = ()> {
    pub(crate) host: Host,
    pub(crate) change: Change,
    pub(crate) state: S,
}

/// A context that may have a session.
pub trait HasSession {
    #[doc(hidden)]
    fn session(&self) -> Option<&Session>;
}

/// A context that knows its gateway.
pub trait HasGateway {
    #[doc(hidden)]
    fn host(&self) -> &Host;
}

/// A context with application state.
pub trait HasState {
    #[doc(hidden)]
    type State;
    #[doc(hidden)]
    fn state(&self) -> &Self::State;
}

impl<S> HasMessage for MessageContext<S> {
    fn message(&self) -> &Message {
        &self.inbound.message
    }
}

impl<S> HasSession for MessageContext<S> {
    fn session(&self) -> Option<&Session> {
        Some(&self.inbound.session)
    }
}

impl<S> HasSession for ConnectContext<S> {
    fn session(&self) -> Option<&Session> {
        Some(&self.session)
    }
}

impl<S> HasSession for DisconnectContext<S> {
    fn session(&self) -> Option<&Session> {
        Some(&self.session)
    }
}

impl<S> HasSession for ErrorHookContext<S> {
    fn session(&self) -> Option<&Session> {
        self.error.session()
    }
}

macro_rules! has_gateway_and_state {
    ($($context:ident),*) => {$(
        impl<S> HasGateway for $context<S> {
            fn host(&self) -> &Host {
                &self.host
            }
        }

        impl<S> HasState for $context<S> {
            type State = S;

            fn state(&self) -> &S {
                &self.state
            }
        }
    )*};
}
has_gateway_and_state!(
    MessageContext,
    ConnectContext,
    DisconnectContext,
    ErrorHookContext,
    PresenceContext
);
