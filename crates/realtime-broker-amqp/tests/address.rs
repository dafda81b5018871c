//! The server that a URL names is the one that is spoken to.
#![allow(clippy::panic, clippy::unwrap_used, reason = "a test fails by a panic")]

use realtime_broker_amqp::AmqpBroker;
use realtime_core::{
    Incarnation, NodeId,
    broker::{Broker, Join, NodeInfo},
};
use realtime_testkit::wait::within;
use tokio::{io::AsyncReadExt, net::TcpListener};

#[tokio::test]
async fn an_ipv6_address_is_not_replaced_by_localhost() {
    let six = TcpListener::bind("[::1]:0").await.unwrap();
    let port = six.local_addr().unwrap().port();
    // What "localhost" would lead to, at the same port.
    let four = TcpListener::bind(("127.0.0.1", port)).await.unwrap();
    let broker = AmqpBroker::from_url(format!("amqp://u:s3cret@[::1]:{port}")).unwrap();
    let node = NodeInfo::new(NodeId::random(), Incarnation::random());
    // Read while it is being joined: whoever gives that up hangs up, too.
    let met = async {
        let (mut stream, mut hello) = (six.accept().await.unwrap().0, [0; 4]);
        stream.read_exact(&mut hello).await.unwrap();
        (stream, hello)
    };
    let met = async {
        tokio::select! {
            met = met => met,
            _ = four.accept() => panic!("it went to 127.0.0.1"),
            _ = broker.subscribe(Join::new(node)) => panic!("nobody answered"),
        }
    };
    let (stream, hello) = within("a connection", met).await;
    assert_eq!(&hello, b"AMQP");
    let refused = within(
        "the end",
        broker.subscribe(Join::new(NodeInfo::new(
            NodeId::random(),
            Incarnation::random(),
        ))),
    );
    drop((stream, six));
    let error = refused.await.unwrap_err();
    assert!(
        error.to_string().contains(&format!("amqp://[::1]:{port}/")),
        "{error}"
    );
    assert!(!format!("{error:?}").contains("s3cret"));
}
