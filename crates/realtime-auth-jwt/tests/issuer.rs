//! Keys from an issuer that rotates them, is slow, breaks, and goes away.
#![allow(clippy::panic, clippy::unwrap_used, reason = "a test fails by a panic")]

mod support;

use std::time::{Duration, Instant};

use futures::{FutureExt, StreamExt, future::join_all, stream::FuturesUnordered};
use realtime_auth_jwt::{Algorithm, Jwks, Jwt};
use realtime_core::auth::{AuthError, AuthErrorKind};
use realtime_testkit::wait::{until, within};
use serde_json::{Value, json};
use support::{
    Signer, accepted, ada, for_chat,
    issuer::{Answer, Issuer},
    refused, show,
};
use tokio::time::sleep;

const PUBLIC: [&str; 9] = [
    "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA",
];
const TICK: Duration = Duration::from_millis(100);

fn built(jwks: Jwks) -> Jwt {
    for_chat(jwks).build().unwrap()
}

/// Keys are renewed, and an unknown one makes the issuer be asked, all the time.
fn eager(issuer: &Issuer) -> Jwks {
    issuer.jwks().refresh_after(TICK).unknown_kid_interval(TICK)
}

fn es(signer: &Signer, kid: &str) -> String {
    signer.named("ES256", kid, &ada())
}

fn is_unavailable(result: Result<realtime_core::Identity, AuthError>) {
    assert_eq!(result.unwrap_err().kind(), AuthErrorKind::Unavailable);
}

#[tokio::test]
async fn every_algorithm_is_accepted_with_a_published_key() {
    let signers = [
        ("rsa", Signer::rsa()),
        ("p256", Signer::p256()),
        ("p384", Signer::p384()),
        ("ed", Signer::ed()),
    ];
    let keys: Vec<Value> = signers
        .iter()
        .map(|(kid, signer)| signer.jwk(kid))
        .collect();
    let issuer = Issuer::start(Answer::keys(&keys)).await;
    let jwt = built(issuer.jwks());
    for algorithm in PUBLIC {
        let of = |kid: &str| signers.iter().find(|(its, _)| *its == kid).unwrap();
        let (kid, signer) = match algorithm {
            "ES256" => of("p256"),
            "ES384" => of("p384"),
            "EdDSA" => of("ed"),
            _ => of("rsa"),
        };
        accepted(&jwt, &signer.named(algorithm, kid, &ada())).await;
        for (other, _) in signers.iter().filter(|(other, _)| other != kid) {
            refused(&jwt, &signer.named(algorithm, other, &ada())).await;
        }
    }
    assert_eq!(issuer.requests(), 1);
    let only = for_chat(issuer.jwks())
        .algorithms([Algorithm::PS384])
        .build()
        .unwrap();
    accepted(&only, &signers[0].1.named("PS384", "rsa", &ada())).await;
    refused(&only, &signers[0].1.named("RS256", "rsa", &ada())).await;
}

#[tokio::test]
async fn a_hundred_tokens_at_once_wait_for_one_fetch() {
    let signer = Signer::p256();
    let body = json!({ "keys": [signer.jwk("1")] }).to_string();
    let issuer = Issuer::start(Answer::Late(TICK, body)).await;
    let jwt = built(issuer.jwks());
    let tokens: Vec<String> = (0..100).map(|_| es(&signer, "1")).collect();
    let shown = join_all(tokens.iter().map(|token| show(&jwt, token)));
    for identity in within("all of them", shown).await {
        assert_eq!(identity.unwrap().id(), "ada");
    }
    assert_eq!(issuer.requests(), 1);
    // It is there already.
    jwt.fetch_keys().await.unwrap();
    assert_eq!(issuer.requests(), 1);
}

#[tokio::test]
async fn the_fetch_goes_on_without_those_who_waited_for_it() {
    let signer = Signer::p256();
    let body = json!({ "keys": [signer.jwk("1")] }).to_string();
    let issuer = Issuer::start(Answer::Late(TICK, body)).await;
    let jwt = built(issuer.jwks());
    let token = es(&signer, "1");
    for _ in 0..5 {
        // Where the machine is busy, this one may have lasted until the end.
        let _gone = tokio::time::timeout(TICK / 20, show(&jwt, &token)).await;
    }
    accepted(&jwt, &token).await;
    assert_eq!(issuer.requests(), 1);
}

