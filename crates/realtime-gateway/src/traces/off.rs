//! The same names where nothing is traced: no size, no instruction.

use std::net::SocketAddr;

use http::{StatusCode, request::Parts};
use realtime_core::{
    DisconnectInfo, Message, NodeId, SessionId,
    broker::{BrokerErrorKind, control::Operation, envelope::Envelope},
};

// No `Copy`, since those that trace aren't either.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tracer;

#[derive(Debug, Clone, Default)]
pub(crate) struct Traced(());

#[derive(Debug, Clone, Default)]
pub(crate) struct Origin(());

#[derive(Debug)]
pub(crate) struct Luck;

#[derive(Debug)]
pub(crate) struct Label;

impl Origin {
    #[inline(always)]
    pub(crate) const fn is_traced(&self) -> bool {
        false
    }
}

impl Label {
    #[inline(always)]
    pub(crate) fn new(_: impl FnOnce() -> String) -> Self {
        Self
    }
}

impl Traced {
    #[inline(always)]
    pub(crate) const fn is_on(&self) -> bool {
        false
    }

    #[inline(always)]
    pub(crate) const fn enter(&self) {}

    #[inline(always)]
    pub(crate) const fn exit(&self) {}

    #[inline(always)]
    pub(crate) fn within<T>(&self, what: impl FnOnce() -> T) -> T {
        what()
    }

    /// The future itself.
    #[inline(always)]
    pub(crate) fn around<F: Future>(&self, what: F) -> F {
        what
    }

    #[inline(always)]
    pub(crate) const fn origin(&self) -> Origin {
        Origin(())
    }

    #[inline(always)]
    pub(crate) fn sign(&self, envelope: Envelope) -> Envelope {
        envelope
    }

    #[inline(always)]
    pub(crate) const fn responded(&self, _: StatusCode) {}

    #[inline(always)]
    pub(crate) const fn refused(&self, _: &'static str) {}

    #[inline(always)]
    pub(crate) const fn unpublished(&self, _: BrokerErrorKind) {}

    /// Itself.
    #[inline(always)]
    pub(crate) const fn in_line(self) -> Self {
        self
    }

    #[inline(always)]
    pub(crate) const fn handed(&self) {}

    #[inline(always)]
    pub(crate) const fn cancelled(&self) {}

    #[inline(always)]
    pub(crate) fn failed<E: AsRef<str>>(&self, _: impl FnOnce() -> (bool, E)) {}
}

impl Tracer {
    #[inline(always)]
    pub(crate) fn upgrade(&self, _: &Parts, _: impl FnOnce() -> Option<SocketAddr>) -> Traced {
        Traced(())
    }

    #[inline(always)]
    pub(crate) fn opening(&self, _: SessionId, _: impl FnOnce() -> Origin) -> Traced {
        Traced(())
    }

    #[inline(always)]
    pub(crate) fn closing(
        &self,
        _: SessionId,
        _: &DisconnectInfo,
        _: impl FnOnce() -> Origin,
    ) -> Traced {
        Traced(())
    }

    #[inline(always)]
    pub(crate) const fn luck(&self) -> Luck {
        Luck
    }

    #[inline(always)]
    pub(crate) fn message<'l>(
        &self,
        _: &mut Luck,
        _: &Message,
        _: impl FnOnce() -> (SessionId, Origin, Option<&'l Label>),
    ) -> Option<Traced> {
        None
    }

    #[inline(always)]
    pub(crate) const fn publish(&self, _: &Envelope) -> Traced {
        Traced(())
    }

    #[inline(always)]
    pub(crate) const fn ask(&self, _: &Operation) -> Traced {
        Traced(())
    }

    #[inline(always)]
    pub(crate) const fn relay(&self, _: &Envelope, _: &NodeId) -> Traced {
        Traced(())
    }

    #[inline(always)]
    pub(crate) const fn asked(&self, _: &Envelope, _: &NodeId, _: Option<&Operation>) -> Traced {
        Traced(())
    }

    /// The message itself.
    #[inline(always)]
    pub(crate) fn tell(&self, message: Message) -> Message {
        message
    }

    /// The message itself.
    #[inline(always)]
    pub(crate) const fn told<'m>(
        &self,
        message: &'m Message,
        _: &'m mut Option<Message>,
    ) -> &'m Message {
        message
    }

    #[inline(always)]
    pub(crate) const fn tells_clients(&self) -> bool {
        false
    }
}

const _: () = assert!(
    size_of::<Tracer>() == 0
        && size_of::<Traced>() == 0
        && size_of::<Origin>() == 0
        && size_of::<Luck>() == 0
        && size_of::<Label>() == 0
);
