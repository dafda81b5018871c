//! What happens while something else is under way.

use std::{
    sync::{Arc, atomic::AtomicBool, atomic::Ordering::SeqCst},
    time::{Instant, SystemTime},
};

use realtime::{
    ClientError, Identity, IdentityUpdate, Router, Session,
    error::ControlErrorKind,
    revocation::{Page, Revocation, RevocationError, Revocations},
    room::RoomRule,
};
use realtime_testkit::{client::Client, memory::Connect, wait::until};
use serde_json::json;
use tokio::sync::{Notify, Semaphore};

use super::{
    MS, SECOND, builder, close, roles, show,
    support::Server,
    tokens::{Token, Tokens},
    with,
};

/// A store that answers when it may, and remembers nothing.
#[derive(Clone)]
struct Slow {
    asked: Arc<Notify>,
    may: Arc<Semaphore>,
    keeps: bool,
}

impl Slow {
    fn new(keeps: bool) -> Self {
        Self {
            asked: Arc::new(Notify::new()),
            may: Arc::new(Semaphore::new(0)),
            keeps,
        }
    }
}

impl Revocations for Slow {
    async fn revoke(&self, _: &Revocation, _: SystemTime) -> Result<(), RevocationError> {
        if self.keeps {
            return Ok(());
        }
        std::future::pending().await
    }

    async fn is_revoked(&self, _: &Identity) -> Result<bool, RevocationError> {
        self.asked.notify_one();
        self.may.acquire().await.unwrap().forget();
        Ok(false)
    }

    async fn since(&self, after: u64) -> Result<Page, RevocationError> {
        Ok(Page::new(Vec::new(), after, false))
    }

    fn is_shared(&self) -> bool {
        true
    }
}

#[tokio::test]
async fn a_token_that_is_revoked_while_it_is_shown_is_found() {
    let store = Slow::new(true);
    let builder = builder(&Tokens::default()).revocations(store.clone());
    let server = Server::start(builder.build().unwrap()).await;
    store.may.add_permits(1);
    let mut client = with(&server, &Token::of("ann").id("one")).await;
    store.asked.notified().await;
    let data = json!({"token": Token::of("ann").id("two").to_string()});
    client.send("authenticate", data).await.unwrap();
    store.asked.notified().await;
    let receipt = server.gateway.revoke(Revocation::token("two")).await;
    assert_eq!(
        receipt.unwrap().sessions,
        0,
        "it has shown another one until now"
    );
    store.may.add_permits(1);
    assert_eq!(close(&mut client).await, (3500, "revoked".to_owned()));
}

#[tokio::test]
async fn nobody_stays_for_as_long_as_a_store_hangs() {
    let store = Slow::new(false);
    store.may.add_permits(100);
    let builder = builder(&Tokens::default()).revocations(store);
    let server = Server::start(builder.build().unwrap()).await;
    let mut client = with(&server, &Token::of("ann").id("one")).await;
    let (gateway, begun) = (server.gateway.clone(), Instant::now());
    let revoking = tokio::spawn(async move { gateway.revoke(Revocation::token("one")).await });
    assert_eq!(close(&mut client).await.0, 3500);
    assert!(begun.elapsed() < SECOND);
    let error = revoking.await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ControlErrorKind::NotRemembered);
}

/// Whose rule waits while it is closed, and then says what it found when it was asked.
struct Gate {
    is_closed: Arc<AtomicBool>,
    asked: Arc<Notify>,
    opens: Arc<Notify>,
}

async fn behind_a_gate() -> (Server, Client, Gate) {
    let gate = Gate {
        is_closed: Arc::default(),
        asked: Arc::default(),
        opens: Arc::default(),
    };
    let (is_closed, asked, opens) = (
        Arc::clone(&gate.is_closed),
        Arc::clone(&gate.asked),
        Arc::clone(&gate.opens),
    );
    let rule = move |session: Session| {
        let is_staff = session.identity().has_role("staff");
        let (is_closed, asked, opens) = (is_closed.clone(), asked.clone(), opens.clone());
        async move {
            asked.notify_one();
            if is_closed.load(SeqCst) {
                opens.notified().await;
            }
            match is_staff {
                true => Ok(()),
                false => Err(ClientError::new("forbidden", "for staff")),
            }
        }
    };
    let rooms = async |session: Session| realtime::Json(session.rooms().len());
    let router = Router::new()
        .route("who", async |session: Session| {
            realtime::Json(json!({"roles": session.identity().roles()}))
        })
        .route("count", rooms)
        .room("staff", RoomRule::allow(rule));
    let builder = builder(&Tokens::default()).router(router);
    let server = Server::start(builder.build().unwrap()).await;
    let client = with(&server, &Token::of("ann").roles("staff")).await;
    (server, client, gate)
}

