//! One of the two connections of a link, and what happens to it.

use std::time::Duration;

use futures::{
    Stream, StreamExt,
    stream::{self, BoxStream},
};
use lapin::{Channel, ChannelStatus, Connection, ConnectionProperties, Event, types::ShortString};
use realtime_core::broker::{BrokerError, NodeInfo};
use tokio::time::{sleep, timeout};

use crate::{
    AmqpConfig,
    error::{self, refused, too_slow, unavailable},
    limit,
    server::Server,
    wire::Wires,
};

/// How long a connection may take to say goodbye.
const CLOSE: Duration = Duration::from_secs(1);
/// How often it is checked that what says it is connected is.
const CHECK: Duration = Duration::from_millis(500);

/// A connection, with the channels that were opened on it.
pub(crate) struct Connected {
    pub(crate) connection: Connection,
    channels: Vec<ChannelStatus>,
    /// What happens to it. One for each: the library reports each event only once.
    notices: Notices,
    /// Dropped last: what said goodbye has ended by then.
    _wires: Wires,
}

/// What happens to a connection, or to several.
pub(crate) type Notices = BoxStream<'static, Notice>;

/// What happens to a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Notice {
    Blocked,
    Unblocked,
    /// It is of no use any more.
    Broken(String),
}

/// What to do about what only time heals.
pub(crate) enum Patience<'t> {
    /// The node starts: fail, and say why.
    Start,
    /// The link is made anew: wait, and report.
    Again(&'t (dyn Fn(Notice) + Send + Sync)),
}

impl Connected {
    pub(crate) async fn open(
        config: &AmqpConfig,
        server: &Server,
        node: &NodeInfo,
        role: &str,
    ) -> Result<Self, BrokerError> {
        let wires = Wires::default();
        let name = format!("realtime {} {} {role}", config.namespace, node.id);
        let properties = ConnectionProperties::default().with_connection_name(name.into());
        let (tls, server_name) = (config.tls.clone(), config.name_of(&server.url).to_owned());
        let (url, address) = (server.url.clone(), server.address);
        let connected = wires
            .connect(url, address, tls, server_name, properties)
            .await;
        let connection = connected.map_err(|e| refused("connecting", e))?;
        Ok(Self {
            notices: notices_of(&connection),
            connection,
            channels: Vec::new(),
            _wires: wires,
        })
    }

    pub(crate) async fn channel(&mut self) -> Result<Channel, BrokerError> {
        let channel = self.connection.create_channel().await;
        let channel = channel.map_err(|e| refused("opening a channel", e))?;
        self.channels.push(channel.status().clone());
        Ok(channel)
    }

    /// What happens to it from now on. Whoever takes this gives it back.
    pub(crate) fn take_notices(&mut self) -> Notices {
        std::mem::replace(&mut self.notices, stream::empty().boxed())
    }

    pub(crate) fn put_notices(&mut self, notices: Notices) {
        self.notices = notices;
    }

    /// What happens to it from now on, and whether it and its channels are what they say. Once.
    pub(crate) fn watched(&mut self) -> impl Stream<Item = Notice> + Send + use<> {
        let (connection, channels) = (self.connection.status().clone(), self.channels.clone());
        let ticks = stream::unfold((), |()| async {
            sleep(CHECK).await;
            Some(((), ()))
        });
        let checked = ticks.filter_map(move |()| {
            let whole = connection.connected()
                && !connection.errored()
                && channels.iter().all(ChannelStatus::connected);
            let broken = "a connection or channel is not connected any more";
            std::future::ready((!whole).then(|| Notice::Broken(broken.to_owned())))
        });
        stream::select(self.take_notices(), checked.boxed())
    }

    /// Says goodbye, with a bound: a server that doesn't answer is left alone.
    pub(crate) async fn close(self) {
        let closed = self.connection.close(200, ShortString::from("leaving"));
        let _best_effort = timeout(CLOSE, closed).await;
    }
}

/// Waits for some work of RabbitMQ's, for so long unless it is blocked, and unless a connection
/// breaks. RabbitMQ may be short of memory and accept nothing: it says so with the first
/// publication.
pub(crate) async fn done(
    work: impl Future<Output = Result<(), BrokerError>>,
    notices: &mut (impl Stream<Item = Notice> + Unpin),
    patience: &Patience<'_>,
    (step, mut limit): (&'static str, Duration),
    limit_once_unblocked: Duration,
) -> Result<(), BrokerError> {
    let mut work = std::pin::pin!(work);
    let mut blocked = false;
    loop {
        tokio::select! {
            biased;
            done = &mut work => return done,
            Some(notice) = notices.next() => match (notice, patience) {
                (Notice::Broken(cause), _) => return Err(unavailable(cause)),
                (Notice::Blocked, Patience::Start) => return Err(error::blocked()),
                (Notice::Blocked, Patience::Again(report)) => {
                    blocked = true;
                    report(Notice::Blocked);
                }
                (Notice::Unblocked, _) => (blocked, limit) = (false, limit_once_unblocked),
            },
            () = sleep(limit), if !blocked => return Err(too_slow(step, limit)),
        }
    }
}

fn notices_of(connection: &Connection) -> Notices {
    let notice = |event| match event {
        Event::ConnectionBlocked(_) => Some(Notice::Blocked),
        Event::ConnectionUnblocked => Some(Notice::Unblocked),
        // Of the channel that was opened to hear it.
        Event::Error(error) if limit::is_told(&error) => None,
        Event::Error(error) => Some(Notice::Broken(error.to_string())),
        _ => None,
    };
    let events = connection.events_listener();
    let notices = events.filter_map(move |event| std::future::ready(notice(event)));
    notices.boxed()
}
