//! What a token says: for whom it is, when it holds, and what becomes of it.
#![allow(clippy::panic, clippy::unwrap_used, reason = "a test fails by a panic")]

mod support;

use std::time::{Duration, UNIX_EPOCH};

use realtime_auth_jwt::{Jwt, JwtBuilder};
use realtime_core::{Identity, IdentityKey, auth::AuthErrorKind};
use serde_json::{Value, json};
use support::{Signer, accepted, ada, but, for_chat, now, refused, show};

fn signed(claims: &Value) -> String {
    Signer::hmac().token("HS256", claims)
}

fn builder() -> JwtBuilder {
    for_chat(Signer::hmac().key())
}

fn jwt() -> Jwt {
    builder().build().unwrap()
}

#[tokio::test]
async fn only_tokens_for_us_are_accepted() {
    let both = builder().audience("admin").build().unwrap();
    for audience in [
        json!("chat"),
        json!(["chat"]),
        json!(["other", "chat"]),
        json!("admin"),
    ] {
        accepted(&both, &signed(&but("aud", audience))).await;
    }
    for audience in [
        json!(null),
        json!("other"),
        json!("Chat"),
        json!("chat "),
        json!(""),
        json!([]),
        json!(["other"]),
        json!(["chat", 1]),
        json!({ "chat": "chat" }),
        json!(1),
    ] {
        let why = refused(&both, &signed(&but("aud", audience.clone()))).await;
        assert!(why.contains("audience"), "{audience}: {why}");
    }
    let any = Jwt::builder(Signer::hmac().key())
        .any_audience()
        .build()
        .unwrap();
    for audience in [json!(null), json!("other"), json!(["a", "b"])] {
        accepted(&any, &signed(&but("aud", audience))).await;
    }
}

#[tokio::test]
async fn only_tokens_of_the_issuer_are_accepted() {
    let ours = "https://login.example.com";
    let strict = builder()
        .issuer(ours)
        .issuer("https://old.example.com")
        .build()
        .unwrap();
    accepted(&strict, &signed(&but("iss", json!(ours)))).await;
    accepted(
        &strict,
        &signed(&but("iss", json!("https://old.example.com"))),
    )
    .await;
    for issuer in [
        json!(null),
        json!("https://login.example.com/"),
        json!("https://login.example.com.evil"),
        json!(""),
        json!([ours]),
        json!(1),
    ] {
        let why = refused(&strict, &signed(&but("iss", issuer))).await;
        assert!(why.contains("issuer"), "{why}");
    }
    accepted(&jwt(), &signed(&but("iss", json!("anybody")))).await;
}

#[tokio::test]
async fn a_token_holds_from_its_beginning_to_its_end() {
    let jwt = jwt();
    let at = |seconds: i64| json!(now().checked_add_signed(seconds).unwrap());
    // Within the leeway of 30 s, and a little more for a busy machine.
    for (name, seconds) in [
        ("exp", -10),
        ("nbf", 20),
        ("iat", 20),
        ("nbf", -9),
        ("iat", -9_999),
    ] {
        accepted(&jwt, &signed(&but(name, at(seconds)))).await;
    }
    for seconds in [90, 90_000] {
        let why = refused(&jwt, &signed(&but("nbf", at(seconds)))).await;
        assert!(why.contains("nbf"), "{why}");
    }
    // One of the clocks is wrong, and it may be ours: that is no fault of the token's.
    for seconds in [90, 90_000] {
        let mut claims = but("iat", at(seconds));
        for begins in [json!(null), at(seconds)] {
            if !begins.is_null() {
                claims["nbf"] = begins;
            }
            let error = show(&jwt, &signed(&claims)).await.unwrap_err();
            assert_eq!(error.kind(), AuthErrorKind::Unavailable, "{error}");
            assert!(error.to_string().contains("clocks"), "{error}");
        }
        claims["aud"] = json!("other");
        refused(&jwt, &signed(&claims)).await;
    }
    for seconds in [-31, -9_999] {
        let error = show(&jwt, &signed(&but("exp", at(seconds))))
            .await
            .unwrap_err();
        assert_eq!(error.kind(), AuthErrorKind::Expired);
    }
    let strict = builder().leeway(Duration::ZERO).build().unwrap();
    let error = show(&strict, &signed(&but("exp", at(-1))))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), AuthErrorKind::Expired);
    refused(&strict, &signed(&but("nbf", at(30)))).await;
}

/// Who comes back with fresh credentials because of it must have had good ones.
#[tokio::test]
async fn one_that_has_ended_and_is_wrong_is_only_wrong() {
    let jwt = builder().issuer("us").build().unwrap();
    let mut claims = but("exp", json!(1));
    refused(&jwt, &signed(&claims)).await;
    claims["iss"] = json!("us");
    let error = show(&jwt, &signed(&claims)).await.unwrap_err();
    assert_eq!(error.kind(), AuthErrorKind::Expired);
    refused(&jwt, &Signer::Hmac(vec![7; 64]).token("HS256", &claims)).await;
    claims["aud"] = json!("other");
    refused(&jwt, &signed(&claims)).await;
    claims["aud"] = json!("chat");
    claims["sub"] = json!("");
    refused(&jwt, &signed(&claims)).await;
}

