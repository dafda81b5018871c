//! What a token has to be before anybody looks at what it says: its form, its header, its key, its
//! signature.
#![allow(clippy::panic, clippy::unwrap_used, reason = "a test fails by a panic")]

mod support;

use base64::{Engine, engine::general_purpose::STANDARD};
use realtime_auth_jwt::{Algorithm, Jwt, Key};
use realtime_core::auth::{AuthErrorKind, Token};
use serde_json::json;
use support::{SECRET, Signer, accepted, ada, encoded, for_chat, refused, show};

/// Each signer, with all that it can.
fn signers() -> Vec<(Signer, &'static [&'static str])> {
    vec![
        (Signer::hmac(), &["HS256", "HS384", "HS512"]),
        (
            Signer::rsa(),
            &["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"],
        ),
        (Signer::p256(), &["ES256"]),
        (Signer::p384(), &["ES384"]),
        (Signer::ed(), &["EdDSA", "Ed25519"]),
    ]
}

const EVERY: [&str; 12] = [
    "HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256",
    "ES384", "EdDSA",
];

#[tokio::test]
async fn every_algorithm_is_accepted_with_its_key_and_no_other_with_it() {
    for (signer, its) in signers() {
        let jwt = for_chat(signer.key()).build().unwrap();
        for algorithm in its {
            let token = signer.token(algorithm, &ada());
            assert_eq!(accepted(&jwt, &token).await.id(), "ada", "{algorithm}");
            // One bit of the signature, and then one of what is signed.
            let (message, signature) = token.rsplit_once('.').unwrap();
            let mut forged = signer.sign(algorithm, message.as_bytes());
            *forged.last_mut().unwrap() ^= 1;
            refused(&jwt, &format!("{message}.{}", encoded(forged))).await;
            let (header, _) = message.split_once('.').unwrap();
            let other = encoded(support::but("sub", json!("bob")).to_string());
            refused(&jwt, &format!("{header}.{other}.{signature}")).await;
            refused(&jwt, &format!("{message}.")).await;
        }
        for other in EVERY.iter().filter(|other| !its.contains(other)) {
            let why = refused(&jwt, &signer.token(other, &ada())).await;
            assert!(why.contains("algorithm"), "{why}");
        }
    }
}

/// The public key is known to everybody: as the secret of an HMAC it would let everybody in.
#[tokio::test]
async fn a_public_key_is_never_taken_for_a_secret() {
    for (signer, _) in signers() {
        if matches!(signer, Signer::Hmac(_)) {
            continue;
        }
        let jwt = for_chat(signer.key().with_kid("1")).build().unwrap();
        let both = [
            signer.key().with_kid("1"),
            Key::hmac(SECRET).unwrap().with_kid("2"),
        ];
        let both = for_chat(both).build().unwrap();
        let pem = signer.pem();
        let der: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
        for secret in [
            pem.trim().as_bytes(),
            pem.as_bytes(),
            &STANDARD.decode(der).unwrap(),
        ] {
            let forger = Signer::Hmac(secret.to_vec());
            for algorithm in ["HS256", "HS384", "HS512"] {
                refused(&jwt, &forger.token(algorithm, &ada())).await;
                refused(&jwt, &forger.named(algorithm, "1", &ada())).await;
                refused(&both, &forger.named(algorithm, "1", &ada())).await;
                refused(&both, &forger.named(algorithm, "2", &ada())).await;
            }
        }
    }
}

#[tokio::test]
async fn what_is_not_signed_is_refused() {
    let jwt = for_chat(Key::hmac(SECRET).unwrap()).build().unwrap();
    let claims = encoded(ada().to_string());
    for alg in [
        "none", "None", "NONE", "nOnE", "", "hs256", "HS256 ", "ES256K",
    ] {
        let header = encoded(json!({ "alg": alg }).to_string());
        refused(&jwt, &format!("{header}.{claims}.")).await;
        let signed = Signer::hmac().raw("HS256", &json!({ "alg": alg }).to_string(), "{}");
        refused(&jwt, &signed).await;
    }
    for header in [
        "{}",
        r#"{"alg":null}"#,
        r#"{"alg":["HS256"]}"#,
        r#"{"alg":256}"#,
        "[]",
        "HS256",
        "",
        "\u{feff}{\"alg\":\"HS256\"}",
    ] {
        refused(
            &jwt,
            &Signer::hmac().raw("HS256", header, &ada().to_string()),
        )
        .await;
    }
}

