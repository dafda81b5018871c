//! Every setting of a gateway, with its default and its limits.

#[cfg(feature = "deflate")]
mod compression;
mod duration;
mod limits;
mod memory;
mod off;
mod policies;
mod ranges;

use std::time::Duration;

use realtime_core::NodeId;
use serde::{Deserialize, Serialize};

#[cfg(feature = "deflate")]
pub use compression::{Compression, CompressionLevel};
pub use limits::{ConnectionPolicy, Limits, Rate};
pub use policies::{Backpressure, PresenceDown, RevocationsDown};

/// The settings of a gateway. All have safe defaults.
///
/// It can be read from a file: durations are written as `"30s"`, `"1m 30s"` or a number of
/// seconds; a field that is left out keeps its default.
///
/// What may be switched off is an `Option`. Off is `None` in code, and `"off"` or null in a file.
/// The two limits that programs compute, `max_connections` and that of
/// [`TimeoutLayer`](crate::middleware::TimeoutLayer), also accept 0 for it. Everywhere else 0 is
/// refused, since it is more often a mistake than a wish, and the error says what to write.
///
/// Durations are between 1 ms and a year, `heartbeat` at least 10 ms and `presence_ttl` at least
/// 100 ms. Sizes and counts are at least 1, the two budgets at least 1,024.
///
/// ```
/// use std::time::Duration;
/// use realtime::{Backpressure, Config};
///
/// let mut config = Config::default();
/// config.heartbeat = Some(Duration::from_secs(15));
/// config.backpressure = Backpressure::DropOldest;
/// let gateway = realtime::builder().config(config).build()?;
///
/// let read: Config = serde_json::from_str(r#"{"heartbeat": "15s", "pong_timeout": "off"}"#)?;
/// assert_eq!((read.heartbeat, read.pong_timeout), (Some(Duration::from_secs(15)), None));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Config {
    /// What this gateway is called where a process has several: the label `gateway` of its metrics.
    /// Between 1 and 64 letters, digits, `-`, `_` and `.`. Default `main`.
    pub name: String,
    /// How often a session is pinged: the first time at random between half of it and the whole,
    /// then within a tenth of it. `None`: never. Default 30 s.
    #[serde(with = "duration")]
    pub heartbeat: Option<Duration>,
    /// How long after a ping has left the peer may send nothing at all before the session is closed
    /// with 3012. Behind a large message, which the peer has to read first, it is a second more for
    /// each 16 KB. `None`: for ever. Default 10 s; another time without a
    /// [`heartbeat`](Self::heartbeat) is refused.
    #[serde(with = "duration")]
    pub pong_timeout: Option<Duration>,
    /// How long a peer may accept no byte of what waits for it. `None`: for ever, but for a session
    /// that is closing, whose peer has 10 s. Default 10 s.
    #[serde(with = "duration")]
    pub write_timeout: Option<Duration>,
    /// The largest message that a peer may send, in bytes, its fragments together. Default 1 MiB; at
    /// most [`assembly_budget`](Self::assembly_budget) where both are set. Where that is not, it may
    /// be less in a small container, and a message that it has no room for is closed with 1009, too.
    pub read_limit: usize,
    /// How fast an unfinished message must come, in bytes per second on average, once its first
    /// 30 s are over: a peer may be slow, but not hold memory for ever. `None`: as slowly as it
    /// likes. Default 1,024.
    #[serde(with = "off")]
    pub min_message_rate: Option<u32>,
    /// How many messages may wait for a peer that reads slowly. Default 256.
    pub queue_messages: usize,
    /// How many bytes may wait for a peer that reads slowly. An empty queue accepts one larger
    /// message. Default 1 MiB; at most [`queue_budget`](Self::queue_budget) where both are set.
    pub queue_bytes: usize,
    /// What happens when more would have to wait. Default: close.
    pub backpressure: Backpressure,
    /// Whether a client whose data doesn't fit its route learns from `bad_data` why, in the words of
    /// serde: "missing field `name` at line 1 column 2". For development: the words name the server's
    /// types and fields, and may quote the data, so that logs of clients have it, too. Default: no.
    /// The error hooks hear them in any case.
    pub decode_details: bool,
    /// For how long a node that [drains](crate::Gateway::drain) keeps its sessions, and says only that
    /// it isn't [ready](crate::Readyz) and refuses those who connect: until balancers have noticed,
    /// which is how often they ask times how many answers they need. `None`: no longer than it takes.
    /// Default: none.
    #[serde(with = "duration")]
    pub drain_notice: Option<Duration>,
    /// How long after that a node that `serve` drains takes to close its sessions, evenly, so that
    /// they don't all come back at once. A node with few sessions is faster: 100 a second are no
    /// storm. `None`: all at once. Default 5 s.
    #[serde(with = "duration")]
    pub drain_over: Option<Duration>,
    /// How long [`shutdown`](crate::Gateway::shutdown) may take. After a
    /// [drain](crate::Gateway::drain) it counts from when the last session was closed: whoever kills
    /// the process must have waited for `drain_notice`, `drain_over` and this. `None`: for ever.
    /// Default 10 s.
    #[serde(with = "duration")]
    pub shutdown_timeout: Option<Duration>,
    /// How long the authenticator may take. `None`: for ever, though for a token in a message, the
    /// [first](Self::token_in_message) or a later one, no longer than 30 s. Default 5 s.
    #[serde(with = "duration")]
    pub auth_timeout: Option<Duration>,
    /// How long a client that connects without any credential has to show a token in its first
    /// message, `{"route": "authenticate", "data": {"token": "…"}}`: for clients that can show it
    /// nowhere else. `None`: such a request is for the authenticator, which most likely refuses it.
    /// Default: none; 15 s is a good value.
    ///
    /// Such a request is answered with 101 and not shown to the authenticator, which must have
    /// [`credentials`](realtime_core::auth::Authenticator::credentials), by which it is known that
    /// there are none, and [accept tokens](realtime_core::auth::Authenticator::accepts_tokens).
    /// Until the token is found to be right there is no session: the connection is in no list, no
    /// hook runs for it, it counts as authenticating ([`max_authenticating`](Self::max_authenticating)),
    /// and nothing that it sends but pings is answered. Any other message, one of more than 16 KiB
    /// and the end of this time close it with 3502, a token that isn't right with 3500.
    ///
    /// Anybody can hold a place among those that are authenticating for so long, of which at most
    /// half are for this, and of what is left of [`max_connections`](Self::max_connections); and a
    /// token in a message is one that no proxy has looked at. So it is off where nobody needs it.
    #[serde(with = "duration")]
    pub token_in_message: Option<Duration>,
    /// Whether those who are refused for who they are, or for how many there are, are answered with
    /// 101 and then a close frame in place of a status. A page sees nothing of a status but 1006,
    /// and can't know whether to come back; the close code tells it. Default: no.
    ///
    /// 3500: the credentials are wrong or revoked; 3005: they have ended; 3504: the identity has as
    /// many connections as it may; 3013: what was shown at its address was wrong too often; 1013: the
    /// server or the address has as many connections as it may, or it can't be found out now whose
    /// the credentials are; 1001: the server shuts down; 1011: the authenticator failed.
    /// What isn't a WebSocket handshake, and a page of an origin that may not connect, get their
    /// status as ever.
    ///
    /// It has a cost: who is refused takes an upgrade, a socket and a task for 3 s at the most, and
    /// load balancers and their logs see 101 where they saw 401 or 503. At most 1,000 are closed so
    /// at the same time, and 16 of one address (IPv6 by its first 64 bits, and 64 by its first 48);
    /// the rest get the status.
    pub accept_then_close: bool,
    /// How long before [what it has shown](realtime_core::Identity::expires_at) ends a client is
    /// told; where it shows something that holds for less than twice as long, half way. `None`: when
    /// it has ended. Default 30 s.
    #[serde(with = "duration")]
    pub expiry_notice: Option<Duration>,
    /// How long a client whose identity has ended has to show a fresh token, before it is closed
    /// with 3005. What ended less than this ago is accepted when it is shown, and a session that
    /// begins with it has this long. `None`: no longer than it takes to notice. Default 25 s.
    #[serde(with = "duration")]
    pub expiry_grace: Option<Duration>,
    /// How long a token lives at the most: for so long a
    /// [revocation](crate::Gateway::revoke) is remembered, and 10 minutes more, which is the longest
    /// leeway of those who believe tokens. One that lives longer is believed again after it. Default
    /// a day.
    #[serde(with = "duration::required")]
    pub longest_token: Duration,
    /// What becomes of those who connect, or show a fresh token, while it can't be found out whether
    /// that was revoked. Default: they are refused, and may come again.
    pub revocations_down: RevocationsDown,
    /// How long a hook may take. `None`: for ever. Default 5 s.
    #[serde(with = "duration")]
    pub hook_timeout: Option<Duration>,
    /// How many sessions may be open at once, those that are authenticating among them. `None` or
    /// 0: any number. Default 10,000.
    ///
    /// A session counts until its connection is gone and it has left the gateway. A handler that
    /// runs on after that, as every handler does to its end, and the `on_disconnect` hooks behind
    /// it keep nobody from connecting: there may be as many of them again
    /// ([`Stats::outlived`](crate::Stats::outlived)). Past that, each keeps its session's place, so
    /// no client can start handlers without end by leaving and coming again.
    #[serde(with = "off")]
    pub max_connections: Option<usize>,
    /// How many requests may be authenticating at once, those among them that are to show a token in
    /// their [first message](Self::token_in_message), which are at most half of them. Default 1,000.
    pub max_authenticating: usize,
    /// How many rooms a session may be in. Default 128; at most [`max_rooms`](Self::max_rooms) where
    /// both are set.
    pub max_rooms_per_session: usize,
    /// How many rooms may have members on this node. Default 1,000,000. Where that is less than the
    /// default of [`max_rooms_per_session`](Self::max_rooms_per_session), it holds for each session.
    pub max_rooms: usize,
    /// How many requests of a session may wait for answers that come later than their handlers
    /// return: by a [`Replier`](crate::extract::Replier). Past it they are refused with
    /// `too_many_requests`. Default 64.
    pub max_repliers_per_session: usize,
    /// How long such a request may wait for its answer, from when its handler has returned. Then the
    /// client is answered with `timeout`, and the replier with
    /// [`Answered`](crate::SendErrorKind::Answered); its place is taken until it is dropped. `None`:
    /// for as long as its session lives. Default 5 min.
    #[serde(with = "duration")]
    pub replier_timeout: Option<Duration>,
    /// The lease of a session in presence. Default 90 s.
    ///
    /// `None`: no lease. In a store that outlives the node, such as Redis, sessions of a node that
    /// crashed then stay online for ever, and messages to them are said to be delivered for as long
    /// as a node of that name lives: building the gateway warns of it. Who leaves while the store is
    /// away is removed for up to an hour after it.
    #[serde(with = "duration")]
    pub presence_ttl: Option<Duration>,
    /// For how long somebody whose last session has ended is still said to be in their rooms, and
    /// online: a page that is loaded again is no news. Default 5 s. A node that crashes is noticed
    /// when its [`presence_ttl`](Self::presence_ttl) ends, without another grace.
    ///
    /// `None`: they have left at once.
    #[serde(with = "duration")]
    pub presence_grace: Option<Duration>,
    /// Whether it is kept who of each tenant is online: for
    /// [`Audience::members`](crate::Audience::members) of a tenant, and for
    /// [`on_presence`](crate::Builder::on_presence). Default: no.
    pub tenant_presence: bool,
    /// Whether a session is refused when it can't be registered in presence. Otherwise it is
    /// registered when presence is back. Default: no.
    pub require_presence: bool,
    /// What a message to one identity does when presence can't say where it is online. Default:
    /// fail.
    pub presence_down: PresenceDown,
    /// How many bytes may wait in the queues of all sessions together; past it the fullest
    /// session is closed. Default: 512 MiB, or a quarter of the memory that the process may have
    /// where its cgroup (a container) limits that and a quarter is less. One that is less than the
    /// default of [`queue_bytes`](Self::queue_bytes) holds for each session.
    pub queue_budget: usize,
    /// How many bytes of messages all sessions may hold together, unfinished or waiting for their
    /// handlers; past it the session that holds most is closed. Default: as of
    /// [`queue_budget`](Self::queue_budget). One that is less than the default of
    /// [`read_limit`](Self::read_limit) holds for each message.
    pub assembly_budget: usize,
    /// This node's name, unique in its cluster. Default: random.
    pub node_id: Option<NodeId>,
    /// Which other origins' pages may connect: hosts (`app.example.com`, `*.example.com`) or full
    /// origins (`https://app.example.com:8443`). Pages of the same origin always may. Default:
    /// none.
    pub origin_patterns: Vec<String>,
    /// Lets pages of every origin connect, and goes without `origin_patterns`. For development.
    /// Default: no.
    pub insecure_origins: bool,
    /// The addresses and networks (`10.0.0.0/8`) of proxies in front of this server. From them,
    /// and from nobody else, `X-Forwarded-For` is believed, so that
    /// [`Session::remote_addr`](crate::Session::remote_addr) is the client's address. A proxy
    /// must append to the header or replace it. A network is written without host bits; IPv4 may
    /// be written as IPv6. Default: none.
    pub trusted_proxies: Vec<String>,
    /// How much clients may send, how many of them there may be of each sort, and how often they
    /// may try. Default: all off.
    pub limits: Limits,
    /// How messages are compressed (`permessage-deflate`) for clients that ask for it, as browsers
    /// do. `None`: never. Default: none.
    #[cfg(feature = "deflate")]
    #[cfg_attr(docsrs, doc(cfg(feature = "deflate")))]
    #[serde(with = "compression::or_off")]
    pub compression: Option<Compression>,
}

