//! The conformance suite of authenticators, with keys that are here and keys that are fetched.
#![allow(clippy::panic, clippy::unwrap_used, reason = "a test fails by a panic")]

mod support;

use http::{Request, request::Parts};
use realtime_auth_jwt::Jwt;
use serde_json::json;
use support::{
    Signer, ada, for_chat,
    issuer::{Answer, Issuer},
};

fn request(uri: &str, headers: &[(&str, &str)]) -> Parts {
    let mut request = Request::get(uri);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(()).unwrap().into_parts().0
}

fn bearer(token: &str) -> Parts {
    request("/ws", &[("authorization", &format!("Bearer {token}"))])
}

fn accepts(signer: &Signer, algorithm: &str) -> [Parts; 5] {
    let token = signer.named(algorithm, "1", &ada());
    let stale = signer.named(algorithm, "1", &support::but("aud", json!("other")));
    [
        bearer(&token),
        request(
            &format!("/ws?token={token}"),
            &[("authorization", "Basic dTpw")],
        ),
        request("/ws", &[("cookie", &format!("auth={stale}; auth={token}"))]),
        request(
            "/ws",
            &[("cookie", &format!("auth={}", token.replace('.', "%2E")))],
        ),
        request(
            "/ws",
            &[(
                "sec-websocket-protocol",
                &format!("realtime.json, token.{token}"),
            )],
        ),
    ]
}

fn refuses(signer: &Signer, algorithm: &str) -> [Parts; 5] {
    let other = Signer::Hmac(vec![7; 64]).token("HS256", &ada());
    let unknown = signer.named(algorithm, "nobody knows", &ada());
    let wrong = signer.named(algorithm, "1", &support::but("aud", json!("other")));
    [
        request("/ws", &[]),
        bearer("nonsense-and-more"),
        bearer(&other),
        bearer(&unknown),
        bearer(&wrong),
    ]
}

fn built(keys: impl Into<realtime_auth_jwt::Keys>) -> Jwt {
    let everywhere = for_chat(keys).from_query("token").from_cookie("auth");
    everywhere.from_subprotocol("token.").build().unwrap()
}

mod a_secret {
    use super::*;

    realtime_testkit::auth_suite!(
        built(Signer::hmac().key().with_kid("1")),
        accepts(&Signer::hmac(), "HS256"),
        refuses(&Signer::hmac(), "HS256")
    );
}

mod an_issuer {
    use super::*;

    realtime_testkit::auth_suite!(
        {
            let issuer = Issuer::start(Answer::keys(&[Signer::rsa().jwk("1")])).await;
            let jwt = built(issuer.jwks());
            // It ends with the test's runtime.
            std::mem::forget(issuer);
            jwt
        },
        accepts(&Signer::rsa(), "PS256"),
        refuses(&Signer::rsa(), "PS256")
    );
}