#[tokio::test]
async fn only_listed_algorithms_are_accepted() {
    let signer = Signer::rsa();
    let only = [Algorithm::RS512, Algorithm::PS256];
    let jwt = for_chat(signer.key()).algorithms(only).build().unwrap();
    for algorithm in ["RS512", "PS256"] {
        accepted(&jwt, &signer.token(algorithm, &ada())).await;
    }
    for algorithm in ["RS256", "RS384", "PS384", "PS512"] {
        refused(&jwt, &signer.token(algorithm, &ada())).await;
    }
}

#[tokio::test]
async fn what_asks_to_be_understood_is_refused() {
    let signer = Signer::hmac();
    let jwt = for_chat(signer.key()).build().unwrap();
    let signed = |header: &str| signer.raw("HS256", header, &ada().to_string());
    for header in [
        r#"{"alg":"HS256"}"#,
        r#"{"alg":"HS256","typ":"jwt","cty":"json"}"#,
        r#"{"alg":"HS256","typ":"application/at+JWT","x5t":"x","anything":{"else":[1]}}"#,
        // Keys that come along are no keys.
        r#"{"alg":"HS256","jwk":{"kty":"oct","k":"AA"},"jku":"https://evil.example.com/"}"#,
    ] {
        accepted(&jwt, &signed(header)).await;
    }
    for (header, expected) in [
        (r#"{"alg":"HS256","crit":["exp"]}"#, "crit"),
        (r#"{"alg":"HS256","crit":[]}"#, "crit"),
        (r#"{"alg":"HS256","b64":false}"#, "b64"),
        (r#"{"alg":"HS256","b64":true}"#, "b64"),
        (r#"{"alg":"HS256","enc":"A128GCM"}"#, "encrypted"),
        (r#"{"alg":"HS256","zip":"DEF"}"#, "compressed"),
        (r#"{"alg":"HS256","cty":"JWT"}"#, "holds another"),
        (
            r#"{"alg":"HS256","cty":"application/jwt"}"#,
            "holds another",
        ),
        (r#"{"alg":"HS256","typ":"logout+jwt"}"#, "type"),
        (r#"{"alg":"HS256","typ":""}"#, "type"),
        (r#"{"alg":"HS256","typ":1}"#, "texts"),
        (r#"{"alg":"HS256","kid":1}"#, "texts"),
        (r#"{"alg":"HS256","alg":"HS256"}"#, "twice"),
        (r#"{"alg":"none","\u0061lg":"HS256"}"#, "twice"),
        (r#"{"alg":"HS256","x":{"y":1,"y":2}}"#, "twice"),
    ] {
        let why = refused(&jwt, &signed(header)).await;
        assert!(why.contains(expected), "{header}: {why}");
    }
    let logout = for_chat(signer.key())
        .types(["LOGOUT+jwt"])
        .build()
        .unwrap();
    accepted(
        &logout,
        &signed(r#"{"alg":"HS256","typ":"application/logout+jwt"}"#),
    )
    .await;
    refused(&logout, &signed(r#"{"alg":"HS256","typ":"JWT"}"#)).await;
}

#[tokio::test]
async fn what_is_no_jwt_is_refused() {
    let signer = Signer::hmac();
    let jwt = for_chat(signer.key()).build().unwrap();
    let good = signer.token("HS256", &ada());
    accepted(&jwt, &good).await;
    let [header, claims, signature]: [&str; 3] =
        good.split('.').collect::<Vec<_>>().try_into().unwrap();
    for token in [
        "x",
        ".",
        "..",
        "...",
        "....",
        header,
        &format!("{header}.{claims}"),
        &format!("{good}."),
        &format!(".{good}"),
        // Five parts: encrypted.
        &format!("{good}.{claims}.{signature}"),
        &format!("{header}..{signature}"),
        // base64url has one form.
        &format!("{good}="),
        &format!("{good}A"),
        &format!("{header}=.{claims}.{signature}"),
        &format!("{header}.{claims}+/.{signature}"),
        &format!("{header}%2e{claims}.{signature}"),
    ] {
        refused(&jwt, token).await;
    }
    // The last character of 32 bytes has two bits that say nothing.
    let last = signature.chars().last().unwrap();
    for other in "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_".chars() {
        if other != last {
            let cut = &good[..good.len() - 1];
            refused(&jwt, &format!("{cut}{other}")).await;
        }
    }
}

#[tokio::test]
async fn a_token_of_100_kb_is_refused_before_it_is_one() {
    let long = support::but("x", json!("x".repeat(100_000)));
    let token = Signer::hmac().token("HS256", &long);
    let error = Token::parse(token.as_bytes()).unwrap_err();
    assert_eq!(error.kind(), AuthErrorKind::Unauthorized);
    let jwt = for_chat(Signer::hmac().key()).build().unwrap();
    assert_eq!(
        show(&jwt, &token).await.unwrap_err().kind(),
        AuthErrorKind::Unauthorized
    );
    // As deep as it can be.
    let deep = format!(r#"{{"x":{}}}"#, "[".repeat(6_000));
    refused(
        &jwt,
        &Signer::hmac().raw("HS256", r#"{"alg":"HS256"}"#, &deep),
    )
    .await;
    refused(&jwt, &Signer::hmac().raw("HS256", &deep, "{}")).await;
}

#[tokio::test]
async fn a_key_is_the_one_that_the_token_names() {
    let (old, new, other) = (Signer::p256(), Signer::ed(), Signer::p256());
    let keys = [old.key().with_kid("old"), new.key().with_kid("new")];
    let jwt = for_chat(keys).build().unwrap();
    accepted(&jwt, &old.named("ES256", "old", &ada())).await;
    accepted(&jwt, &new.named("EdDSA", "new", &ada())).await;
    for token in [
        old.named("ES256", "new", &ada()),
        new.named("EdDSA", "old", &ada()),
        other.named("ES256", "old", &ada()),
        old.named("ES256", "unknown", &ada()),
        old.named("ES256", "", &ada()),
        old.named("ES256", "OLD", &ada()),
        old.token("ES256", &ada()),
    ] {
        refused(&jwt, &token).await;
    }
    // A single key with a name, and one without.
    let named = for_chat(old.key().with_kid("old")).build().unwrap();
    accepted(&named, &old.token("ES256", &ada())).await;
    accepted(&named, &old.named("ES256", "old", &ada())).await;
    refused(&named, &old.named("ES256", "other", &ada())).await;
    refused(&named, &other.token("ES256", &ada())).await;
    let nameless = for_chat(old.key()).build().unwrap();
    accepted(&nameless, &old.named("ES256", "any", &ada())).await;
    refused(&nameless, &other.named("ES256", "any", &ada())).await;
}

/// RFC 7515, appendices A.1 to A.3. They have ended in 2011, which is what is looked at last.
#[tokio::test]
async fn the_tokens_of_the_standard_are_signed_as_it_says() {
    let claims = "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
    let secret =
        "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow";
    let secret = base64::engine::general_purpose::URL_SAFE_NO_PAD
        .decode(secret)
        .unwrap();
    let hs = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9";
    let hs = format!("{hs}.{claims}.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk");
    let jwt = Jwt::builder(Key::hmac(secret).unwrap())
        .any_audience()
        .id_claim("iss");
    let jwt = jwt.build().unwrap();
    assert_eq!(
        show(&jwt, &hs).await.unwrap_err().kind(),
        AuthErrorKind::Expired
    );
    let es = "eyJhbGciOiJFUzI1NiJ9";
    let es = format!(
        "{es}.{claims}.DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q"
    );
    let (x, y) = (
        "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
        "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
    );
    let key = json!({ "kty": "EC", "crv": "P-256", "x": x, "y": y });
    let issuer = support::issuer::Issuer::start(support::issuer::Answer::keys(&[key])).await;
    let jwt = Jwt::builder(issuer.jwks())
        .issuer("joe")
        .any_audience()
        .id_claim("iss")
        .build()
        .unwrap();
    assert_eq!(
        show(&jwt, &es).await.unwrap_err().kind(),
        AuthErrorKind::Expired
    );
    refused(&jwt, &es.replace(".Dt", ".Du")).await;
}
