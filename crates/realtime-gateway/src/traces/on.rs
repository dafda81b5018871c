//! Whether something is traced.

use std::{fmt, net::SocketAddr, sync::Arc, time::Instant};

use http::{HeaderMap, request::Parts};
use realtime_core::{
    DisconnectInfo, Message, Metadata, NodeId, SessionId,
    broker::{control::Operation, envelope::Envelope},
    traces::TraceParent,
};

use super::{
    Label, Luck, Origin, Traced, Traces,
    amount::{Followed, Share},
    bridge::Bridge,
    spans,
};
use crate::quiet::survive;

/// What begins traces, and goes on with them, on one node. Cheap to clone; empty where the
/// application has said nothing of traces.
#[derive(Clone, Default)]
pub(crate) struct Tracer {
    inner: Option<Arc<Inner>>,
    /// Here, since each message that is sent asks for it.
    tells_clients: bool,
    /// Here, since each message that comes asks for it.
    follows_clients: bool,
}

struct Inner {
    bridge: Bridge,
    node: NodeId,
    share: Share,
    /// Of clients; `None` where they are ignored.
    followed: Option<Followed>,
}

impl Tracer {
    pub(crate) fn new(traces: Option<Traces>, node: &NodeId) -> Self {
        let tells_clients = traces.as_ref().is_some_and(|traces| traces.tells_clients);
        let follows_clients = traces.as_ref().is_some_and(|t| t.followed.is_some());
        let inner = traces.map(|traces| Inner {
            bridge: Bridge::new(traces.bridge),
            node: node.clone(),
            share: Share::new(traces.ratio),
            followed: traces.followed.map(Followed::new),
        });
        Self {
            inner: inner.map(Arc::new),
            tells_clients,
            follows_clients,
        }
    }

    /// A request to connect: of the host's trace, where it has begun one; of the client's or a proxy's;
    /// or of its own.
    pub(crate) fn upgrade(
        &self,
        request: &Parts,
        client: impl FnOnce() -> Option<SocketAddr>,
    ) -> Traced {
        let Some(inner) = &self.inner else {
            return Traced::default();
        };
        let span = || spans::upgrade(&inner.node, request, client());
        // The host has decided, for it or against it.
        if let Some(host) = inner.bridge.current() {
            return match host.is_sampled() {
                true => inner.begun(span, None),
                false => Traced::default(),
            };
        }
        let remote = inner.of_headers(&request.headers);
        match inner.goes_on(remote, || inner.share.has_luck()) {
            true => inner.begun(span, remote),
            false => Traced::default(),
        }
    }

    /// A session begins. Where its request was traced, it is a part of that.
    pub(crate) fn opening(&self, session: SessionId, of: impl FnOnce() -> Origin) -> Traced {
        self.with_origin(of, |inner, origin| {
            inner.begun(|| spans::opening(&inner.node, session), Some(origin))
        })
    }

    /// A session ends. That may be a week later, so it is a trace of its own, with a link.
    pub(crate) fn closing(
        &self,
        session: SessionId,
        info: &DisconnectInfo,
        of: impl FnOnce() -> Origin,
    ) -> Traced {
        self.with_origin(of, |inner, origin| {
            let span = || spans::closing(&inner.node, session, info);
            let traced = inner.begun(span, None);
            traced.link(origin);
            traced
        })
    }

    fn with_origin(
        &self,
        of: impl FnOnce() -> Origin,
        begin: impl FnOnce(&Inner, TraceParent) -> Traced,
    ) -> Traced {
        let Some(inner) = &self.inner else {
            return Traced::default();
        };
        let Origin(Some(origin)) = of() else {
            return Traced::default();
        };
        begin(inner, origin)
    }

    /// The luck of the messages of one session.
    pub(crate) fn luck(&self) -> Luck {
        let inner = self.inner.as_ref();
        inner.map_or(Luck::NONE, |inner| inner.share.draw())
    }

    /// A message comes to its handler, with the luck of its session. Nearly all have none and say
    /// nothing: those go on without a call.
    #[inline(always)]
    pub(crate) fn message<'l>(
        &self,
        luck: &mut Luck,
        message: &Message,
        of: impl FnOnce() -> (SessionId, Origin, Option<&'l Label>),
    ) -> Option<Traced> {
        let is_lucky = luck.strikes();
        if is_lucky || (self.follows_clients && message.metadata().is_some()) {
            return self.perhaps(is_lucky.then_some(luck), message, of);
        }
        None
    }

    /// It has the luck, or may say that it goes on with a trace.
    #[cold]
    fn perhaps<'l>(
        &self,
        luck: Option<&mut Luck>,
        message: &Message,
        of: impl FnOnce() -> (SessionId, Origin, Option<&'l Label>),
    ) -> Option<Traced> {
        let inner = self.inner.as_ref()?;
        let is_lucky = luck.is_some();
        if let Some(luck) = luck {
            *luck = inner.share.draw();
        }
        let remote = inner.of_message(message);
        let is_traced = inner.goes_on(remote, || is_lucky);
        is_traced.then(|| inner.handled(message, remote, of()))
    }

    /// A message goes to other nodes. It begins no trace: what isn't traced would be in parts, if what
    /// is sent for it were.
    pub(crate) fn publish(&self, envelope: &Envelope) -> Traced {
        self.sent(|inner| spans::publish(&inner.node, envelope))
    }

    /// Other nodes are asked for something.
    pub(crate) fn ask(&self, operation: &Operation) -> Traced {
        self.sent(|inner| spans::ask(&inner.node, operation))
    }