#[tokio::test]
async fn the_fetch_ends_with_the_authenticator() {
    let issuer = Issuer::start(Answer::Silence).await;
    // Longer than a test waits.
    let jwt = built(issuer.jwks().timeout(TICK * 300));
    let clone = jwt.clone();
    let token = es(&Signer::p256(), "1");
    let gone = tokio::time::timeout(TICK, show(&jwt, &token)).await;
    assert!(gone.is_err());
    drop(jwt);
    until("the request is there", async || issuer.open() == 1).await;
    drop(clone);
    until("nobody waits any more", async || issuer.open() == 0).await;
    assert_eq!(issuer.requests(), 1);
}

#[tokio::test]
async fn new_keys_are_found_and_old_ones_end() {
    let (old, new) = (Signer::p256(), Signer::p256());
    let issuer = Issuer::start(Answer::keys(&[old.jwk("old")])).await;
    let jwt = built(issuer.jwks());
    accepted(&jwt, &es(&old, "old")).await;
    issuer.answers(Answer::keys(&[old.jwk("old"), new.jwk("new")]));
    // With the first token that has it, though the keys are young.
    accepted(&jwt, &es(&new, "new")).await;
    accepted(&jwt, &es(&old, "old")).await;
    assert_eq!(issuer.requests(), 2);

    let eager = built(eager(&issuer));
    accepted(&eager, &es(&old, "old")).await;
    issuer.answers(Answer::keys(&[new.jwk("new")]));
    until("the old key is gone", async || {
        show(&eager, &es(&old, "old")).await.is_err()
    })
    .await;
    refused(&eager, &es(&old, "old")).await;
    accepted(&eager, &es(&new, "new")).await;
}

/// A signature that doesn't fit says that there may be a new key, as a name would.
#[tokio::test]
async fn a_new_key_is_found_where_tokens_name_none() {
    let (old, new) = (Signer::p256(), Signer::p256());
    let nameless = |signer: &Signer| {
        let mut key = signer.jwk("");
        key.as_object_mut().unwrap().remove("kid");
        Answer::keys(&[key])
    };
    for named in [false, true] {
        let publish = |signer: &Signer| match named {
            true => Answer::keys(&[signer.jwk("1")]),
            false => nameless(signer),
        };
        let issuer = Issuer::start(publish(&old)).await;
        let jwt = built(issuer.jwks());
        accepted(&jwt, &old.token("ES256", &ada())).await;
        issuer.answers(publish(&new));
        accepted(&jwt, &new.token("ES256", &ada())).await;
        assert_eq!(issuer.requests(), 2);
        refused(&jwt, &old.token("ES256", &ada())).await;
    }
}

#[tokio::test]
async fn a_flood_of_unknown_keys_is_three_requests_and_refuses_nobody_for_good() {
    let signer = Signer::p256();
    let issuer = Issuer::start(Answer::keys(&[signer.jwk("1")])).await;
    let jwt = built(issuer.jwks());
    accepted(&jwt, &es(&signer, "1")).await;
    for round in 0..20 {
        let tokens: Vec<String> = (0..50)
            .map(|n| es(&signer, &format!("x{round}-{n}")))
            .collect();
        let shown = join_all(tokens.iter().map(|token| show(&jwt, token)));
        for shown in within("all of them", shown).await {
            shown.unwrap_err();
        }
    }
    accepted(&jwt, &es(&signer, "1")).await;
    assert_eq!(issuer.requests(), 4);
    // The issuer has a new key by now, and isn't asked for it: its tokens come again.
    let new = Signer::p256();
    issuer.answers(Answer::keys(&[signer.jwk("1"), new.jwk("new")]));
    until("nobody knows any more", async || {
        let error = show(&jwt, &es(&new, "new")).await.unwrap_err();
        error.kind() == AuthErrorKind::Unavailable
    })
    .await;
    assert_eq!(issuer.requests(), 4);
    issuer.answers(Answer::keys(&[signer.jwk("1")]));

    let (jwt, start) = (
        built(eager(&issuer).refresh_after(TICK * 100)),
        Instant::now(),
    );
    accepted(&jwt, &es(&signer, "1")).await;
    while start.elapsed() < TICK * 5 {
        refused(&jwt, &es(&signer, "x")).await;
    }
    let most = 5 + (start.elapsed().as_millis() / TICK.as_millis()) as usize;
    assert!(
        (8..=4 + most).contains(&issuer.requests()),
        "{}",
        issuer.requests()
    );
}

