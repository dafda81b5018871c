//! An issuer that is away while its keys change, on three nodes over Redis: while one of them is
//! killed, and on one that comes later.

use std::{
    fmt,
    sync::{Arc, Mutex},
};

use axum::{Json, routing::get};
use rcgen::{KeyPair, PKCS_ED25519, SigningKey};
use realtime_testkit::{
    proxy::{Fault, Proxy},
    servers::Redis,
    wait::until,
};
use serde_json::{Value, json};
use tokio::{net::TcpListener, task::JoinHandle};

use crate::{
    jwts::{Access, Stores, encoded, is_refused, join, keys_at, show, until_known, who, with},
    killed::Victim,
};

/// One of its keys.
struct Signer {
    kid: &'static str,
    pair: KeyPair,
}

impl Signer {
    fn new(kid: &'static str) -> Self {
        let pair = KeyPair::generate_for(&PKCS_ED25519).unwrap();
        Self { kid, pair }
    }

    fn published(&self) -> Value {
        let x = encoded(self.pair.public_key_raw());
        json!({"kty": "OKP", "crv": "Ed25519", "kid": self.kid, "x": x})
    }

    fn token(&self, role: &'static str) -> impl fmt::Display + use<> {
        let header = json!({"alg": "EdDSA", "typ": "JWT", "kid": self.kid});
        let token = Access::of("bob", "phone").role(role);
        token.signed(&header, |signed| self.pair.sign(signed).unwrap())
    }
}

/// Publishes keys, behind a network that can be cut.
struct Issuer {
    keys: Arc<Mutex<Value>>,
    network: Proxy,
    served: JoinHandle<std::io::Result<()>>,
}

impl Issuer {
    async fn start() -> Self {
        let keys = Arc::new(Mutex::new(Value::Null));
        let published = Arc::clone(&keys);
        let all = async move || Json(published.lock().unwrap().clone());
        let app = axum::Router::new().route("/jwks.json", get(all));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let network = Proxy::start(listener.local_addr().unwrap().port()).await;
        let served = tokio::spawn(axum::serve(listener, app).into_future());
        Self {
            keys,
            network,
            served,
        }
    }

    fn publish(&self, signers: &[&Signer]) {
        let keys: Vec<_> = signers.iter().map(|signer| signer.published()).collect();
        *self.keys.lock().unwrap() = json!({"keys": keys});
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}/jwks.json", self.network.port())
    }
}

impl Drop for Issuer {
    fn drop(&mut self) {
        self.served.abort();
    }
}

pub(crate) async fn keys_change_while_their_issuer_is_away_and_a_node_is_killed() {
    let redis = Redis::start().await.unwrap();
    let (stores, issuer) = (Stores::all(&redis), Issuer::start().await);
    let (old, new) = (Signer::new("old"), Signer::new("new"));
    issuer.publish(&[&old]);
    let node = || stores.node_by(keys_at(&issuer.url()), |builder| builder);
    let (a, c) = (node().await, node().await);
    let (victim, addr) = Victim::with_keys_at(&issuer.url(), &stores);
    let first = old.token("first");
    let mut on_victim = with(&first).connect(addr).await.unwrap();
    let mut clients = [join(&a, &first).await, join(&c, &first).await];
    until_known(&[&a, &c], 3, 3).await;

    // What is known of it holds on, and what isn't is for later.
    issuer.network.set(Fault::Refuse);
    issuer.network.reset();
    issuer.publish(&[&old, &new]);
    drop(victim);
    assert!(on_victim.closed().await.is_none(), "it was cut off");
    let second = new.token("second");
    for node in [&a, &c] {
        join(node, &first).await;
        is_refused(node, &second, 503).await;
    }
    for client in &mut clients {
        let away = show(client, &second).await;
        assert_eq!(away["data"]["code"], "unavailable", "{away}");
        assert_eq!(who(client).await, json!(["bob", ["first"]]));
    }

    // It is back: each node learns of the new key by itself, one that comes now, too.
    issuer.network.set(Fault::None);
    let later = node().await;
    for node in [&a, &c, &later] {
        until("the new key is known", async || {
            with(&second).connect(node.addr).await.is_ok()
        })
        .await;
        join(node, &first).await;
    }
    for client in &mut clients {
        let shown = show(client, &second).await;
        assert_eq!(shown["route"], "authenticate", "{shown}");
    }

    // What is signed with the old key opens nothing any more; who is there stays.
    issuer.publish(&[&new]);
    for node in [&a, &c, &later] {
        until("the old key is forgotten", async || {
            with(&first).connect(node.addr).await.is_err()
        })
        .await;
        is_refused(node, &first, 401).await;
        join(node, &second).await;
    }
    for client in &mut clients {
        assert_eq!(who(client).await, json!(["bob", ["second"]]));
    }
    for node in [a, c, later] {
        node.stop().await;
    }
}
