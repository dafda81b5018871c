//! Values of the application's own that panic where they are shown, asked for their cause, or
//! dropped: they cost what they belong to, and nothing else.

use std::{
    error::Error,
    fmt,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll},
};

use realtime::{
    Builder, Identity, Json, Router, Session,
    auth::{AuthError, AuthErrorKind, Authenticator},
    hooks::ErrorContext,
    middleware::{LoggerLayer, RecoveryLayer},
};
use realtime_testkit::{
    client::Request,
    wait::{until, within},
};
use serde_json::{Value, json};
use tokio::sync::Notify;
use tracing::subscriber::DefaultGuard;

use crate::support::{Ends, Server};

/// Panics wherever it can.
struct Loud;

impl fmt::Display for Loud {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("begun")?;
        panic!("on purpose: an error without a text")
    }
}

impl fmt::Debug for Loud {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        panic!("on purpose: an error that can't be shown")
    }
}

impl Error for Loud {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        panic!("on purpose: an error without a cause")
    }
}

impl Drop for Loud {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            panic!("on purpose: an error that can't be dropped");
        }
    }
}

/// Its own cause.
#[derive(Debug)]
struct Endless;

impl fmt::Display for Endless {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("endless")
    }
}

impl Error for Endless {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(self)
    }
}

/// What does the work of a handler: panics, or has an answer, and panics when it is dropped.
struct Work {
    panics: bool,
}

impl Future for Work {
    type Output = Json<&'static str>;

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Json<&'static str>> {
        assert!(!self.panics, "on purpose: a handler that panics");
        Poll::Ready(Json("done"))
    }
}

/// Unlike that of [`Loud`], also while another panic unwinds: then it ends the process.
impl Drop for Work {
    fn drop(&mut self) {
        panic!("on purpose: a future that can't be dropped");
    }
}

/// Everything is shown, and goes nowhere.
fn show_everything() -> DefaultGuard {
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(std::io::sink)
        .finish();
    tracing::subscriber::set_default(subscriber)
}

/// As the log has them, and as hooks do.
fn with_and_without_hooks(build: impl Fn() -> Builder) -> [(Builder, bool); 2] {
    let shows = |error: ErrorContext| async move { drop(error.error().to_string()) };
    [(build(), false), (build().on_error(shows), true)]
}

fn router() -> Router {
    Router::new()
        .route("echo", async |Json(data): Json<Value>| Json(data))
        .route("loud", async || Err::<(), _>(Loud))
        .route("endless", async || Err::<(), _>(Endless))
}

#[tokio::test]
async fn an_error_of_a_handler_fails_its_message_alone() {
    let _shown = show_everything();
    for (builder, hooks) in with_and_without_hooks(|| crate::support::builder().router(router())) {
        let ends = Ends::default();
        let builder = ends.hear(builder).layer(LoggerLayer::new());
        let server = Server::start(builder.build().unwrap()).await;
        let mut client = server.connect().await;
        for route in ["loud", "endless"] {
            let answer = within("an answer", client.request(route, Value::Null)).await;
            assert_eq!(
                answer.unwrap()["data"]["code"],
                "internal",
                "hooks: {hooks}"
            );
            let answer = within("an echo", client.request("echo", json!(1))).await;
            assert_eq!(answer.unwrap()["data"], 1, "hooks: {hooks}");
        }
        client.close(1000, "").await.unwrap();
        assert!(ends.one().await.expected);
        server.stop().await;
    }
}

#[tokio::test]
async fn an_error_of_a_handler_whose_client_has_left_does_not_keep_its_hook_from_running() {
    let _shown = show_everything();
    let go_on = Arc::new(Notify::new());
    let waits = Arc::clone(&go_on);
    let router = Router::new().route("loud", move || {
        let waits = Arc::clone(&waits);
        async move {
            waits.notified().await;
            Err::<(), _>(Loud)
        }
    });
    let ends = Ends::default();
    let builder = ends.hear(crate::support::builder().router(router));
    let server = Server::start(builder.build().unwrap()).await;
    let mut client = server.connect().await;
    client.send("loud", Value::Null).await.unwrap();
    let stats = || server.gateway.stats();
    until("its handler runs", async || stats().received == 1).await;
    drop(client);
    until("it is gone", async || stats().outlived == 1).await;
    go_on.notify_one();
    ends.one().await;
    until("it has ended", async || stats().closed == 1).await;
    server.stop().await;
}