fn demoted() -> IdentityUpdate {
    IdentityUpdate::new().with_roles(["member"])
}

#[tokio::test]
async fn a_change_that_nobody_waits_for_any_more_still_asks_the_rules() {
    let (server, mut client, gate) = behind_a_gate().await;
    client
        .request("join", json!({"room": "staff"}))
        .await
        .unwrap();
    gate.asked.notified().await;
    gate.is_closed.store(true, SeqCst);
    let everybody = server.gateway.everybody().within(50 * MS);
    let receipt = everybody.update_identity(demoted()).await.unwrap();
    assert!(
        !receipt.is_complete(),
        "the rule takes its time: {receipt:?}"
    );
    assert_eq!(roles(&mut client).await, json!(["member"]));
    gate.is_closed.store(false, SeqCst);
    gate.opens.notify_waiters();
    let told = client.recv_json().await.unwrap();
    assert_eq!(told, json!({"route": "removed", "data": {"room": "staff"}}));
}

#[tokio::test]
async fn who_changes_while_it_joins_is_asked_about_once_more() {
    let (server, mut client, gate) = behind_a_gate().await;
    gate.is_closed.store(true, SeqCst);
    let join = json!({"id": 1, "route": "join", "data": {"room": "staff"}});
    client.send_text(&join.to_string()).await.unwrap();
    gate.asked.notified().await;
    let everybody = server.gateway.everybody();
    assert!(
        everybody
            .update_identity(demoted())
            .await
            .unwrap()
            .is_complete()
    );
    gate.is_closed.store(false, SeqCst);
    gate.opens.notify_waiters();
    assert_eq!(client.recv_json().await.unwrap()["route"], "join");
    let told = client.recv_json().await.unwrap();
    assert_eq!(told, json!({"route": "removed", "data": {"room": "staff"}}));
    let count = client.request("count", json!(null)).await.unwrap();
    assert_eq!(count["data"], 0);
}

#[tokio::test]
async fn an_older_token_does_not_undo_a_change() {
    let server = Server::start(builder(&Tokens::default()).build().unwrap()).await;
    let admin = Token::of("ann").roles("admin").issued(SECOND);
    let mut client = with(&server, &admin).await;
    let everybody = server.gateway.everybody();
    everybody.update_identity(demoted()).await.unwrap();
    show(&mut client, &admin).await;
    assert_eq!(roles(&mut client).await, json!(["member"]));
    let later = async || {
        show(&mut client, &Token::of("ann").roles("admin")).await;
        roles(&mut client).await == json!(["admin"])
    };
    until("one that was issued later counts", later).await;
}

#[tokio::test]
async fn a_token_in_time_is_not_too_late_behind_a_handler_that_takes_its_time() {
    let slow = async || tokio::time::sleep(1_600 * MS).await;
    let who = async || realtime::Json("who");
    let router = Router::new().route("slow", slow).route("who", who);
    let builder = builder(&Tokens::default())
        .router(router)
        .heartbeat(Some(SECOND))
        .expiry_notice(Some(300 * MS))
        .expiry_grace(Some(700 * MS));
    let server = Server::start(builder.build().unwrap()).await;
    let mut client = with(&server, &Token::of("ann").ends_in(600 * MS)).await;
    client.send("slow", json!(null)).await.unwrap();
    let fresh = Token::of("ann").ends_in(60 * SECOND);
    let answer = show(&mut client, &fresh).await;
    assert!(answer["data"]["seconds"].as_u64().unwrap() > 50, "{answer}");
    // One that shows nothing is closed, however long its handlers take.
    let mut client = with(&server, &Token::of("ann").ends_in(600 * MS)).await;
    let begun = Instant::now();
    for _ in 0..10 {
        client.send("slow", json!(null)).await.unwrap();
    }
    assert_eq!(close(&mut client).await.0, 3005);
    assert!(begun.elapsed() < 6 * SECOND, "{:?}", begun.elapsed());
}

