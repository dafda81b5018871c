//! What can never work is refused when it is built, and nothing that is secret is shown.
#![allow(clippy::panic, clippy::unwrap_used, reason = "a test fails by a panic")]

mod support;

use std::time::Duration;

use realtime_auth_jwt::{Algorithm, Jwks, Jwt, JwtBuilder, Key};
use realtime_core::auth::{AuthError, AuthErrorKind, Authenticator};
use support::{OTHER_CURVE, SECRET, SHORT_RSA, Signer, accepted, ada, for_chat};

fn invalid<T: std::fmt::Debug>(result: Result<T, AuthError>, expected: &str) {
    let error = result.unwrap_err();
    assert_eq!(error.kind(), AuthErrorKind::InvalidOption, "{error}");
    assert!(error.to_string().contains(expected), "{error}");
}

#[tokio::test]
async fn secrets_are_as_long_as_their_hash() {
    for length in [0, 1, 31] {
        invalid(Key::hmac(&SECRET[..length]), "at least 32 bytes");
    }
    for (length, algorithm, next) in [
        (32, Algorithm::HS256, Some(Algorithm::HS384)),
        (47, Algorithm::HS256, Some(Algorithm::HS384)),
        (48, Algorithm::HS384, Some(Algorithm::HS512)),
        (63, Algorithm::HS384, Some(Algorithm::HS512)),
        (64, Algorithm::HS512, None),
    ] {
        let key = Key::hmac(&SECRET[..length]).unwrap();
        let jwt = for_chat(key.clone()).build().unwrap();
        let signer = Signer::Hmac(SECRET[..length].to_vec());
        accepted(&jwt, &signer.token(algorithm.name(), &ada())).await;
        if let Some(next) = next {
            support::refused(&jwt, &signer.token(next.name(), &ada())).await;
            invalid(for_chat(key).algorithms([next]).build(), next.name());
        }
    }
}

/// A public key is known to everybody, and so would be the secret.
#[test]
fn a_key_in_pem_is_no_secret() {
    let ed = Signer::ed().pem();
    for pem in [
        Signer::rsa().pem(),
        Signer::p256().pem(),
        format!("\n# ours\n{ed}"),
        include_str!("support/rsa-2048.pem").to_owned(),
    ] {
        invalid(Key::hmac(pem), "Key::rsa_pem");
    }
}

#[test]
fn public_keys_are_public_large_enough_and_of_their_family() {
    let (rsa, ec, ed) = (Signer::rsa(), Signer::p256(), Signer::ed());
    Key::rsa_pem(rsa.pem()).unwrap();
    Key::rsa_pem(rsa.pkcs1_pem()).unwrap();
    Key::ec_pem(Signer::p384().pem()).unwrap();
    invalid(Key::rsa_pem(SHORT_RSA), "less than 2,048 bits");
    invalid(Key::ec_pem(OTHER_CURVE), "another curve");
    let private = rcgen::KeyPair::generate().unwrap().serialize_pem();
    let certificate = rcgen::generate_simple_self_signed(vec!["x".to_owned()]).unwrap();
    let certificate = certificate.cert.pem();
    type Read = fn(&str) -> Result<Key, AuthError>;
    let reads: [(Read, _); 3] = [
        (|pem| Key::rsa_pem(pem), [ec.pem(), ed.pem()]),
        (|pem| Key::ec_pem(pem), [rsa.pem(), ed.pem()]),
        (|pem| Key::ed_pem(pem), [rsa.pem(), ec.pem()]),
    ];
    for (read, others) in reads {
        for other in others {
            invalid(read(&other), "got another one");
        }
        invalid(read(include_str!("support/rsa-2048.pem")), "a private one");
        invalid(read(&private), "a private one");
        invalid(read(&certificate), "a certificate");
        for nothing in [
            "",
            "PUBLIC KEY",
            "-----BEGIN PUBLIC KEY-----\n-----END PUBLIC KEY-----\n",
        ] {
            read(nothing).unwrap_err();
        }
        let error = read(&private).unwrap_err();
        assert!(
            !format!("{error:?}").contains(private.lines().nth(1).unwrap()),
            "{error:?}"
        );
    }
}

