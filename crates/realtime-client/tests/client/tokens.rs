//! Tokens: where they are shown, when they are asked for, and which is never shown twice.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::{Duration, SystemTime},
};

use realtime::{
    Builder, Identity,
    auth::{AuthError, Authenticator, Credentials, Token},
};
use realtime_client::{BuildError, ClientBuilder, TokenIn, TokenReason};
use realtime_testkit::wait::{until, within};

use super::{
    MS, SECOND, quick,
    scripted::Scripted,
    server::{Server, router},
};

/// A token is a name; `NAME-1s` ends after a second; `wrong` is none.
struct Names(Credentials);

impl Authenticator for Names {
    async fn authenticate(&self, request: &http::request::Parts) -> Result<Identity, AuthError> {
        self.0
            .try_each(request, |token| self.authenticate_token(token))
            .await
    }

    async fn authenticate_token(&self, token: Token) -> Result<Identity, AuthError> {
        let token = token.expose();
        let (name, is_short) = match token.strip_suffix("-1s") {
            Some(name) => (name, true),
            None => (token, false),
        };
        match name {
            "wrong" => Err(AuthError::unauthorized("nobody has this token")),
            name if is_short => Ok(Identity::new(name).with_expires_at(SystemTime::now() + SECOND)),
            name => Ok(Identity::new(name)),
        }
    }

    fn accepts_tokens(&self) -> bool {
        true
    }

    fn credentials(&self) -> Option<&Credentials> {
        Some(&self.0)
    }
}

fn builder() -> Builder {
    let names = Names(Credentials::bearer().from_subprotocol("token."));
    realtime::builder().authenticator(names).router(router())
}

/// Shows these tokens one after the other, and the last one again and again; and hears why.
fn showing(
    client: ClientBuilder,
    tokens: &'static [&'static str],
) -> (ClientBuilder, Arc<Mutex<Vec<TokenReason>>>) {
    let reasons = Arc::new(Mutex::new(Vec::new()));
    let heard = Arc::clone(&reasons);
    let client = client.token(move |reason| {
        let mut heard = heard.lock().unwrap();
        let token = tokens[heard.len().min(tokens.len() - 1)];
        heard.push(reason);
        async move { Ok(Some(token.to_owned())) }
    });
    (client, reasons)
}

async fn who(client: ClientBuilder) -> String {
    let client = client.connect().unwrap();
    within("an answer", client.ask("who", "")).await.unwrap()
}

#[tokio::test]
async fn a_token_is_shown_in_a_header_a_message_or_a_subprotocol() {
    let server = Server::start(builder().token_in_message(Some(5 * SECOND))).await;
    for place in [TokenIn::Header, TokenIn::Message, TokenIn::Subprotocol] {
        let (client, reasons) = showing(quick(server.port()), &["ann"]);
        assert_eq!(who(client.token_in(place)).await, "ann", "{place:?}");
        assert_eq!(*reasons.lock().unwrap(), [TokenReason::Connect]);
    }
}

#[tokio::test]
async fn a_refused_token_is_replaced_once_and_never_shown_again() {
    for (closes, place) in [
        (false, TokenIn::Header),
        (true, TokenIn::Header),
        (false, TokenIn::Message),
    ] {
        let builder = builder().accept_then_close(closes);
        let server = Server::start(builder.token_in_message(Some(5 * SECOND))).await;
        let quick = |port| quick(port).token_in(place);
        let (client, reasons) = showing(quick(server.port()), &["wrong", "ann"]);
        assert_eq!(who(client).await, "ann");
        assert_eq!(
            *reasons.lock().unwrap(),
            [TokenReason::Connect, TokenReason::Refused]
        );
        // The same one again.
        let (client, reasons) = showing(quick(server.port()), &["wrong"]);
        let client = client.connect().unwrap();
        let end = within("the end", client.ended()).await;
        assert_eq!(end.code, Some(3500));
        assert_eq!(reasons.lock().unwrap().len(), 2);
        assert_eq!(server.gateway.stats().open, 0);
    }
}

