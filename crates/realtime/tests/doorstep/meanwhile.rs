//! What happens to a connection that is no session while somebody is asked who it is, and to one whose
//! host has said so.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    time::SystemTime,
};

use realtime::{
    Gateway, Identity, Upgrade,
    hooks::{ErrorContext, ErrorStage},
    revocation::{Page, Revocation, RevocationError, RevocationErrorKind, Revocations},
};
use realtime_testkit::{client::Client, memory::Connect, wait::until};
use realtime_websocket::frame;
use tokio::sync::{Notify, Semaphore};

use super::{
    Builder, MS, PATIENT, SECOND, builder, code, end, first_message, nobody, start, text_frame,
    until_nothing_is_left, who,
};

/// A store that says that nothing was revoked once it may, or that it is away.
#[derive(Clone)]
struct Slow {
    asked: Arc<Notify>,
    may: Arc<Semaphore>,
    is_away: Arc<AtomicBool>,
}

impl Slow {
    fn new() -> Self {
        Self {
            asked: Arc::new(Notify::new()),
            may: Arc::new(Semaphore::new(0)),
            is_away: Arc::default(),
        }
    }
}

impl Revocations for Slow {
    async fn revoke(&self, _: &Revocation, _: SystemTime) -> Result<(), RevocationError> {
        Ok(())
    }

