//! The server asks, and the client answers.

use futures::StreamExt;
use realtime::{Json as ServerJson, error::RequestErrorKind};
use realtime_client::{ClientError, Exchange, Json, Message, RequestError};
use realtime_testkit::wait::within;
use realtime_websocket::{Kind, frame};
use serde_json::json;

use super::{SECOND, quick, scripted::Scripted, server::Server};

#[tokio::test]
async fn questions_are_answered_refused_or_given_up() {
    let server = Server::plain().await;
    let client = quick(server.port()).connect().unwrap();
    within("a connection", client.online()).await.unwrap();
    let session = server.gateway.local_sessions().pop().unwrap();
    let ask = || session.request("confirm", ServerJson("Sure?"), 5 * SECOND);
    // Nobody is there to answer.
    let refused = ask().await.unwrap_err();
    assert_eq!(refused.kind(), RequestErrorKind::Refused);

    let mut questions = client.on_request();
    let answering = async {
        let question = questions.next().await.unwrap();
        assert_eq!(question.message().route(), "confirm");
        assert_eq!(question.message().decode::<String>().unwrap(), "Sure?");
        question.reply(Json(true)).await.unwrap();
    };
    let (answer, ()) = within("the answer", async { tokio::join!(ask(), answering) }).await;
    assert!(answer.unwrap().decode::<bool>().unwrap());

    let refusing = async {
        let question = questions.next().await.unwrap();
        question
            .refuse(ClientError::new("no", "not now"))
            .await
            .unwrap();
    };
    let (refused, ()) = within("the refusal", async { tokio::join!(ask(), refusing) }).await;
    let refused = refused.unwrap_err();
    assert_eq!(ClientError::find_in(&refused).unwrap().code(), "no");

    let dropping = async { drop(questions.next().await.unwrap()) };
    let (refused, ()) = within("the refusal", async { tokio::join!(ask(), dropping) }).await;
    let refused = refused.unwrap_err();
    assert_eq!(ClientError::find_in(&refused).unwrap().code(), "internal");
}

/// The numbers of questions begin anew with each connection.
#[tokio::test]
async fn an_answer_is_to_the_question_of_its_own_connection() {
    let server = Scripted::start().await;
    let client = quick(server.port()).connect().unwrap();
    let mut questions = client.on_request();
    let mut peer = server.accept().await;
    let ask = |text| json!({"request": "1", "route": "confirm", "data": text});
    peer.send(ask("Delete a?")).await;
    let old = within("a question", questions.next()).await.unwrap();
    drop(peer);
    let mut peer = server.accept().await;
    peer.send(ask("Delete b?")).await;
    let new = within("a question", questions.next()).await.unwrap();
    let late = old.reply(Json(true)).await.unwrap_err();
    assert!(
        matches!(late, RequestError::Lost { sent: false, .. }),
        "{late:?}"
    );
    // Nor is there a way around it.
    let answer = || Message::new("", Json(true)).unwrap();
    for exchange in [
        Exchange::Reply("1".into()),
        Exchange::Refusal("1".into(), ClientError::new("no", "")),
    ] {
        let sent = client
            .send_message(answer().with_exchange(exchange.clone()))
            .await;
        assert!(matches!(sent, Err(RequestError::Encode(_))), "{sent:?}");
        let asked = client
            .request_message(answer().with_exchange(exchange), SECOND)
            .await;
        assert!(matches!(asked, Err(RequestError::Encode(_))), "{asked:?}");
    }
    let message = answer().with_metadata("by", "ann");
    let wrong = message.with_exchange(Exchange::Reply("7".into()));
    new.reply_message(wrong).await.unwrap();
    let said = peer.message().await;
    assert_eq!(
        said,
        json!({"reply": "1", "data": true, "metadata": {"by": "ann"}})
    );
    peer.send(ask("Delete c?")).await;
    let question = within("a question", questions.next()).await.unwrap();
    let error = ClientError::new("no", "not now");
    let refusal = Message::default().with_exchange(Exchange::Refusal("7".into(), error));
    question.reply_message(refusal).await.unwrap();
    let said = peer.message().await;
    assert_eq!(
        (&said["reply"], &said["error"]["code"]),
        (&json!("1"), &json!("no"))
    );
    // One that is ignored has no answer.
    peer.send(ask("Delete d?")).await;
    within("a question", questions.next())
        .await
        .unwrap()
        .ignore();
    client.send("after", ()).await.unwrap();
    assert_eq!(peer.message().await["route"], "after");
}

/// What this client answers by itself is bounded, too.
#[tokio::test]
async fn a_server_that_asks_and_does_not_read_gets_no_more_than_so_many_answers() {
    const ASKED: usize = 60_000;
    let server = Scripted::start().await;
    let client = quick(server.port()).connect().unwrap();
    let mut peer = server.accept().await;
    let long = "x".repeat(180);
    for first in (0..ASKED).step_by(1_000) {
        let asked = (first..first + 1_000).map(|n| {
            let question = json!({"request": format!("{n}{long}"), "route": "confirm"});
            frame::server_frame(Kind::Text, question.to_string().as_bytes())
        });
        peer.bytes(&asked.collect::<Vec<_>>().concat()).await;
    }
    peer.send(json!({"id": 1, "route": "heard"})).await;
    let reading = async {
        let mut refused = 0;
        while peer.message().await["route"] != "after" {
            refused += 1;
        }
        refused
    };
    let (sent, refused) = tokio::join!(client.send("after", ()), reading);
    sent.unwrap();
    assert!(refused > 0 && refused < ASKED, "{refused}");
}