/// Else they would have all the places that the gateway has for those who authenticate.
#[tokio::test]
async fn at_most_64_unknown_keys_wait_for_an_issuer_that_hangs() {
    let signer = Signer::p256();
    let issuer = Issuer::start(Answer::keys(&[signer.jwk("1")])).await;
    let jwt = built(issuer.jwks());
    accepted(&jwt, &es(&signer, "1")).await;
    issuer.answers(Answer::Silence);
    let unknown = es(&signer, "x");
    let mut shown: FuturesUnordered<_> = (0..2_000).map(|_| show(&jwt, &unknown)).collect();
    for _ in 64..2_000 {
        let refused = within("it is refused", shown.next()).await;
        is_unavailable(refused.unwrap());
    }
    assert!(shown.next().now_or_never().is_none());
    assert_eq!((shown.len(), issuer.requests() <= 2), (64, true));
    let good = es(&signer, "1");
    assert!(show(&jwt, &good).now_or_never().unwrap().is_ok());
}

#[tokio::test]
async fn keys_outlive_an_outage_for_so_long_and_no_longer() {
    let signer = Signer::p256();
    let good = Answer::keys(&[signer.jwk("1")]);
    let issuer = Issuer::start(good.clone()).await;
    let jwt = built(eager(&issuer).stale_for(TICK * 20));
    accepted(&jwt, &es(&signer, "1")).await;
    let fetched = Instant::now();
    let bad = [
        Answer::status("500 Internal Server Error"),
        Answer::Raw(Vec::new()),
        Answer::Raw(b"SSH-2.0-OpenSSH_9.2\r\n".to_vec()),
        // There are keys, and none for us.
        Answer::keys(&[json!({ "kty": "XYZ", "kid": "1" })]),
    ];
    for answer in bad.iter().cycle() {
        issuer.answers(answer.clone());
        if fetched.elapsed() > TICK * 8 {
            break;
        }
        accepted(&jwt, &es(&signer, "1")).await;
        sleep(TICK / 10).await;
    }
    // Whether there is a new key, nobody knows.
    is_unavailable(show(&jwt, &es(&signer, "2")).await);
    let requests = issuer.requests();
    assert!(
        (2..12).contains(&requests),
        "{requests} in a second, with pauses"
    );
    until("they are too old", async || {
        show(&jwt, &es(&signer, "1")).await.is_err()
    })
    .await;
    assert!(fetched.elapsed() >= TICK * 19, "{:?}", fetched.elapsed());
    is_unavailable(show(&jwt, &es(&signer, "1")).await);
    issuer.answers(good);
    until("they are fetched again", async || {
        show(&jwt, &es(&signer, "1")).await.is_ok()
    })
    .await;
}

/// Nobody came to this node while the keys got old: what was withdrawn meanwhile ends at once.
#[tokio::test]
async fn a_withdrawn_key_is_not_used_once_more_while_the_issuer_is_there() {
    let (old, new) = (Signer::p256(), Signer::p256());
    let issuer = Issuer::start(Answer::keys(&[old.jwk("old")])).await;
    let jwt = built(issuer.jwks().refresh_after(TICK).timeout(TICK * 10));
    accepted(&jwt, &es(&old, "old")).await;
    issuer.answers(Answer::keys(&[new.jwk("new")]));
    sleep(TICK * 3).await;
    refused(&jwt, &es(&old, "old")).await;
    // While it hangs, the keys are used, and the first who notices waits for them.
    issuer.answers(Answer::Silence);
    sleep(TICK * 3).await;
    accepted(&jwt, &es(&new, "new")).await;
    accepted(&jwt, &es(&new, "new")).await;
}