    async fn is_revoked(&self, _: &Identity) -> Result<bool, RevocationError> {
        if self.is_away.load(SeqCst) {
            let kind = RevocationErrorKind::Unavailable;
            return Err(RevocationError::new(kind, "on purpose"));
        }
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
async fn what_is_revoked_while_the_store_is_asked_opens_nothing() {
    let store = Slow::new();
    let server = start(builder().revocations(store.clone())).await;
    let mut ann = nobody(&server).await;
    ann.send_text(&first_message("ann")).await.unwrap();
    store.asked.notified().await;
    let receipt = server.gateway.revoke(Revocation::token("ann")).await;
    assert_eq!(receipt.unwrap().sessions, 0, "there is none yet");
    store.may.add_permits(1);
    // Before it is a session, or right after it has become one.
    let shown = realtime_testkit::wait::within("the end", ann.closed()).await;
    assert_eq!(shown, Some((3500, "revoked".to_owned())));
    until_nothing_is_left(&server.gateway).await;
    end(server, ann).await;
}

#[tokio::test]
async fn a_store_that_is_away_is_told_as_such() {
    let store = Slow::new();
    store.is_away.store(true, SeqCst);
    let server = start(builder().revocations(store.clone())).await;
    let mut ann = nobody(&server).await;
    ann.send_text(&first_message("ann")).await.unwrap();
    let (code, reason) = ann.closed().await.unwrap();
    let said: serde_json::Value = serde_json::from_str(&reason).unwrap();
    assert_eq!((code, &said["reason"]), (1013, &"try again later".into()));
    // As `Retry-After` has it, and not all at once.
    let wait = said["retry_after"].as_f64().unwrap();
    assert!((4.0..=5.0).contains(&wait), "{said}");
    ann.close(1013, "").await.unwrap();
    until_nothing_is_left(&server.gateway).await;
    let stats = server.gateway.stats();
    assert_eq!((stats.opened, stats.first_messages_refused), (0, 1));
    end(server, ann).await;
}

/// One that fills what it doesn't read with pongs, and then shows a good token.
#[tokio::test]
async fn the_answer_stands_behind_a_pong_that_was_half_written() {
    let server = start(builder()).await;
    let mut ann = nobody(&server).await;
    let ping = frame::fragment(9, true, &[b'x'; 125], Some([1, 2, 3, 4]));
    // Each is answered, and a pong that waits is replaced by the next one.
    let pings = ping.repeat(40_000);
    let (sent, token) = (pings.len(), text_frame(&first_message("ann")));
    let answered = async {
        ann.send_raw(&pings).await.unwrap();
        ann.send_raw(&token).await.unwrap();
        loop {
            if let realtime_websocket::Event::Text(text) = ann.recv().await.unwrap() {
                break text;
            }
        }
    };
    let answer = tokio::time::timeout(PATIENT, answered).await.unwrap();
    assert!(sent > 5_000_000 && answer.contains("authenticate"));
    assert_eq!(who(&mut ann).await, "ann");
    end(server, ann).await;
}

/// An authenticator without a bound doesn't keep the place of one that may have gone.
#[tokio::test(start_paused = true)]
async fn an_authenticator_that_may_take_for_ever_may_not_for_a_first_message() {
    let gateway = builder().auth_timeout(None).build().unwrap();
    let app = axum::Router::new().route_service("/ws", gateway.clone());
    let codec = realtime::codec::JsonCodec;
    let mut client = Connect::new().to_app(app, codec).await.unwrap();
    let frame = realtime::codec::Frame::Text(first_message("hangs").as_str().into());
    client.send_frame(frame).await.unwrap();
    // The end of its connection stands behind this, unread.
    client.send("echo", realtime::Json(7)).await.unwrap();
    drop(client);
    tokio::time::sleep(25 * SECOND).await;
    assert_eq!(gateway.stats().authenticating, 1);
    until_nothing_is_left(&gateway).await;
    assert_eq!(gateway.stats().first_messages_refused, 1);
    gateway.shutdown().await;
}

/// A host that says who it is, under `serve`.
async fn accepting(builder: Builder) -> (Gateway, std::net::SocketAddr) {
    let gateway = builder.build().unwrap();
    let accepts = gateway.clone();
    let ws = async move |upgrade: Upgrade| {
        accepts.accept(upgrade, Identity::new("ann").with_token_id("one"))
    };
    let app = axum::Router::new().route("/ws", axum::routing::any(ws));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(realtime::serve(listener, app, gateway.clone()).into_future());
    (gateway, addr)
}

#[tokio::test]
async fn whom_a_host_lets_in_waits_for_the_store_and_no_longer_than_the_gateway_is_there() {
    let store = Slow::new();
    let (gateway, addr) = accepting(builder().revocations(store.clone())).await;
    store.is_away.store(true, SeqCst);
    let mut away = Client::connect(addr).await.unwrap();
    assert_eq!(code(&mut away).await, 1013);
    assert_eq!(gateway.stats().refused, 1);

    store.is_away.store(false, SeqCst);
    let mut ann = Client::connect(addr).await.unwrap();
    store.asked.notified().await;
    store.may.add_permits(1);
    assert_eq!(who(&mut ann).await, "ann");

    let hangs = Client::connect(addr).await.unwrap();
    store.asked.notified().await;
    let begun = tokio::time::Instant::now();
    let report = gateway.shutdown_within(300 * MS).await;
    assert!(begun.elapsed() < 4 * SECOND, "{:?}", begun.elapsed());
    assert_eq!((report.sessions, report.tasks_left), (1, 0));
    assert_eq!(
        gateway.stats().opened,
        1,
        "nobody becomes a session after it"
    );
    drop((away, ann, hangs));
}

/// What is of a form that no token has is reported as any other that isn't right.
#[tokio::test]
async fn who_shows_what_is_no_token_is_heard_of_and_counts_as_one_that_failed() {
    let heard = Arc::new(AtomicBool::new(false));
    let hears = Arc::clone(&heard);
    let mut limits = realtime::config::Limits::default();
    limits.failed_authentications_per_minute = Some(1);
    let builder = builder()
        .limits(limits)
        .on_error(move |report: ErrorContext| {
            let is_it = report.stage() == ErrorStage::Authentication;
            hears.fetch_or(is_it, SeqCst);
            async {}
        });
    let server = start(builder).await;
    let (mut first, mut second) = (nobody(&server).await, nobody(&server).await);
    first.send_text(&first_message("a b")).await.unwrap();
    assert_eq!(code(&mut first).await, 3500);
    until("it is reported", async || heard.load(SeqCst)).await;
    second.send_text(&first_message("ann")).await.unwrap();
    assert_eq!(code(&mut second).await, 3013);
    end(server, (first, second)).await;
}
