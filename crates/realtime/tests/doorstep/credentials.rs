//! Credentials as the world sends them: what isn't ours hides nothing, and a stale cookie locks
//! nobody out.

use realtime::{Identity, auth::StaticToken, revocation::Revocation};
use realtime_testkit::client::Request;

use super::{Server, builder, end, start, who};

/// The status, 101 for those who are let in.
async fn status(server: &Server, path: &str, headers: &[(&str, &str)]) -> u16 {
    let mut request = Request::new(path);
    for (name, value) in headers {
        request = request.header(name, value);
    }
    match request.connect(server.addr).await {
        Ok(mut client) => {
            assert_eq!(who(&mut client).await, "t/0+a==");
            101
        }
        Err(realtime_testkit::client::ClientError::Refused(answer)) => answer.status,
        Err(error) => panic!("{error}"),
    }
}

type Row<'r> = (&'r str, &'r [(&'r str, &'r str)], u16);

const ROWS: [Row<'static>; 18] = [
    ("/ws", &[("Authorization", "Bearer t/0+a==")], 101),
    (
        "/ws?token=t/0%2Ba%3D%3D",
        &[("Authorization", "Basic dTpw")],
        101,
    ),
    ("/ws?token=t/0+a==", &[], 101),
    ("/ws", &[("Cookie", "auth=t/0+a==")], 101),
    ("/ws", &[("Cookie", "auth=t%2F0%2Ba%3D%3D")], 101),
    ("/ws", &[("Cookie", "auth=wrong; auth=t/0+a==")], 101),
    ("/ws", &[("Cookie", "auth=t/0+a==; auth=wrong")], 101),
    (
        "/ws",
        &[
            ("Cookie", "other=1; auth=wrong"),
            ("Cookie", "auth=t/0+a=="),
        ],
        101,
    ),
    (
        "/ws",
        &[
            ("Authorization", "Basic dTpw"),
            ("Authorization", "Bearer t/0+a=="),
        ],
        101,
    ),
    ("/ws", &[("Cookie", "auth=wrong; auth=wronger")], 401),
    (
        "/ws",
        &[("Cookie", "auth=1; auth=2; auth=3; auth=4; auth=t/0+a==")],
        401,
    ),
    ("/ws?token=t/0+a==", &[("Authorization", "Bearer u")], 401),
    // An application beside ours may have a cookie of the same name.
    (
        "/ws",
        &[
            ("Cookie", "auth={\"a\": 1}"),
            ("Authorization", "Bearer t/0+a=="),
        ],
        101,
    ),
    (
        "/ws?token=t/0+a==",
        &[("Cookie", "auth=two words; auth=with \"quotes\"")],
        101,
    ),
    ("/ws?token=wrong", &[("Cookie", "auth={\"a\": 1}")], 401),
    ("/ws", &[("Cookie", "auth={\"a\": 1}")], 401),
    ("/ws", &[("Authorization", "Basic dTpw")], 401),
    ("/ws", &[], 401),
];

#[tokio::test]
async fn of_a_static_token() {
    let token = StaticToken::new("t/0+a==", Identity::new("t/0+a=="))
        .unwrap()
        .from_query("token")
        .from_cookie("auth");
    let server = start(builder().authenticator(token).token_in_message(None)).await;
    for (path, headers, expected) in ROWS {
        let got = status(&server, path, headers).await;
        assert_eq!(got, expected, "{path} {headers:?}");
    }
    end(server, ()).await;
}