/// That is what an issuer does in an emergency: it is no mistake that keys should outlive.
#[tokio::test]
async fn nobody_comes_in_once_all_keys_are_withdrawn() {
    let signer = Signer::p256();
    let good = Answer::keys(&[signer.jwk("1")]);
    let issuer = Issuer::start(good.clone()).await;
    let jwt = built(eager(&issuer));
    let tokens = [es(&signer, "1"), signer.token("ES256", &ada())];
    for token in &tokens {
        accepted(&jwt, token).await;
    }
    issuer.answers(Answer::keys(&[]));
    until("they are gone", async || {
        show(&jwt, &tokens[0]).await.is_err()
    })
    .await;
    for token in &tokens {
        show(&jwt, token).await.unwrap_err();
    }
    issuer.answers(good);
    for token in &tokens {
        until("they are there again", async || {
            show(&jwt, token).await.is_ok()
        })
        .await;
    }
}

#[tokio::test]
async fn an_issuer_that_is_away_from_the_beginning_is_found_when_it_comes() {
    let signer = Signer::p256();
    let addr = {
        let gone = Issuer::start(Answer::Silence).await;
        gone.addr
    };
    let url = format!("http://{addr}/jwks.json?secret=s3cret");
    let jwt = built(Jwks::from_url(url).unwrap());
    until("the port is closed", async || {
        tokio::net::TcpStream::connect(addr).await.is_err()
    })
    .await;
    let error = jwt.fetch_keys().await.unwrap_err();
    assert_eq!(error.kind(), AuthErrorKind::Unavailable);
    is_unavailable(show(&jwt, &es(&signer, "1")).await);
    let issuer = Issuer::on(&addr.to_string(), Answer::keys(&[signer.jwk("1")])).await;
    until("it is found", async || {
        show(&jwt, &es(&signer, "1")).await.is_ok()
    })
    .await;
    assert_eq!(issuer.requests(), 1);
}

/// Less than the gateway waits for the authenticator, however long a fetch may take.
#[tokio::test]
async fn a_token_waits_for_four_seconds_and_then_old_keys_are_good() {
    let signer = Signer::p256();
    let issuer = Issuer::start(Answer::keys(&[signer.jwk("1")])).await;
    let patient = |issuer: &Issuer| issuer.jwks().refresh_after(TICK).timeout(TICK * 300);
    let jwt = built(patient(&issuer));
    accepted(&jwt, &es(&signer, "1")).await;
    let silent = Issuer::start(Answer::Silence).await;
    let without = built(patient(&silent));
    issuer.answers(Answer::Silence);
    sleep(TICK * 3).await;
    let (start, token) = (Instant::now(), es(&signer, "1"));
    let (with, without) = futures::join!(show(&jwt, &token), show(&without, &token));
    assert_eq!(with.unwrap().id(), "ada");
    is_unavailable(without);
    assert!(start.elapsed() < Duration::from_millis(4_900));
}

#[tokio::test]
async fn what_is_no_answer_ends_in_its_time_and_size() {
    let signer = Signer::p256();
    let padded = json!({ "keys": [signer.jwk("1")], "x": "x".repeat(256 * 1024) }).to_string();
    let redirect = "302 Found\r\nLocation: /jwks.json?secret=s3cret";
    let head = format!("HTTP/1.1 200 OK\r\nX: {}\r\n", "x".repeat(80_000));
    for answer in [
        Answer::Silence,
        Answer::Trickle,
        Answer::Endless,
        Answer::Body(padded),
        Answer::Raw(head.into_bytes()),
        Answer::Raw(b"\0\xff\xfe garbage".to_vec()),
        Answer::Raw(b"HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\n{\"keys\":[".to_vec()),
        Answer::Body("<html>".to_owned()),
        Answer::Body("[]".to_owned()),
        Answer::Body(format!("{{\"keys\":{}", "[".repeat(100_000))),
        Answer::Body("{\"keys\":{}}".to_owned()),
        Answer::status(redirect),
        Answer::status("404 Not Found"),
        Answer::status("204 No Content"),
    ] {
        let issuer = Issuer::start(answer).await;
        let jwt = built(issuer.jwks().timeout(TICK * 4));
        let start = Instant::now();
        is_unavailable(show(&jwt, &es(&signer, "1")).await);
        assert!(start.elapsed() < Duration::from_secs(5));
        assert!(
            (1..=3).contains(&issuer.requests()),
            "{}",
            issuer.requests()
        );
        until("its connection is closed", async || issuer.open() == 0).await;
    }
    let body = json!({ "keys": [signer.jwk("1")] }).to_string();
    let slow = Issuer::start(Answer::Late(TICK * 5, body)).await;
    accepted(&built(slow.jwks()), &es(&signer, "1")).await;
}

