//! The server asks, and the client answers.

use futures::StreamExt;
use realtime::{Json as ServerJson, error::RequestErrorKind};
use realtime_client::{ClientError, Json};
use realtime_testkit::wait::within;

use super::{SECOND, quick, server::Server};

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