    fn sent(&self, span: impl FnOnce(&Inner) -> tracing::Span) -> Traced {
        match &self.inner {
            Some(inner) if inner.is_traced() => inner.begun(|| span(inner), None),
            _ => Traced::default(),
        }
    }

    /// What another node has published arrives.
    pub(crate) fn relay(&self, envelope: &Envelope, source: &NodeId) -> Traced {
        self.received(envelope, |inner| {
            spans::relay(&inner.node, envelope, source)
        })
    }

    /// Another node asks for something; `None` is what this version doesn't know.
    pub(crate) fn asked(
        &self,
        envelope: &Envelope,
        source: &NodeId,
        operation: Option<&Operation>,
    ) -> Traced {
        self.received(envelope, |inner| {
            spans::asked(&inner.node, operation, source)
        })
    }

    fn received(&self, envelope: &Envelope, span: impl FnOnce(&Inner) -> tracing::Span) -> Traced {
        let Some((inner, said)) = self.inner.as_ref().zip(envelope.traceparent()) else {
            return Traced::default();
        };
        let parent = said.parse::<TraceParent>().ok();
        match parent.filter(TraceParent::is_sampled) {
            Some(parent) => inner.begun(|| span(inner), Some(parent)),
            None => Traced::default(),
        }
    }

    /// The message as clients get it: with the place in the trace that is under way, where they are
    /// told.
    pub(crate) fn tell(&self, message: Message) -> Message {
        match self.to_tell(&message) {
            Some(context) => message.with_metadata(TraceParent::NAME, context.to_string()),
            None => message,
        }
    }

    /// The same of one that somebody else has; where it is told more, it is put there.
    #[inline]
    pub(crate) fn told<'m>(
        &self,
        message: &'m Message,
        place: &'m mut Option<Message>,
    ) -> &'m Message {
        match self.to_tell(message) {
            Some(context) => place.insert(with_context(message, context)),
            None => message,
        }
    }

    /// Whether clients are told anything.
    #[inline]
    pub(crate) const fn tells_clients(&self) -> bool {
        self.tells_clients
    }

    #[inline]
    fn to_tell(&self, message: &Message) -> Option<TraceParent> {
        let inner = self.inner.as_ref().filter(|_| self.tells_clients)?;
        inner.to_tell(message)
    }
}

impl Inner {
    /// Whether the trace that something continues is sampled, or it has the luck to begin one. What is
    /// more than may be followed has the same luck as all.
    fn goes_on(&self, remote: Option<TraceParent>, has_luck: impl FnOnce() -> bool) -> bool {
        match remote {
            Some(remote) => remote.is_sampled() && (self.follows_one_more() || has_luck()),
            None => has_luck(),
        }
    }

    fn follows_one_more(&self) -> bool {
        let followed = self.followed.as_ref();
        followed.is_some_and(|f| f.has_place(Instant::now()))
    }

    /// What is said by several, or isn't read, is nothing.
    fn of_headers(&self, headers: &HeaderMap) -> Option<TraceParent> {
        let mut said = headers.get_all(TraceParent::NAME).iter();
        let only = said.next().filter(|_| said.next().is_none())?;
        let only = only.to_str().ok().filter(|_| self.followed.is_some())?;
        only.parse().ok()
    }

    fn of_message(&self, message: &Message) -> Option<TraceParent> {
        let metadata = message.metadata().filter(|_| self.followed.is_some())?;
        metadata.get(TraceParent::NAME)?.parse().ok()
    }

    fn is_traced(&self) -> bool {
        let current = self.bridge.current();
        current.is_some_and(|context| context.is_sampled())
    }

    /// Untraced where its parent can't be set: it would be in no trace that it belongs to.
    fn begun(&self, span: impl FnOnce() -> tracing::Span, parent: Option<TraceParent>) -> Traced {
        let made = survive(|| Traced::new(span(), &self.bridge));
        let traced = made.unwrap_or_default();
        match parent {
            Some(parent) if !traced.continues(parent) => Traced::default(),
            _ => traced,
        }
    }

    #[cold]
    fn to_tell(&self, message: &Message) -> Option<TraceParent> {
        let says_it = |data: &Metadata| data.contains_key(TraceParent::NAME);
        let is_full = |data: &Metadata| data.len() >= Message::MAX_METADATA;
        // With one entry more it couldn't be sent at all.
        if message
            .metadata()
            .is_some_and(|data| says_it(data) || is_full(data))
        {
            return None;
        }
        self.bridge.current().filter(TraceParent::is_sampled)
    }

    #[cold]
    fn handled(
        &self,
        message: &Message,
        remote: Option<TraceParent>,
        (session, origin, pattern): (SessionId, Origin, Option<&Label>),
    ) -> Traced {
        let pattern = pattern.map(|Label(pattern)| pattern.as_str());
        let is_request = message.message_id().is_some();
        let span = || spans::message(&self.node, session, pattern, is_request);
        let traced = self.begun(span, remote);
        if let Origin(Some(origin)) = origin {
            traced.link(origin);
        }
        traced
    }
}

#[cold]
fn with_context(message: &Message, context: TraceParent) -> Message {
    let (name, context) = (TraceParent::NAME, context.to_string());
    message.clone().with_metadata(name, context)
}

impl fmt::Debug for Tracer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_on = self.inner.is_some();
        f.debug_struct("Tracer").field("is_on", &is_on).finish()
    }
}