/// A node that lost the broker may take this much longer than another to be back.
pub(crate) const RECONNECTING: Duration = Duration::from_secs(5);

impl Default for Config {
    fn default() -> Self {
        Self {
            name: "main".to_owned(),
            heartbeat: Some(Duration::from_secs(30)),
            pong_timeout: Some(Duration::from_secs(10)),
            write_timeout: Some(Duration::from_secs(10)),
            read_limit: 1 << 20,
            min_message_rate: Some(1_024),
            queue_messages: 256,
            queue_bytes: 1 << 20,
            backpressure: Backpressure::default(),
            decode_details: false,
            drain_notice: None,
            drain_over: Some(Duration::from_secs(5)),
            shutdown_timeout: Some(Duration::from_secs(10)),
            auth_timeout: Some(Duration::from_secs(5)),
            token_in_message: None,
            accept_then_close: false,
            expiry_notice: Some(Duration::from_secs(30)),
            expiry_grace: Some(Duration::from_secs(25)),
            longest_token: Duration::from_secs(24 * 60 * 60),
            revocations_down: RevocationsDown::default(),
            hook_timeout: Some(Duration::from_secs(5)),
            max_connections: Some(10_000),
            max_authenticating: 1_000,
            max_rooms_per_session: 128,
            max_rooms: 1_000_000,
            max_repliers_per_session: 64,
            replier_timeout: Some(Duration::from_secs(5 * 60)),
            presence_ttl: Some(Duration::from_secs(90)),
            presence_grace: Some(Duration::from_secs(5)),
            tenant_presence: false,
            require_presence: false,
            presence_down: PresenceDown::default(),
            queue_budget: memory::default_budget(),
            assembly_budget: memory::default_budget(),
            node_id: None,
            origin_patterns: Vec::new(),
            insecure_origins: false,
            trusted_proxies: Vec::new(),
            limits: Limits::default(),
            #[cfg(feature = "deflate")]
            compression: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_the_documented_ones_and_valid() {
        let config = Config::default();
        config.validate().unwrap();
        assert_eq!(config.heartbeat, Some(Duration::from_secs(30)));
        assert_eq!(config.pong_timeout, Some(Duration::from_secs(10)));
        assert_eq!(config.write_timeout, Some(Duration::from_secs(10)));
        assert_eq!((config.read_limit, config.queue_messages), (1 << 20, 256));
        assert_eq!(config.drain_notice, None);
        assert_eq!(config.drain_over, Some(Duration::from_secs(5)));
        assert_eq!(config.shutdown_timeout, Some(Duration::from_secs(10)));
        assert_eq!(config.auth_timeout, Some(Duration::from_secs(5)));
        assert_eq!(config.max_connections, Some(10_000));
        assert_eq!(config.presence_ttl, Some(Duration::from_secs(90)));
    }

    #[test]
    fn it_is_read_from_a_file_with_defaults_for_the_rest() {
        let json = r#"{"read_limit": 4096, "backpressure": "drop-oldest", "heartbeat": null}"#;
        let config: Config = serde_json::from_str(json).unwrap();
        assert_eq!(config.read_limit, 4096);
        assert_eq!(config.backpressure, Backpressure::DropOldest);
        assert_eq!(config.heartbeat, None);
        assert_eq!(config.pong_timeout, Config::default().pong_timeout);
        assert!(serde_json::from_str::<Config>(r#"{"read_limi": 1}"#).is_err());
    }

    #[test]
    fn a_count_is_switched_off_with_the_same_word() {
        for written in ["\"off\"", "null"] {
            let json = format!(r#"{{"min_message_rate": {written}}}"#);
            let config: Config = serde_json::from_str(&json).unwrap();
            assert_eq!(config.min_message_rate, None);
            let json = serde_json::to_string(&config).unwrap();
            assert_eq!(serde_json::from_str::<Config>(&json).unwrap(), config);
        }
        let most = |written: &str| {
            let json = format!(r#"{{"max_connections": {written}}}"#);
            serde_json::from_str::<Config>(&json).map(|config| config.max_connections)
        };
        let rows = [
            ("7", Some(7)),
            ("0", Some(0)),
            ("\"off\"", None),
            ("null", None),
        ];
        for (written, expected) in rows {
            assert_eq!(most(written).unwrap(), expected, "{written}");
        }
        for written in ["\"7\"", "\"Off\"", "-1", "1.5", "true"] {
            let error = most(written).unwrap_err().to_string();
            assert!(error.starts_with("expected a count"), "{error}");
        }
        let config = Config {
            max_connections: None,
            ..Config::default()
        };
        let json = serde_json::to_string(&config).unwrap();
        assert!(json.contains(r#""max_connections":"off""#), "{json}");
        assert_eq!(serde_json::from_str::<Config>(&json).unwrap(), config);
    }

    #[test]
    fn durations_are_written_as_people_write_them() {
        let heartbeat = |written: &str| {
            let json = format!(r#"{{"heartbeat": {written}}}"#);
            serde_json::from_str::<Config>(&json).map(|config| config.heartbeat)
        };
        let rows = [
            ("\"30s\"", Some(30_000)),
            ("\"1m 30s\"", Some(90_000)),
            ("\"500ms\"", Some(500)),
            ("15", Some(15_000)),
            ("0.5", Some(500)),
            ("\"off\"", None),
            ("null", None),
        ];
        for (written, ms) in rows {
            let expected = ms.map(Duration::from_millis);
            assert_eq!(heartbeat(written).unwrap(), expected, "{written}");
        }
        for written in ["\"soon\"", "-1", "true", "\"-5s\"", "1e300"] {
            assert!(heartbeat(written).is_err(), "{written}");
        }
        let config = Config {
            auth_timeout: None,
            ..Config::default()
        };
        let json = serde_json::to_string(&config).unwrap();
        assert_eq!(serde_json::from_str::<Config>(&json).unwrap(), config);
    }
}