#[test]
fn what_would_be_ignored_or_never_work_is_refused() {
    let key = || Key::hmac(SECRET).unwrap();
    let good = || Jwt::builder(key()).audience("chat");
    good().build().unwrap();
    invalid(Jwt::builder(key()).build(), "audience");
    invalid(good().any_audience().build(), "both");
    invalid(good().issuer("us").any_issuer().build(), "both");
    invalid(good().audience("").build(), "not empty");
    invalid(good().issuer("").build(), "not empty");
    invalid(good().id_claim("").build(), "not empty");
    invalid(good().keep_claims(vec!["x"; 65]).build(), "at most 64");
    invalid(good().leeway(Duration::from_secs(601)).build(), "leeway");
    invalid(good().algorithms([]).build(), "at least one algorithm");
    invalid(good().types::<&str>([]).build(), "at least one type");
    for typ in ["JWT ", " JWT", "at+jwt\t", "J W T", "\u{a0}JWT"] {
        invalid(good().types([typ]).build(), "got a space");
    }
    invalid(good().types([""]).build(), "not empty");
    invalid(good().algorithms([Algorithm::RS256]).build(), "RS256");
    invalid(
        good()
            .algorithms([Algorithm::HS256, Algorithm::ES256])
            .build(),
        "ES256",
    );
    invalid(good().from_query("a b").build(), "query parameter");
    invalid(good().without_header().build(), "to look at");
    let several = |keys: Vec<Key>| Jwt::builder(keys).audience("chat");
    invalid(several(Vec::new()).build(), "1 to 64 keys");
    invalid(several(vec![key(), key()]).build(), "a name for each");
    invalid(
        several(vec![key().with_kid("1"), key()]).build(),
        "a name for each",
    );
    invalid(
        several(vec![key().with_kid("1"), key().with_kid("1")]).build(),
        "no name twice",
    );
    let two = vec![key().with_kid("1"), Signer::ed().key().with_kid("2")];
    several(two.clone()).build().unwrap();
    invalid(
        several(two).algorithms([Algorithm::EdDSA]).build(),
        "one that has none",
    );
}

#[test]
fn so_is_what_is_asked_of_an_issuer() {
    let jwks = || Jwks::from_url("https://login.example.com/jwks").unwrap();
    let build = |jwks: Jwks| for_chat(jwks).build();
    build(jwks()).unwrap();
    let unnamed = || Jwt::builder(jwks()).audience("chat");
    invalid(unnamed().build(), "an `issuer`, or `any_issuer`");
    unnamed().issuer("us").build().unwrap();
    invalid(unnamed().issuer("us").any_issuer().build(), "both");
    let (short, long) = (
        Duration::from_millis(99),
        Duration::from_secs(8 * 24 * 3_600),
    );
    for time in [short, long] {
        invalid(build(jwks().timeout(time)), "timeout");
        invalid(build(jwks().refresh_after(time)), "refresh_after");
        invalid(build(jwks().stale_for(time)), "stale_for");
        invalid(
            build(jwks().unknown_kid_interval(time)),
            "unknown_kid_interval",
        );
    }
    invalid(build(jwks().root_certificates("")), "root_certificates");
    let here = Jwks::from_url("http://localhost/").unwrap();
    let pem = rcgen::generate_simple_self_signed(vec!["x".to_owned()])
        .unwrap()
        .cert
        .pem();
    build(jwks().root_certificates(&pem)).unwrap();
    invalid(build(here.root_certificates(pem)), "root_certificates");
    let secrets = for_chat(jwks()).algorithms([Algorithm::RS256, Algorithm::HS256]);
    invalid(secrets.build(), "HS256");
}

#[test]
fn debug_shows_neither_secrets_nor_keys() {
    let signer = Signer::p256();
    let keys = [
        Key::hmac(SECRET).unwrap().with_kid("a"),
        signer.key().with_kid("b"),
    ];
    let shown = format!("{keys:?}");
    assert!(
        shown.contains("HS512") && shown.contains("\"b\""),
        "{shown}"
    );
    let builder: JwtBuilder = Jwt::builder(keys).audience("chat").from_cookie("auth");
    let jwt = builder.clone().build().unwrap();
    assert!(jwt.credentials().unwrap().uses_cookie() && jwt.accepts_tokens());
    let secret = std::str::from_utf8(SECRET).unwrap();
    let issuer = Jwks::from_url("https://login.example.com/s3cret/jwks?key=s3cret").unwrap();
    let issuer = for_chat(issuer);
    let with_issuer = issuer.clone().build().unwrap();
    for shown in [
        shown,
        format!("{builder:?}"),
        format!("{jwt:?}"),
        format!("{jwt:#?}"),
        format!("{issuer:?}"),
        format!("{with_issuer:?}"),
    ] {
        for hidden in [
            secret,
            "s3cret",
            "48, 49",
            signer.pem().lines().nth(1).unwrap(),
        ] {
            assert!(!shown.contains(hidden), "{shown}");
        }
    }
}