#[tokio::test]
async fn an_error_of_a_hook_does_not_keep_the_next_from_running() {
    let _shown = show_everything();
    let build = || crate::support::builder().on_disconnect(async || fails(Loud));
    for (builder, hooks) in with_and_without_hooks(build) {
        let ends = Ends::default();
        let server = Server::start(ends.hear(builder).build().unwrap()).await;
        let mut client = server.connect().await;
        client.close(1000, "").await.unwrap();
        assert!(ends.one().await.expected, "hooks: {hooks}");
        let closed = async || server.gateway.stats().closed == 1;
        until("it has ended", closed).await;
        server.stop().await;
    }
}

fn fails(error: Loud) -> Result<(), Loud> {
    Err(error)
}

#[tokio::test]
async fn an_error_that_refuses_a_session_is_kept_and_dropped_with_it() {
    let _shown = show_everything();
    let kept: Arc<Mutex<Vec<Session>>> = Arc::default();
    let keeps = Arc::clone(&kept);
    let builder = crate::support::builder().on_connect(move |session: Session| {
        keeps.lock().unwrap().push(session);
        async { fails(Loud) }
    });
    let server = Server::start(builder.build().unwrap()).await;
    let mut client = server.connect().await;
    assert_eq!(client.closed().await.unwrap().0, 1008);
    let stats = || server.gateway.stats();
    until("it has ended", async || stats().closed == 1).await;
    let session = kept.lock().unwrap().pop().unwrap();
    assert!(session.close_info().unwrap().error.is_some());
    until("nobody else has it", async || stats().open == 0).await;
    server.stop().await;
    drop(session);
}

/// Somebody who can't say why not.
struct Mute;

impl Authenticator for Mute {
    async fn authenticate(
        &self,
        request: &axum::http::request::Parts,
    ) -> Result<Identity, AuthError> {
        if request.uri.query().is_none() {
            return Ok(Identity::new("anonymous"));
        }
        Err(AuthError::new(AuthErrorKind::Unauthorized, "no").with_source(Loud))
    }
}

#[tokio::test]
async fn an_error_of_an_authenticator_is_a_refusal_like_any_other() {
    let _shown = show_everything();
    let build = || crate::support::builder().authenticator(Mute);
    for (builder, hooks) in with_and_without_hooks(build) {
        let server = Server::start(builder.build().unwrap()).await;
        let refused = Request::new("/ws?x").refused(server.addr).await;
        assert_eq!(refused.status, 401, "hooks: {hooks}");
        server.connect().await;
        server.stop().await;
    }
}

fn works(panics: bool) -> Router {
    router().route("work", move || Work { panics })
}

#[tokio::test]
async fn a_handler_that_cannot_be_dropped_ends_its_session_alone() {
    for panics in [false, true] {
        let ends = Ends::default();
        let builder = ends.hear(crate::support::builder().router(works(panics)));
        let server = Server::start(builder.build().unwrap()).await;
        let mut bystander = server.connect().await;
        let mut client = server.connect().await;
        client.send("work", Value::Null).await.unwrap();
        assert_eq!(client.closed().await.unwrap().0, 1011, "panics: {panics}");
        ends.one().await;
        let answer = bystander.request("echo", json!(1)).await.unwrap();
        assert_eq!(answer["data"], 1);
        server.stop().await;
    }
}

#[tokio::test]
async fn a_handler_that_panics_and_cannot_be_dropped_is_recovered() {
    let ends = Ends::default();
    let builder = ends.hear(crate::support::builder().router(works(true)));
    let builder = builder.layer(RecoveryLayer::new());
    let server = Server::start(builder.build().unwrap()).await;
    let mut client = server.connect().await;
    for n in 0..3 {
        let answer = client.request("work", Value::Null).await.unwrap();
        assert_eq!(answer["data"]["code"], "internal");
        let answer = client.request("echo", json!(n)).await.unwrap();
        assert_eq!(answer["data"], n);
    }
    client.close(1000, "").await.unwrap();
    assert!(ends.one().await.expected);
    server.stop().await;
}
