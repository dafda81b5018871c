//! Which dialect a client speaks.

use realtime::error::BuildErrorKind;

use super::*;

async fn chosen(server: &Server, offered: &str) -> (Option<String>, Client) {
    let request = Request::new("/ws?ann").header("Sec-WebSocket-Protocol", offered);
    let client = request.connect(server.addr).await.unwrap();
    let head = client
        .answer
        .header("sec-websocket-protocol")
        .map(str::to_owned);
    (head, client)
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_the_first_that_the_client_offers_and_the_codec_where_it_offers_none() {
    let server = start(builder()).await;
    for (offered, expected) in [
        ("slang, realtime.json", "slang"),
        ("realtime.json, slang", "realtime.json"),
        ("unknown, loud, slang", "loud"),
    ] {
        assert_eq!(chosen(&server, offered).await.0.as_deref(), Some(expected));
    }
    let (none, mut client) = chosen(&server, "Slang, unknown").await;
    assert_eq!(none, None);
    assert_eq!(
        client.request("who", Value::Null).await.unwrap()["data"],
        "ann"
    );
}

/// Clients that can do nothing else are told apart by where they connect.
#[tokio::test(flavor = "multi_thread")]
async fn where_a_client_connects_may_say_what_it_speaks() {
    let gateway = builder().build().unwrap();
    assert!(gateway.speaking("French").is_none());
    let (slang, json) = (
        gateway.speaking("slang").unwrap(),
        gateway.speaking("realtime.json").unwrap(),
    );
    let by_query = slang.clone();
    let app = axum::Router::new()
        .route_service("/slang", slang.clone())
        .route_service("/json", json)
        .route(
            "/accepted",
            axum::routing::any(async move |upgrade: realtime::Upgrade| {
                by_query.accept(upgrade, Identity::new("host"))
            }),
        );
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let served = tokio::spawn(realtime::serve(listener, app, gateway).into_future());
    let mut plain = Request::new("/slang?ann").connect(addr).await.unwrap();
    assert_eq!(hear(&mut plain).await, "welcome ann -");
    // What it offers is chosen only where it is this.
    for (offered, chosen) in [("realtime.json", None), ("loud, slang", Some("slang"))] {
        let request = Request::new("/slang?ann").header("Sec-WebSocket-Protocol", offered);
        let mut client = request.connect(addr).await.unwrap();
        assert_eq!(client.answer.header("sec-websocket-protocol"), chosen);
        assert_eq!(hear(&mut client).await, "welcome ann -");
    }
    let mut accepted = Request::new("/accepted").connect(addr).await.unwrap();
    assert_eq!(hear(&mut accepted).await, "welcome host -");
    let mut json = Request::new("/json?bob").connect(addr).await.unwrap();
    assert_eq!(
        json.request("who", Value::Null).await.unwrap()["data"],
        "bob"
    );
    served.abort();
}

#[test]
fn names_are_proper_and_differ() {
    let refused = |builder: Builder| {
        let error = builder.build().unwrap_err();
        assert_eq!(error.kind(), BuildErrorKind::InvalidOption);
        error.to_string()
    };
    assert!(refused(builder().codec(Loud)).contains("\"loud\" twice"));
    assert!(refused(crate::support::builder().codec(realtime::codec::JsonCodec)).contains("twice"));
    let many = (0..20).fold(crate::support::builder(), |builder, _| builder.codec(Loud));
    assert!(refused(many).contains("at most 16"));
}
