//! Our own server, for the load generator here and for anyone's.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::{Duration, SystemTime},
};

use clap::{Args, ValueEnum};
use http::request::Parts;
use realtime::{
    Backpressure, BoxError, ClientError, Gateway, Identity, IdentityKey, Json, Message, Payload,
    Router, Session,
    auth::{AuthError, Authenticator, Credentials},
    bind,
    config::{Limits, Rate},
    connect,
    error::{DeliverError, DeliverErrorKind, SendError},
    history::{InvalidIdempotencyKey, MemoryHistory, Retention},
    room::RoomRule,
    shutdown_signal,
};
use serde::Deserialize;
use serde_json::{json, value::RawValue};

use crate::or_off::OrOff;

/// The options of `serve`.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Where to listen; port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:8080")]
    listen: String,
    /// The broker's URL, such as `local:`. Without it the gateway stays alone.
    #[arg(long)]
    broker: Option<String>,
    /// The presence store's URL, such as `local:`.
    #[arg(long)]
    presence: Option<String>,
    /// The namespace of broker and presence; it goes into both URLs.
    #[arg(long)]
    namespace: Option<String>,
    /// Keeps so many messages of each room for an hour: in the presence store's Redis, where there is
    /// one, else in this process.
    #[arg(long)]
    history: Option<usize>,
    /// Doesn't keep who is in a room: `members` has no answer then.
    #[arg(long)]
    no_room_presence: bool,
    /// What happens to a message for a full queue.
    #[arg(long, value_enum)]
    backpressure: Option<Policy>,
    /// How many messages may wait for a slow reader.
    #[arg(long)]
    queue: Option<usize>,
    /// How many sessions may be open at once; `off`: any number.
    #[arg(long)]
    max_connections: Option<OrOff<usize>>,
    /// The largest message that a client may send, in bytes.
    #[arg(long)]
    read_limit: Option<usize>,
    /// Seconds between two pings; `off`: none.
    #[arg(long)]
    heartbeat: Option<OrOff<f64>>,
    /// A token that every client must show, as `?token=` or in the header `Authorization`.
    #[arg(long)]
    token: Option<String>,
    /// With limits on messages and bytes, which nobody reaches, and identities that end in an hour.
    #[arg(long)]
    limited: bool,
    /// Traces this share of connections and messages, and exports them to nowhere.
    #[cfg(feature = "traces")]
    #[arg(long, value_name = "RATIO")]
    traces: Option<f64>,
    /// Has the page for operators at `/admin`, for those who show the token `operator`.
    #[cfg(feature = "admin")]
    #[arg(long)]
    admin: bool,
    /// Compresses messages for those who ask for it.
    #[cfg(feature = "deflate")]
    #[arg(long)]
    deflate: bool,
    /// Speaks TLS alone, with a certificate that nobody knows.
    #[cfg(feature = "tls")]
    #[arg(long)]
    tls: bool,
    /// Worker threads; by default as many as there are cores.
    #[arg(long)]
    pub(crate) workers: Option<usize>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Policy {
    Close,
    DropNewest,
    DropOldest,
}

impl From<Policy> for Backpressure {
    fn from(policy: Policy) -> Self {
        match policy {
            Policy::Close => Self::Close,
            Policy::DropNewest => Self::DropNewest,
            Policy::DropOldest => Self::DropOldest,
        }
    }
}

/// Serves until interrupted.
pub(crate) async fn serve(options: Options) -> Result<(), BoxError> {
    let listener = bind(&options.listen).await?;
    let gateway = describe(&options)?;
    // With a broker, `serve` does it.
    if options.broker.is_none() && options.presence.is_some() {
        gateway.start().await?;
    }
    let shutdown = shutdown_signal();
    println!("listening on http://{}", listener.local_addr()?);
    let app = axum::Router::new().route_service("/ws", gateway.clone());
    #[cfg(feature = "admin")]
    let app = if options.admin {
        app.nest_service("/admin", page(&gateway)?)
    } else {
        app
    };
    let server = realtime::serve(listener, app, gateway);
    #[cfg(feature = "tls")]
    let server = if options.tls {
        let acceptor = crate::tls::acceptor()?;
        server.secure(move |tcp| acceptor.accept(tcp))
    } else {
        server
    };
    server.with_graceful_shutdown(shutdown).await?;
    Ok(())
}

