//! Nodes whose clients are who a JWT says that they are, and the one who signs it.

use std::{
    fmt,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit, Mac};
use realtime::{
    Builder, Json, Router, Session,
    auth::jwt::{Jwks, Jwt, Key, Keys},
    connect,
};
use realtime_testkit::{
    client::{Client, Request},
    servers::Redis,
    wait::until,
};
use serde_json::{Value, json};
use sha2::Sha256;

use crate::{
    killed::LEASE,
    nodes::{Node, key},
};

pub(crate) const SECOND: Duration = Duration::from_secs(1);
/// How long a token lives, where its end is what is tested.
pub(crate) const BRIEF: Duration = Duration::from_secs(2);
/// For how long after it a client is waited for: longer than the store is away, on a busy machine.
pub(crate) const GRACE: Duration = Duration::from_secs(4);
/// The last word of what such a process is told.
pub(crate) const VICTIM: &str = "jwt";
const HOUR: Duration = Duration::from_secs(3600);
const SECRET: &[u8] = b"a secret of these tests, which everybody knows";
const ISSUER: &str = "the login";
const AUDIENCE: &str = "the cluster";

/// A JWT, to be signed: that of a tenant's user, for an hour.
#[derive(Clone)]
pub(crate) struct Access {
    user: &'static str,
    tenant: &'static str,
    role: &'static str,
    id: &'static str,
    life: Duration,
    issued: SystemTime,
}

impl Access {
    pub(crate) fn of(user: &'static str, id: &'static str) -> Self {
        Self {
            user,
            tenant: "t",
            role: "guest",
            id,
            life: HOUR,
            issued: SystemTime::now(),
        }
    }

    pub(crate) fn role(mut self, role: &'static str) -> Self {
        self.role = role;
        self
    }

    pub(crate) fn tenant(mut self, tenant: &'static str) -> Self {
        self.tenant = tenant;
        self
    }

    pub(crate) fn issued(mut self, ago: Duration) -> Self {
        self.issued -= ago;
        self
    }

    pub(crate) fn brief(mut self) -> Self {
        self.life = BRIEF;
        self
    }

    /// It ended a while ago.
    pub(crate) fn ended(self) -> Self {
        self.issued(2 * HOUR)
    }

    /// Signed with this algorithm, by what signs.
    pub(crate) fn signed(&self, header: &Value, sign: impl FnOnce(&[u8]) -> Vec<u8>) -> String {
        let issued = self.issued.duration_since(UNIX_EPOCH).unwrap();
        let claims = json!({
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": self.user,
            "tenant": self.tenant,
            "roles": self.role,
            "jti": self.id,
            "iat": issued.as_secs_f64(),
            "exp": (issued + self.life).as_secs_f64(),
        });
        let signed = format!(
            "{}.{}",
            encoded(header.to_string()),
            encoded(claims.to_string())
        );
        let signature = encoded(sign(signed.as_bytes()));
        format!("{signed}.{signature}")
    }
}

impl fmt::Display for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let by_secret = |signed: &[u8]| {
            let mac = Hmac::<Sha256>::new_from_slice(SECRET).unwrap();
            mac.chain_update(signed).finalize().into_bytes().to_vec()
        };
        let header = json!({"alg": "HS256", "typ": "JWT"});
        f.write_str(&self.signed(&header, by_secret))
    }
}

pub(crate) fn encoded(bytes: impl AsRef<[u8]>) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

/// What the nodes share: a broker, a presence store, and a store of revocations.
#[derive(Clone)]
pub(crate) struct Stores {
    pub(crate) broker: String,
    pub(crate) presence: String,
    pub(crate) revocations: String,
}

impl Stores {
    /// All in one.
    pub(crate) fn all(redis: &Redis) -> Self {
        Self {
            broker: redis.url(),
            presence: redis.url(),
            revocations: redis.url(),
        }
    }

    pub(crate) async fn node(&self, with: impl FnOnce(Builder) -> Builder) -> Node {
        self.node_by(Key::hmac(SECRET).unwrap(), with).await
    }

    /// One that believes what these keys have signed.
    pub(crate) async fn node_by(
        &self,
        keys: impl Into<Keys>,
        with: impl FnOnce(Builder) -> Builder,
    ) -> Node {
        let jwt = Jwt::builder(keys)
            .issuer(ISSUER)
            .audience(AUDIENCE)
            .tenant_claim("tenant")
            .roles_claim("roles")
            .leeway(Duration::ZERO)
            .from_query("token")
            .build()
            .unwrap();
        let who = async |session: Session| {
            let identity = session.identity();
            Json(json!([identity.id(), identity.roles()]))
        };
        Node::start(&self.broker, &self.presence, |builder| {
            let builder = builder
                .authenticator(jwt)
                .router(Router::new().route("who", who))
                .revocations(connect::revocations(&self.revocations).unwrap())
                .presence_ttl(Some(LEASE))
                .expiry_notice(Some(SECOND))
                .expiry_grace(Some(GRACE));
            with(builder)
        })
        .await
    }

    /// What a process is told that is to be a node of these.
    pub(crate) fn of_a_victim(&self) -> String {
        let Self {
            broker,
            presence,
            revocations,
        } = self;
        format!("{broker} {presence} {revocations} {VICTIM}")
    }

    /// The same of one whose keys are those of an issuer.
    pub(crate) fn of_a_victim_with_keys_at(&self, url: &str) -> String {
        format!("{} {url}", self.of_a_victim())
    }
}

/// Those of an issuer, as somebody takes them who doesn't wait long.
pub(crate) fn keys_at(url: &str) -> Jwks {
    Jwks::from_url(url)
        .unwrap()
        .refresh_after(SECOND / 2)
        .unknown_kid_interval(SECOND / 10)
}

/// The node in another process: it takes tokens in the request and in the first message.
pub(crate) async fn victim(urls: [&str; 3], issuer: Option<&str>) -> Node {
    let [broker, presence, revocations] = urls.map(str::to_owned);
    let stores = Stores {
        broker,
        presence,
        revocations,
    };
    let at_the_door = |builder: Builder| builder.token_in_message(Some(30 * SECOND));
    match issuer {
        None => stores.node(at_the_door).await,
        Some(url) => stores.node_by(keys_at(url), at_the_door).await,
    }
}

/// A request that shows this.
pub(crate) fn with(token: &impl fmt::Display) -> Request {
    Request::new(format!("/ws?token={token}"))
}

/// Somebody who is let in.
pub(crate) async fn join(node: &Node, token: &impl fmt::Display) -> Client {
    let mut client = with(token).connect(node.addr).await.unwrap();
    who(&mut client).await;
    client
}

pub(crate) async fn is_refused(node: &Node, token: &impl fmt::Display, status: u16) {
    assert_eq!(with(token).refused(node.addr).await.status, status);
}

pub(crate) async fn who(client: &mut Client) -> Value {
    client.request("who", Value::Null).await.unwrap()["data"].clone()
}

/// Shows a token on the connection, and returns the answer.
pub(crate) async fn show(client: &mut Client, token: &impl fmt::Display) -> Value {
    let data = json!({"token": token.to_string()});
    client.request("authenticate", data).await.unwrap()
}

/// Everybody knows everybody, and as many sessions of bob's are known.
pub(crate) async fn until_known(nodes: &[&Node], sessions: usize, all: usize) {
    for node in nodes {
        until("all are known", async || {
            let of_bob = node.gateway.sessions_of(&key("bob")).await;
            let known = of_bob.map_or(0, |sessions| sessions.len());
            known == sessions && node.gateway.nodes().len() == all
        })
        .await;
    }
}
