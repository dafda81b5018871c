//! What a test is told when something doesn't come.

use std::time::Duration;

use realtime::{Identity, Json, Router, auth::AuthError, auth::Authenticator};
use realtime_testkit::memory::Connect;
use tokio::time::Instant;

use crate::{ann, builder};

#[tokio::test(start_paused = true)]
async fn what_does_not_come_is_an_error_that_says_what_came() {
    let hang = async || std::future::pending::<()>().await;
    let router = Router::new().route("hang", hang);
    let gateway = realtime::builder().router(router).build().unwrap();
    let mut ann = ann(&gateway).await;
    let begun = Instant::now();
    let error = ann.receive().await.unwrap_err();
    assert_eq!(error.to_string(), "expected a message within 10s; got none");
    assert_eq!(begun.elapsed().as_secs(), 10);
    gateway.broadcast("news", Json("rain")).await.unwrap();
    let error = ann.request("hang", ()).await.unwrap_err();
    let expected = "expected the answer to the request on \"hang\" within 10s; \
                    got 1 unread: \"news\" \"rain\"";
    assert_eq!(error.to_string(), expected);
    let error = ann.receive_on("weather").await.unwrap_err();
    assert!(
        error
            .to_string()
            .contains("expected a message on \"weather\"")
    );
    assert_eq!(ann.receive().await.unwrap().route(), "news", "it is kept");
}

#[tokio::test(start_paused = true)]
async fn silence_is_held_to() {
    let gateway = builder().build().unwrap();
    let mut ann = ann(&gateway).await;
    ann.expect_nothing().await.unwrap();
    ann.send("chat", Json("hello")).await.unwrap();
    let error = ann.expect_nothing().await.unwrap_err().to_string();
    assert!(error.contains("\"chat\" [\"ann\",\"hello\"]"), "{error}");
    assert!(ann.expect_nothing().await.is_err(), "it is still unread");
    ann.receive().await.unwrap();
    ann.expect_nothing().await.unwrap();
    gateway.shutdown().await;
    assert!(ann.expect_nothing().await.unwrap_err().end().is_some());
}

#[tokio::test(start_paused = true)]
async fn an_end_that_does_not_come_is_an_error_too() {
    let gateway = builder().build().unwrap();
    let mut ann = ann(&gateway).await;
    ann.set_deadline(Duration::from_secs(1));
    let error = ann.closed().await.unwrap_err().to_string();
    let expected = "expected the end of the connection within 1s; got none";
    assert_eq!(error, expected);
    assert!(ann.request("echo", Json(1)).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_gateway_that_does_not_get_on_is_given_up() {
    struct Never;

    impl Authenticator for Never {
        async fn authenticate(
            &self,
            _: &axum::http::request::Parts,
        ) -> Result<Identity, AuthError> {
            std::future::pending().await
        }
    }

    let asleep = builder().authenticator(Never).auth_timeout(None);
    let asleep = asleep.build().unwrap();
    let error = Connect::new().to(&asleep).await.unwrap_err().to_string();
    assert!(
        error.contains("an answer to the upgrade request within 10s"),
        "{error}"
    );

    let hang = async || std::future::pending::<()>().await;
    let builder = builder().on_connect(hang).hook_timeout(None);
    let hooked = builder.build().unwrap();
    let error = Connect::new().to(&hooked).await.unwrap_err().to_string();
    assert!(error.contains("on_connect hooks"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_gateway_that_does_not_read_is_given_up() {
    let hang = async || std::future::pending::<()>().await;
    let gateway = realtime::builder().router(Router::new().route("hang", hang));
    let gateway = gateway.build().unwrap();
    let connect = Connect::new().pipe_bytes(256);
    let identity = Identity::new("ann");
    let mut ann = connect.accepted_by(&gateway, identity).await.unwrap();
    let flood = async {
        loop {
            ann.send("hang", Json("x".repeat(10_000))).await?;
        }
    };
    let error: Result<(), realtime_testkit::memory::TestError> = flood.await;
    let error = error.unwrap_err().to_string();
    assert!(error.contains("a gateway that doesn't read"), "{error}");
}