/// What an operator shows.
#[cfg(feature = "admin")]
pub(crate) const OPERATOR: &str = "operator";

/// The page for operators. Not for production.
#[cfg(feature = "admin")]
fn page(gateway: &Gateway) -> Result<realtime::admin::Admin, BoxError> {
    let operators = realtime::auth::StaticToken::new(OPERATOR, Identity::new(OPERATOR))?;
    Ok(realtime::admin::Admin::of(gateway).guard(operators, |_| true)?)
}

/// For how long the history of a room is kept, and somebody is who they are where that ends.
const KEPT: Duration = Duration::from_secs(60 * 60);

/// How many sessions have begun, so that the measured connect has a hook in it.
static SESSIONS: AtomicU64 = AtomicU64::new(0);

fn describe(options: &Options) -> Result<Gateway, BoxError> {
    let mut builder = realtime::builder()
        .router(
            Router::new()
                .route("echo", echo)
                .route("broadcast", broadcast)
                .route("send", send)
                .route("room", to_room)
                .route("members", members)
                .room("{room}", rooms(options)?),
        )
        .authenticator(FromQuery {
            credentials: Credentials::bearer().from_query("token"),
            token: options.token.clone(),
            ends_in: options.limited.then_some(KEPT),
        })
        .on_connect(|| async {
            SESSIONS.fetch_add(1, Relaxed);
        })
        .on_disconnect(|| async {
            SESSIONS.fetch_sub(1, Relaxed);
        });
    #[cfg(feature = "deflate")]
    if options.deflate {
        builder = builder.compression(realtime::config::Compression::default());
    }
    let namespace = options.namespace.as_deref();
    if let Some(url) = &options.broker {
        builder = builder.broker(connect::broker(&with_namespace(url, namespace))?);
    }
    if let Some(url) = &options.presence {
        builder = builder.presence(connect::presence(&with_namespace(url, namespace))?);
    }
    if options.history.is_some() {
        builder = match options
            .presence
            .as_deref()
            .filter(|url| url.starts_with("redis"))
        {
            Some(url) => builder.history(connect::history(&with_namespace(url, namespace))?),
            None => builder.history(MemoryHistory::new()),
        };
    }
    #[cfg(feature = "traces")]
    if let Some(ratio) = options.traces {
        builder = builder.traces(crate::traced::traces(ratio)?);
    }
    if options.limited {
        let mut limits = Limits::default();
        limits.messages_per_session = Some(Rate::per_second(1_000_000));
        limits.bytes_per_session = Some(Rate::per_second(100_000_000));
        builder = builder.limits(limits);
    }
    if let Some(policy) = options.backpressure {
        builder = builder.backpressure(policy.into());
    }
    if let Some(messages) = options.queue {
        builder = builder.queue_messages(messages);
    }
    if let Some(OrOff(most)) = options.max_connections {
        builder = builder.max_connections(most);
    }
    if let Some(bytes) = options.read_limit {
        builder = builder.read_limit(bytes);
    }
    if let Some(OrOff(seconds)) = options.heartbeat {
        let interval = seconds.map(Duration::try_from_secs_f64).transpose()?;
        builder = builder.heartbeat(interval);
    }
    Ok(builder.build()?)
}

/// Everybody may be in every room: `join`, `leave` and `recover` are the gateway's own routes.
fn rooms(options: &Options) -> Result<RoomRule, BoxError> {
    let rule = match options.no_room_presence {
        true => RoomRule::open(),
        false => RoomRule::open().presence(),
    };
    Ok(match options.history {
        Some(messages) => rule.history(Retention::new(messages, KEPT)?),
        None => rule,
    })
}