#[tokio::test]
async fn dates_that_are_none_are_refused_and_not_passed_over() {
    let (jwt, lax) = (jwt(), builder().without_expiry().build().unwrap());
    for name in ["exp", "nbf", "iat"] {
        for date in [
            json!("1"),
            json!(now().to_string()),
            json!(-1),
            json!(true),
            json!([now() + 60]),
            json!({}),
            json!(1e300),
            json!(u64::MAX),
        ] {
            refused(&jwt, &signed(&but(name, date.clone()))).await;
            refused(&lax, &signed(&but(name, date))).await;
        }
        let null = format!(
            r#"{{"sub":"ada","aud":"chat","exp":{},"{name}":null}}"#,
            now() + 60
        );
        refused(
            &lax,
            &Signer::hmac().raw("HS256", r#"{"alg":"HS256"}"#, &null),
        )
        .await;
    }
    refused(&jwt, &signed(&but("exp", json!(null)))).await;
    let forever = accepted(&lax, &signed(&but("exp", json!(null)))).await;
    assert_eq!(forever.expires_at(), None);
}

#[tokio::test]
async fn a_claim_that_stands_twice_is_refused() {
    let jwt = builder().roles_claim("/realm/roles").build().unwrap();
    let end = now() + 60;
    for claims in [
        format!(r#"{{"sub":"ada","sub":"ada","aud":"chat","exp":{end}}}"#),
        format!(r#"{{"sub":"ada","aud":"chat","exp":{end},"s\u0075b":"bob"}}"#),
        format!(r#"{{"sub":"ada","aud":"chat","exp":{end},"exp":9999999999}}"#),
        format!(r#"{{"sub":"ada","aud":"chat","exp":{end},"x":1,"x":1}}"#),
        format!(
            r#"{{"sub":"ada","aud":"chat","exp":{end},"realm":{{"roles":[],"roles":["admin"]}}}}"#
        ),
        "[]".to_owned(),
        "null".to_owned(),
        String::new(),
        format!(r#"{{"sub":"ada","aud":"chat","exp":{end}}} "#) + "{}",
    ] {
        let why = refused(
            &jwt,
            &Signer::hmac().raw("HS256", r#"{"alg":"HS256"}"#, &claims),
        )
        .await;
        assert!(why.contains("twice"), "{claims}: {why}");
    }
}

#[tokio::test]
async fn claims_become_an_identity() {
    let jwt = builder()
        .id_claim("/user/id")
        .tenant_claim("https://shop.example.com/tenant")
        .roles_claim("/realm_access/roles")
        .keep_claims(["plan", "missing", "/slash"])
        .build()
        .unwrap();
    let (issued, end) = (now() - 60, now() + 600);
    let claims = json!({
        "sub": "other", "user": { "id": "ada" }, "aud": "chat", "exp": end, "iat": issued,
        "jti": "t-1", "https://shop.example.com/tenant": "acme",
        "realm_access": { "roles": ["admin", "b c"] }, "plan": { "seats": 7 }, "/slash": 1,
        "email": "ada@example.com",
    });
    let identity = accepted(&jwt, &signed(&claims)).await;
    let end = UNIX_EPOCH + Duration::from_secs(end + 30);
    let expected = Identity::new("ada")
        .with_tenant("acme")
        .with_role("admin")
        .with_role("b c")
        .with_claim("plan", json!({ "seats": 7 }))
        .with_claim("/slash", 1)
        .with_token_id("t-1")
        .with_issued_at(UNIX_EPOCH + Duration::from_secs(issued))
        .with_expires_at(end);
    assert_eq!(identity, expected);

    let plain = builder().roles_claim("scope").build().unwrap();
    let identity = accepted(&plain, &signed(&but("scope", json!("read  write")))).await;
    assert_eq!(identity.roles(), ["read", "write"]);
    assert_eq!((identity.id(), identity.tenant()), ("ada", ""));
    assert!(identity.claims().is_empty());
    assert_eq!((identity.token_id(), identity.issued_at()), (None, None));
    let nothing = accepted(&plain, &signed(&ada())).await;
    assert!(nothing.roles().is_empty());
    for roles in [
        json!(1),
        json!({ "admin": true }),
        json!(["a", 1]),
        json!(true),
    ] {
        refused(&plain, &signed(&but("scope", roles))).await;
    }
}

#[tokio::test]
async fn whose_a_token_is_must_be_clear() {
    let jwt = builder().tenant_claim("tenant").build().unwrap();
    let of = |tenant: Value, id: Value| {
        let mut claims = but("tenant", tenant);
        claims["sub"] = id;
        signed(&claims)
    };
    accepted(&jwt, &of(json!("acme"), json!("ada"))).await;
    for nobody in [json!(""), json!(7), json!(["ada"]), json!({}), json!(true)] {
        refused(&jwt, &of(json!("acme"), nobody.clone())).await;
        refused(&jwt, &of(nobody, json!("ada"))).await;
    }
    let mut claims = but("sub", json!(null));
    claims["tenant"] = json!("acme");
    refused(&jwt, &signed(&claims)).await;
    // Without a tenant it isn't one of the empty tenant.
    refused(&jwt, &signed(&ada())).await;
    let most = "x".repeat(IdentityKey::MAX_BYTES - 4);
    accepted(&jwt, &of(json!("acme"), json!(most))).await;
    refused(&jwt, &of(json!("acme."), json!(most))).await;
    for id in [json!(1), json!(""), json!(["x"]), json!("x".repeat(1_025))] {
        let mut claims = but("jti", id);
        claims["tenant"] = json!("acme");
        refused(&jwt, &signed(&claims)).await;
    }
}