#[tokio::test]
async fn a_rule_that_changes_whom_it_is_asked_about_comes_to_an_end() {
    let asked = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let counted = Arc::clone(&asked);
    let rule = move |session: Session, gateway: realtime::Gateway| {
        let counted = Arc::clone(&counted);
        async move {
            let n = counted.fetch_add(1, SeqCst);
            let roles = ["staff".to_owned(), format!("r{}", n.min(2))];
            let update = IdentityUpdate::new().with_roles(roles);
            let this = gateway.session(session.id());
            let _receipt = this.update_identity(update).await;
        }
    };
    let router = Router::new().room("any", RoomRule::allow(rule));
    let builder = crate::support::builder().authenticator(Tokens::default());
    let server = Server::start(builder.router(router).build().unwrap()).await;
    let request = realtime_testkit::client::Request::new(format!("/ws?{}", Token::of("ann")));
    let mut client = request.connect(server.addr).await.unwrap();
    let joined = client
        .request("join", json!({"room": "any"}))
        .await
        .unwrap();
    assert_eq!(joined["route"], "join");
    let mut before = usize::MAX;
    until("nobody is asked any more", async || {
        let now = asked.load(SeqCst);
        tokio::time::sleep(100 * MS).await;
        let is_over = now == before;
        before = now;
        is_over
    })
    .await;
    assert!(before < 10, "{before}");
}

#[tokio::test]
async fn the_client_is_told_the_end_that_holds() {
    let server = Server::start(builder(&Tokens::default()).build().unwrap()).await;
    let token = Token::of("ann").issued(SECOND).ends_in(3_600 * SECOND);
    let mut client = with(&server, &token).await;
    let ends = SystemTime::now() + 60 * SECOND;
    let update = IdentityUpdate::new().with_expires_at(ends);
    let everybody = server.gateway.everybody();
    everybody.update_identity(update).await.unwrap();
    let answer = show(&mut client, &token.ends_in(7_200 * SECOND)).await;
    assert!(answer["data"]["seconds"].as_u64().unwrap() < 61, "{answer}");
}

/// Where the authenticator may take for ever, those who wait for their turn don't, nor does whoever has
/// it.
#[tokio::test(start_paused = true)]
async fn an_authenticator_that_hangs_keeps_nobody_else_waiting_for_ever() {
    let builder = builder(&Tokens::default()).auth_timeout(None);
    let gateway = builder.max_authenticating(1).build().unwrap();
    let (begun, patient) = (tokio::time::Instant::now(), 300 * SECOND);
    let shown = async |name: &str, token: String, after| {
        let connect = Connect::new().deadline(patient);
        let identity = Identity::new(name);
        let mut client = connect.accepted_by(&gateway, identity).await.unwrap();
        tokio::time::sleep(after).await;
        let data = realtime::Json(json!({"token": token}));
        let answer = client.request("authenticate", data).await;
        let code = answer.map_err(|error| error.code().map(str::to_owned));
        (code.map(drop), begun.elapsed().as_secs(), client)
    };
    let right = Token::of("cid").to_string();
    let (ann, bob, cid, late) = tokio::join!(
        shown("ann", "hangs".to_owned(), SECOND),
        shown("bob", "hangs".to_owned(), 2 * SECOND),
        shown("cid", right.clone(), 3 * SECOND),
        shown("cid", right, 35 * SECOND),
    );
    let unavailable = Err(Some("unavailable".to_owned()));
    assert_eq!((ann.0, ann.1), (unavailable.clone(), 31));
    assert_eq!((bob.0, bob.1), (unavailable.clone(), 61));
    assert_eq!((cid.0, cid.1), (unavailable, 33), "bob had the turn");
    assert_eq!((late.0, late.1), (Ok(()), 61));
    assert_eq!(gateway.stats().open, 4, "what they had shown before holds");
    gateway.shutdown_within(SECOND).await;
}