fn with_namespace(url: &str, namespace: Option<&str>) -> String {
    let Some(namespace) = namespace else {
        return url.to_owned();
    };
    let separator = if url.contains('?') { '&' } else { '?' };
    let value: String = form_urlencoded::byte_serialize(namespace.as_bytes()).collect();
    format!("{url}{separator}namespace={value}")
}

/// Everybody is who they say they are, once they have shown the token. Not for production.
struct FromQuery {
    credentials: Credentials,
    token: Option<String>,
    ends_in: Option<Duration>,
}

impl Authenticator for FromQuery {
    async fn authenticate(&self, request: &Parts) -> Result<Identity, AuthError> {
        if let Some(expected) = &self.token
            && !self.credentials.require(request)?.matches(expected)
        {
            return Err(AuthError::unauthorized("expected another token"));
        }
        let (mut tenant, mut id) = (None, None);
        let query = request.uri.query().unwrap_or_default();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            match &*name {
                "tenant" => tenant = Some(value),
                "identity" => id = Some(value),
                _ => {}
            }
        }
        let mut identity = id.map_or_else(Identity::anonymous, Identity::new);
        if let Some(left) = self.ends_in {
            identity = identity.with_expires_at(SystemTime::now() + left);
        }
        Ok(match tenant {
            Some(tenant) => identity.with_tenant(tenant),
            None => identity,
        })
    }

    fn credentials(&self) -> Option<&Credentials> {
        Some(&self.credentials)
    }
}

/// The data back to the sender: as a reply where it asked for one.
async fn echo(session: Session, message: Message) -> Result<Option<Payload>, SendError> {
    if message.id().is_some() {
        return Ok(Some(message.data().clone()));
    }
    session.send_wait("echo", message.data()).await?;
    Ok(None)
}

async fn broadcast(gateway: Gateway, data: Payload) -> Result<(), DeliverError> {
    gateway.broadcast("broadcast", data).await?;
    Ok(())
}

#[derive(Deserialize)]
struct Send {
    #[serde(default)]
    tenant: String,
    identity: String,
    data: Box<RawValue>,
}

async fn send(gateway: Gateway, Json(send): Json<Send>) -> Result<(), BoxError> {
    let to = IdentityKey::new(send.identity).with_tenant(send.tenant);
    match gateway.send_to_identity(&to, "send", send.data).await {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == DeliverErrorKind::NotOnline => {
            Err(ClientError::new("not_online", "the identity has no session").into())
        }
        Err(error) => Err(error.into()),
    }
}

#[derive(Deserialize)]
struct Members {
    room: String,
    #[serde(default)]
    after: Option<u64>,
}

/// Who is in a room, whoever asks: a thousand of them, and where the others are.
async fn members(
    gateway: Gateway,
    Json(of): Json<Members>,
) -> Result<Json<serde_json::Value>, BoxError> {
    let page = gateway.room(of.room).members(of.after, 1_000).await?;
    let members = page.members.iter().map(|present| {
        let of = &present.identity;
        json!({"tenant": of.tenant(), "identity": of.id(), "version": present.version})
    });
    let members: Vec<_> = members.collect();
    Ok(Json(
        json!({"count": page.count, "members": members, "after": page.after}),
    ))
}

#[derive(Deserialize)]
struct ToRoom {
    room: String,
    data: Box<RawValue>,
    /// By which a room with a history knows a repetition.
    #[serde(default)]
    key: Option<String>,
}

async fn to_room(gateway: Gateway, Json(to): Json<ToRoom>) -> Result<(), BoxError> {
    let mut room = gateway.room(to.room);
    if let Some(key) = to.key {
        let key = key.parse().map_err(|error: InvalidIdempotencyKey| {
            ClientError::new("bad_data", error.to_string())
        })?;
        room = room.idempotency_key(key);
    }
    room.send("room", to.data).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_namespace_goes_into_the_url() {
        assert_eq!(with_namespace("local:", None), "local:");
        assert_eq!(
            with_namespace("local:", Some("a b")),
            "local:?namespace=a+b"
        );
        assert_eq!(
            with_namespace("redis://h/?x=1", Some("n")),
            "redis://h/?x=1&namespace=n"
        );
    }
}