/// Nor one of which nobody can say: a JWT of an issuer whose clock is ahead, say.
#[tokio::test]
async fn an_expired_cookie_hides_no_good_one() {
    let server = start(builder().token_in_message(None)).await;
    for cookies in [
        "auth=expired; auth=ann",
        "auth=ann; auth=expired",
        "auth=away; auth=ann",
        "auth=expired; auth=away; auth=wrong; auth=ann",
    ] {
        let request = Request::new("/ws").header("Cookie", cookies);
        let mut client = request.connect(server.addr).await.unwrap();
        assert_eq!(who(&mut client).await, "ann", "{cookies}");
    }
    for (cookies, expected) in [
        ("auth=expired; auth=wrong", 401),
        ("auth=expired; auth=away", 503),
        ("auth=away; auth=expired", 503),
        ("auth=away; auth=wrong", 503),
    ] {
        let request = Request::new("/ws").header("Cookie", cookies);
        assert_eq!(
            request.refused(server.addr).await.status,
            expected,
            "{cookies}"
        );
    }
    end(server, ()).await;
}

/// Which of two that are both refused is told: the one that says to come back with a fresh one.
#[tokio::test]
async fn an_expired_cookie_is_told_before_a_wrong_one() {
    let server = start(builder().accept_then_close(true)).await;
    for cookies in ["auth=expired; auth=wrong", "auth=wrong; auth=expired"] {
        let request = Request::new("/ws").header("Cookie", cookies);
        let mut client = request.connect(server.addr).await.unwrap();
        assert_eq!(super::code(&mut client).await, 3005, "{cookies}");
    }
    end(server, ()).await;
}

/// As after "sign out everywhere": the old cookie is signed as well as the new one, and may stand first.
#[tokio::test]
async fn a_revoked_cookie_hides_no_good_one() {
    let server = start(builder().token_in_message(None)).await;
    for id in ["old", "older"] {
        let revocation = Revocation::token(id);
        server.gateway.revoke(revocation).await.unwrap();
    }
    for cookies in [
        "auth=old; auth=new",
        "auth=new; auth=old",
        "auth=old; auth=wrong; auth=expired; auth=new",
        "auth=expired; auth=older; auth=old; auth=new",
        "auth=old; auth=away; auth=new",
        "auth=away; auth=old; auth=new",
    ] {
        let request = Request::new("/ws").header("Cookie", cookies);
        let mut client = request.connect(server.addr).await.unwrap();
        assert_eq!(who(&mut client).await, "new", "{cookies}");
    }
    for (cookies, expected) in [
        ("auth=old", 401),
        ("auth=old; auth=older", 401),
        ("auth=older; auth=old", 401),
        ("auth=old; auth=wrong", 401),
        ("auth=old; auth=away", 503),
        ("auth=away; auth=old", 503),
        ("auth=old; auth=away; auth=wrong", 503),
        ("auth=old; auth=panics", 500),
    ] {
        let request = Request::new("/ws").header("Cookie", cookies);
        let refused = request.refused(server.addr).await;
        assert_eq!(refused.status, expected, "{cookies}");
    }
    end(server, ()).await;
}

/// Nor one whose end the authenticator leaves to the gateway.
#[tokio::test]
async fn a_cookie_that_the_gateway_finds_to_be_over_hides_no_good_one() {
    let server = start(builder().token_in_message(None)).await;
    for cookies in ["auth=over; auth=ann", "auth=ann; auth=over"] {
        let request = Request::new("/ws").header("Cookie", cookies);
        let mut client = request.connect(server.addr).await.unwrap();
        assert_eq!(who(&mut client).await, "ann", "{cookies}");
    }
    let request = Request::new("/ws").header("Cookie", "auth=over; auth=wrong");
    assert_eq!(request.refused(server.addr).await.status, 401);
    end(server, ()).await;
}

#[tokio::test]
async fn of_two_revoked_cookies_a_page_learns_that_it_is_signed_out() {
    let server = start(builder().accept_then_close(true)).await;
    for id in ["old", "older"] {
        let revocation = Revocation::token(id);
        server.gateway.revoke(revocation).await.unwrap();
    }
    let request = Request::new("/ws").header("Cookie", "auth=old; auth=older");
    let mut client = request.connect(server.addr).await.unwrap();
    assert_eq!(super::code(&mut client).await, 3500);
    end(server, client).await;
}
