//! What is made, held or asked once a client has ended.

use futures::StreamExt;
use realtime::{Router, room::RoomRule};
use realtime_client::{Client, Json, RequestError};
use realtime_testkit::wait::within;
use tokio::runtime;

use super::{quick, server::Server};

#[tokio::test]
async fn streams_that_are_made_after_the_end_are_at_their_end() {
    let server = Server::plain().await;
    let client = quick(server.port()).connect().unwrap();
    within("a connection", client.online()).await.unwrap();
    client.close().await;
    let messages = within("the end", client.messages().next()).await;
    assert_eq!(messages, None);
    let question = within("the end", client.on_request().next()).await;
    assert!(question.is_none());
    let joined = within("an error", client.room("a").join()).await;
    assert!(matches!(joined, Err(RequestError::Ended)), "{joined:?}");
    let sent = within("an error", client.send("echo", Json(1))).await;
    assert!(matches!(sent, Err(RequestError::Ended)), "{sent:?}");
}

#[test]
fn streams_end_with_the_runtime_of_their_client() {
    let runtime = || runtime::Builder::new_multi_thread().enable_all().build();
    let (here, there) = (runtime().unwrap(), runtime().unwrap());
    let rooms = Router::new().room("{name}", RoomRule::open());
    let server = here.block_on(Server::start(realtime::builder().router(rooms)));
    let port = server.port();
    let joining = async {
        let client = quick(port).connect().unwrap();
        let room = client.room("a").join().await.unwrap();
        (client, room)
    };
    let (client, mut room): (Client, _) = there.block_on(within("the room", joining));
    let (mut messages, mut questions) = (client.messages(), client.on_request());
    there.shutdown_background();
    here.block_on(async {
        assert!(within("the end of the room", room.next()).await.is_none());
        assert_eq!(within("the end", messages.next()).await, None);
        assert!(within("the end", questions.next()).await.is_none());
        assert!(within("the end", client.messages().next()).await.is_none());
        within("the end", client.ended()).await;
        let lost = within("an error", client.request("echo", Json(1))).await;
        assert!(matches!(lost, Err(RequestError::Ended)), "{lost:?}");
    });
}
