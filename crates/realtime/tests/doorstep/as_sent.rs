//! A token arrives as it was sent, wherever it stands: also one in base64url with its padding.

use realtime::{Identity, auth::StaticToken};
use realtime_testkit::client::{Client, Request};

use super::{Server, builder, code, end, first_message, nobody, show, start, who};

/// In base64url it stands for bytes that no token has.
const TOKEN: &str = "8J-Y_w==";
/// The same in base64url once more, with its padding and without it.
const AROUND: [&str; 2] = ["OEotWV93PT0=", "OEotWV93PT0"];

async fn server(with: impl FnOnce(StaticToken) -> StaticToken) -> Server {
    let token = StaticToken::new(TOKEN, Identity::new("ann")).unwrap();
    let token = token.from_query("token").from_cookie("auth");
    start(builder().authenticator(with(token))).await
}

fn offering(token: &str) -> Request {
    let offered = format!("realtime.json, {token}");
    Request::new("/ws").header("Sec-WebSocket-Protocol", &offered)
}

async fn is_ann(server: &Server, request: Request) -> Client {
    let mut client = request.connect(server.addr).await.unwrap();
    assert_eq!(who(&mut client).await, "ann");
    client
}

#[tokio::test]
async fn a_token_in_base64url_arrives_by_each_way() {
    let server = server(|token| token.from_subprotocol("token.")).await;
    let mut clients = Vec::new();
    let escaped = TOKEN.replace('=', "%3D");
    for request in [
        Request::new("/ws").header("Authorization", &format!("Bearer {TOKEN}")),
        Request::new(format!("/ws?token={TOKEN}")),
        Request::new(format!("/ws?token={escaped}")),
        Request::new("/ws").header("Cookie", &format!("auth={TOKEN}")),
        Request::new("/ws").header("Cookie", &format!("auth=\"{TOKEN}\"")),
        Request::new("/ws").header("Cookie", &format!("auth={escaped}")),
        offering(&format!("token.{TOKEN}")),
    ] {
        clients.push(is_ann(&server, request).await);
    }
    let mut client = nobody(&server).await;
    assert_eq!(show(&mut client, TOKEN).await["route"], "authenticate");
    assert_eq!(who(&mut client).await, "ann");
    // And anew, on the connection.
    assert_eq!(show(&mut client, TOKEN).await["route"], "authenticate");
    clients.push(client);

    // Nothing is decoded that its place doesn't ask for.
    let [other, _] = AROUND;
    assert_eq!(
        Request::new(format!("/ws?token={other}"))
            .refused(server.addr)
            .await
            .status,
        401
    );
    let bare = offering(&format!("token.{other}"));
    assert_eq!(bare.refused(server.addr).await.status, 401);
    let mut guess = nobody(&server).await;
    guess.send_text(&first_message(other)).await.unwrap();
    assert_eq!(code(&mut guess).await, 3500);
    end(server, clients).await;
}

#[tokio::test]
async fn a_subprotocol_may_hold_any_token_in_base64url() {
    const PREFIX: &str = "base64url.bearer.";
    let server = server(|token| token.from_base64url_subprotocol(PREFIX)).await;
    let mut clients = Vec::new();
    for token in AROUND {
        let client = is_ann(&server, offering(&format!("{PREFIX}{token}"))).await;
        let chosen = client.answer.header("sec-websocket-protocol");
        assert_eq!(chosen, Some("realtime.json"));
        clients.push(client);
    }
    for wrong in [TOKEN, "b3RoZXI", "!", "OEotWV93PT1"] {
        let request = offering(&format!("{PREFIX}{wrong}"));
        assert_eq!(request.refused(server.addr).await.status, 401, "{wrong}");
    }
    end(server, clients).await;
}
