//! Keys over TLS: only from the one whom the certificate names.
#![allow(clippy::panic, clippy::unwrap_used, reason = "a test fails by a panic")]

mod support;

use realtime_auth_jwt::Jwks;
use realtime_core::auth::AuthErrorKind;
use support::{
    Signer, accepted, ada, for_chat,
    issuer::{Answer, Issuer},
};

#[tokio::test]
async fn keys_come_over_tls_from_the_one_who_is_named() {
    let signer = Signer::p256();
    let (issuer, pem) = Issuer::tls(Answer::keys(&[signer.jwk("1")])).await;
    let port = issuer.addr.port();
    let at = |host: &str| {
        Jwks::from_url(format!("https://{host}:{port}/jwks.json?secret=s3cret")).unwrap()
    };
    let jwt = for_chat(at("localhost").root_certificates(&pem))
        .build()
        .unwrap();
    accepted(&jwt, &signer.named("ES256", "1", &ada())).await;
    assert_eq!(issuer.requests(), 1);
    for stranger in [at("localhost"), at("127.0.0.1").root_certificates(&pem)] {
        let jwt = for_chat(stranger).build().unwrap();
        let error = jwt.fetch_keys().await.unwrap_err();
        assert_eq!(error.kind(), AuthErrorKind::Unavailable);
    }
    assert_eq!(issuer.requests(), 1);
}