#[tokio::test]
async fn who_has_no_other_token_after_a_refusal_stays_away_for_that() {
    for (closes, code, status) in [(true, Some(3500), None), (false, None, Some(401))] {
        let server = Server::start(builder().accept_then_close(closes)).await;
        let client = quick(server.port())
            .token(async |reason| match reason {
                TokenReason::Connect => Ok(Some("wrong".to_owned())),
                _ => Ok(None),
            })
            .connect()
            .unwrap();
        let end = within("the end", client.ended()).await;
        assert_eq!((end.code, end.status), (code, status), "{end:?}");
    }
}

#[tokio::test]
async fn a_fresh_token_keeps_the_connection() {
    let builder = builder()
        .expiry_notice(Some(SECOND))
        .expiry_grace(Some(10 * SECOND));
    let server = Server::start(builder).await;
    let (client, reasons) = showing(quick(server.port()), &["ann-1s", "ann-1s", "ann"]);
    let client = client.connect().unwrap();
    within("a connection", client.online()).await.unwrap();
    let mut state = client.state();
    until("two fresh ones were shown", async || {
        reasons.lock().unwrap().len() == 3
    })
    .await;
    assert_eq!(reasons.lock().unwrap()[1..], [TokenReason::Expiring; 2]);
    assert_eq!(client.ask::<String>("who", "").await.unwrap(), "ann");
    assert!(!state.has_changed().unwrap() || state.borrow_and_update().is_online());
    assert_eq!(server.gateway.stats().opened, 1);
}

#[tokio::test]
async fn an_ended_token_is_replaced_before_it_comes_back() {
    let server = Scripted::start().await;
    let (client, reasons) = showing(quick(server.port()), &["old", "old", "fresh"]);
    let _client = client.connect().unwrap();
    let peer = server.accept().await;
    assert_eq!(peer.header("authorization"), Some("Bearer old"));
    peer.close(3005, "expired").await;
    // It has shown nothing until there was another one.
    let peer = server.accept().await;
    assert_eq!(peer.header("authorization"), Some("Bearer fresh"));
    use TokenReason::{Connect, Expired};
    assert_eq!(reasons.lock().unwrap()[..2], [Connect, Expired]);
}

#[tokio::test]
async fn nobody_is_signed_in_and_getters_that_fail_are_asked_again() {
    let server = Server::start(builder()).await;
    let client = quick(server.port())
        .token(async |_| Ok(None))
        .connect()
        .unwrap();
    let end = within("the end", client.ended()).await;
    assert_eq!(end.reason, "nobody is signed in");

    let calls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&calls);
    let client = quick(server.port())
        .connect_timeout(200 * MS)
        .token(move |_| {
            let call = counted.fetch_add(1, SeqCst);
            async move {
                match call {
                    0 => Err("the vault is away".into()),
                    1 => panic!("on purpose: a getter that panics"),
                    2 => {
                        tokio::time::sleep(Duration::from_secs(60)).await;
                        Ok(None)
                    }
                    3 => Ok(Some("no token".to_owned())),
                    _ => Ok(Some("ann".to_owned())),
                }
            }
        });
    assert_eq!(who(client).await, "ann");
    assert_eq!(calls.load(SeqCst), 5);
    let twice = quick(1)
        .token(async |_| Ok(None))
        .header("authorization", "x")
        .connect();
    assert!(matches!(twice, Err(BuildError::Header(_))));
}

/// A server that knows no such message is not asked again and again.
#[tokio::test]
async fn a_server_that_takes_no_token_in_a_message_is_left_for_good() {
    let server = Server::start(realtime::builder().router(router())).await;
    let (client, reasons) = showing(quick(server.port()), &["ann"]);
    let client = client.token_in(TokenIn::Message).connect().unwrap();
    let end = within("the end", client.ended()).await;
    assert!(end.reason.contains("authenticate"), "{end:?}");
    assert_eq!(*reasons.lock().unwrap(), [TokenReason::Connect]);
}