#[tokio::test]
async fn bad_keys_among_good_ones_are_skipped() {
    let (signer, other) = (Signer::p256(), Signer::p256());
    let with = |kid: &str, name: &str, value: Value| {
        let mut key = other.jwk(kid);
        key[name] = value;
        key
    };
    let short = {
        let mut key = Signer::rsa().jwk("short");
        let n = key["n"].as_str().unwrap()[..170].to_owned();
        key["n"] = json!(n);
        key
    };
    let keys = [
        json!(null),
        json!(7),
        json!({}),
        json!({ "kty": "oct", "kid": "oct", "alg": "HS256", "k": support::encoded(support::SECRET) }),
        json!({ "kty": "XYZ", "kid": "new" }),
        json!({ "kty": "OKP", "crv": "X25519", "kid": "x", "x": "AA" }),
        json!({ "kty": "OKP", "crv": "Ed25519", "kid": "ed-short", "x": "AA" }),
        short,
        with("enc", "use", json!("enc")),
        with("ops", "key_ops", json!(["sign"])),
        with("alg", "alg", json!("ES384")),
        with("alg2", "alg", json!("RS256")),
        with("alg3", "alg", json!(1)),
        with("kid", "kid", json!(1)),
        with("crv", "crv", json!("P-384")),
        with("off", "y", other.jwk("x")["x"].clone()),
        with("b64", "x", json!("***")),
        with("good", "key_ops", json!(["verify", "sign"])),
        signer.jwk("1"),
    ];
    let issuer = Issuer::start(Answer::keys(&keys)).await;
    let jwt = built(issuer.jwks().unknown_kid_interval(TICK));
    accepted(&jwt, &es(&signer, "1")).await;
    accepted(&jwt, &es(&other, "good")).await;
    for kid in [
        "enc", "ops", "alg", "alg2", "alg3", "crv", "off", "b64", "kid",
    ] {
        refused(&jwt, &es(&other, kid)).await;
    }
    refused(&jwt, &Signer::hmac().named("HS256", "oct", &ada())).await;
    refused(&jwt, &Signer::rsa().named("RS256", "short", &ada())).await;
    // Several of one name, and each is tried that fits.
    let issuer = Issuer::start(Answer::keys(&[other.jwk("1"), signer.jwk("1")])).await;
    accepted(&built(issuer.jwks()), &es(&signer, "1")).await;
    // No more than so many.
    let mut many: Vec<Value> = (0..64).map(|n| other.jwk(&n.to_string())).collect();
    many.push(signer.jwk("last"));
    let issuer = Issuer::start(Answer::keys(&many)).await;
    let jwt = built(issuer.jwks());
    accepted(&jwt, &es(&other, "63")).await;
    refused(&jwt, &es(&signer, "last")).await;
}

#[test]
fn one_that_was_begun_in_a_runtime_that_is_gone_is_begun_again() {
    let signer = Signer::p256();
    let outer = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    let issuer = outer.block_on(Issuer::start(Answer::Silence));
    // Longer than a test waits.
    let jwt = built(issuer.jwks().timeout(TICK * 300));
    let single = || {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap()
    };
    let token = es(&signer, "1");
    let first = single();
    first.block_on(async {
        assert!(
            tokio::time::timeout(TICK, show(&jwt, &token))
                .await
                .is_err()
        );
    });
    drop(first);
    issuer.answers(Answer::keys(&[signer.jwk("1")]));
    single().block_on(until("it is had", async || {
        show(&jwt, &token).await.is_ok()
    }));
}
