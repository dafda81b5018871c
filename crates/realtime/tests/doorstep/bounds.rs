//! How many may wait to show who they are, and what ends them all.

use std::time::Duration;

use realtime_testkit::{client::Request, wait::until};

use super::{
    MS, SECOND, builder, code, crowd, end, first_message, nobody, show, start, text_frame,
    until_nothing_is_left, who, with,
};

/// How many come, of whom most are too many.
const CROWD: usize = 5_000;
const PLACES: usize = 1_000;
/// Of these, for those who show nothing.
const AT_THE_DOOR: usize = PLACES / 2;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crowd_that_says_nothing_keeps_nobody_out_who_shows_something() {
    let server = start(builder().max_authenticating(PLACES)).await;
    let mut before = with(&server, "before").await;
    assert_eq!(who(&mut before).await, "before");
    let addr = server.addr;
    let mut crowd = crowd(addr, CROWD, 503);
    let mut waiting = Vec::new();
    while let Some(client) = crowd.join_next().await {
        waiting.extend(client.unwrap());
        // Nobody else suffers.
        if waiting.len() % 100 == 1 {
            assert_eq!(who(&mut before).await, "before");
        }
    }
    assert_eq!(waiting.len(), AT_THE_DOOR);
    let stats = server.gateway.stats();
    assert_eq!((stats.authenticating, stats.open), (AT_THE_DOOR as u64, 1));
    let mut late = with(&server, "late").await;
    assert_eq!(who(&mut late).await, "late");
    assert_eq!(Request::new("/ws").refused(addr).await.status, 503);
    // One of them says who it is, and another one may wait.
    let mut one = waiting.pop().unwrap();
    show(&mut one, "one").await;
    assert_eq!(who(&mut one).await, "one");
    waiting.push(nobody(&server).await);
    drop(waiting);
    until("the places are free", async || {
        server.gateway.stats().authenticating == 0
    })
    .await;
    drop((before, one, late));
    until_nothing_is_left(&server.gateway).await;
    end(server, ()).await;
}

#[tokio::test]
async fn they_count_as_connections() {
    let server = start(builder().max_connections(Some(3))).await;
    let mut ann = nobody(&server).await;
    let bob = nobody(&server).await;
    // Half of what is left is for those who show something.
    assert_eq!(Request::new("/ws").refused(server.addr).await.status, 503);
    let mut cid = with(&server, "cid").await;
    assert_eq!(who(&mut cid).await, "cid");
    let full = Request::new("/ws?token=eve").refused(server.addr).await;
    assert_eq!(full.status, 503);
    show(&mut ann, "ann").await;
    drop(bob);
    until("a place is free", async || {
        server.gateway.stats().authenticating == 0
    })
    .await;
    let mut eve = with(&server, "eve").await;
    assert_eq!(who(&mut eve).await, "eve");
    end(server, (ann, cid, eve)).await;
}

#[tokio::test]
async fn a_shutdown_tells_those_who_wait() {
    let server = start(builder().auth_timeout(None)).await;
    let mut silent = nobody(&server).await;
    let mut half = nobody(&server).await;
    half.send_raw(&text_frame(&first_message("ann"))[..9])
        .await
        .unwrap();
    let mut asked = nobody(&server).await;
    asked.send_text(&first_message("hangs")).await.unwrap();
    until("they wait", async || {
        server.gateway.stats().authenticating == 3
    })
    .await;
    let begun = tokio::time::Instant::now();
    server.gateway.begin_shutdown();
    for client in [&mut silent, &mut half, &mut asked] {
        let (code, reason) = client.closed().await.unwrap();
        assert_eq!(code, 1001);
        // A moment for each, since there may be very many.
        let said: serde_json::Value = serde_json::from_str(&reason).unwrap();
        let wait = said["retry_after"].as_f64().unwrap();
        assert!((0.0..=1.0).contains(&wait), "{said}");
        client.close(1001, "").await.unwrap();
        client.eof().await;
    }
    let report = server.gateway.shutdown().await;
    assert_eq!(
        (report.sessions, report.aborted, report.tasks_left),
        (0, 0, 0)
    );
    assert!(begun.elapsed() < 8 * SECOND, "{:?}", begun.elapsed());
    server.stop().await;
}

/// The deadline of the shutdown ends one whose peer takes its time, too.
#[tokio::test]
async fn a_shutdown_waits_for_none_of_them_past_its_deadline() {
    let server = start(builder()).await;
    let silent = nobody(&server).await;
    until("it waits", async || {
        server.gateway.stats().authenticating == 1
    })
    .await;
    let report = server.gateway.shutdown_within(50 * MS).await;
    assert_eq!((report.sessions, report.tasks_left), (0, 0));
    assert_eq!(server.gateway.stats().authenticating, 0);
    drop(silent);
    server.stop().await;
}

/// An authenticator may shut the gateway down, and wait for it.
#[tokio::test]
async fn an_authenticator_that_awaits_the_shutdown_is_waited_for_by_it() {
    use std::sync::{Arc, OnceLock};

    use realtime::{
        Gateway, Identity,
        auth::{AuthError, Authenticator, Credentials, Token},
    };

    struct Last(Credentials, Arc<OnceLock<Gateway>>);

    impl Authenticator for Last {
        async fn authenticate(
            &self,
            _: &axum::http::request::Parts,
        ) -> Result<Identity, AuthError> {
            Err(AuthError::unauthorized("a token in a message, or none"))
        }

        async fn authenticate_token(&self, _: Token) -> Result<Identity, AuthError> {
            self.1.get().unwrap().shutdown().await;
            Err(AuthError::unauthorized("it is over"))
        }

        fn accepts_tokens(&self) -> bool {
            true
        }

        fn credentials(&self) -> Option<&Credentials> {
            Some(&self.0)
        }
    }

    let known = Arc::new(OnceLock::new());
    let last = Last(Credentials::bearer(), Arc::clone(&known));
    let server = start(builder().authenticator(last).auth_timeout(None)).await;
    known.set(server.gateway.clone()).unwrap();
    let mut client = nobody(&server).await;
    client.send_text(&first_message("last")).await.unwrap();
    assert_eq!(code(&mut client).await, 1001);
    drop(client);
    let begun = tokio::time::Instant::now();
    server.gateway.shutdown().await;
    assert!(begun.elapsed() < Duration::from_secs(5));
    server.stop().await;
}
