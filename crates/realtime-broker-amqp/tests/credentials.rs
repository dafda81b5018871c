//! Credentials that change while the program runs, on a real RabbitMQ.
#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

use std::{
    io,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
};

use bytes::Bytes;
use futures::StreamExt;
use realtime_broker_amqp::{AmqpBroker, AmqpConfig, AmqpConfigBuilder};
use realtime_core::{
    Incarnation, NodeId, ServerCredentials,
    broker::{Broker, BrokerError, BrokerErrorKind, BrokerEvent, Join, NodeInfo, Topic},
};
use realtime_testkit::{servers::RabbitMq, wait::within};

/// Without credentials.
fn at(server: &RabbitMq) -> AmqpConfigBuilder {
    AmqpConfig::builder(server.url().replace("guest:guest@", ""))
}

async fn joins(config: AmqpConfigBuilder) -> Result<(), BrokerError> {
    let broker = AmqpBroker::new(config.build().unwrap());
    let node = NodeInfo::new(NodeId::random(), Incarnation::random());
    let joined = within("an answer", broker.subscribe(Join::new(node))).await;
    joined.map(drop)
}

#[tokio::test]
async fn a_password_that_is_changed_is_asked_for_again() {
    let server = RabbitMq::start().await.unwrap();
    let valid = Arc::new(Mutex::new("guest".to_owned()));
    let asked = Arc::new(AtomicUsize::new(0));
    let config = at(&server).credentials({
        let (valid, asked) = (Arc::clone(&valid), Arc::clone(&asked));
        move || {
            asked.fetch_add(1, SeqCst);
            let password = valid.lock().unwrap().clone();
            async move { io::Result::Ok(ServerCredentials::new("guest", password)) }
        }
    });
    let broker = AmqpBroker::new(config.build().unwrap());
    let node = NodeInfo::new(NodeId::random(), Incarnation::random());
    let mut events = broker.events();
    let joined = within("joining", broker.subscribe(Join::new(node))).await;
    let _inbox = joined.unwrap();
    assert_eq!(asked.load(SeqCst), 1, "once for a link");

    let words = ["change_password", "guest", "s3cret"];
    server.ctl(&words).await.unwrap();
    server.close_connections().await.unwrap();
    // The old one is refused, which is told.
    let refused = async {
        loop {
            match events.next().await.unwrap() {
                BrokerEvent::Down { cause, .. } if cause.contains("REFUSED") => return,
                event => assert!(!format!("{event:?}").contains("s3cret")),
            }
        }
    };
    within("the refusal", refused).await;
    "s3cret".clone_into(&mut valid.lock().unwrap());
    let back = async { while events.next().await.unwrap() != BrokerEvent::Up {} };
    within("the link to be back", back).await;
    let said = broker.publish(&Topic::All, Bytes::from_static(b"hello"));
    assert!(said.await.is_ok());
    assert!(asked.load(SeqCst) > 2, "anew for each attempt");
}

#[tokio::test]
async fn a_provider_that_fails_is_a_failed_attempt() {
    let server = RabbitMq::start().await.unwrap();
    let failing = async || Err::<ServerCredentials, _>(io::Error::other("no token today"));
    let error = joins(at(&server).credentials(failing)).await.unwrap_err();
    assert_eq!(error.kind(), BrokerErrorKind::Unavailable);
    assert!(format!("{error:?}").contains("no token today"), "{error:?}");

    let panicking = || -> std::future::Ready<io::Result<ServerCredentials>> { panic!("meant") };
    let error = joins(at(&server).credentials(panicking)).await.unwrap_err();
    assert_eq!(error.kind(), BrokerErrorKind::Unavailable);

    let hanging = std::future::pending::<io::Result<ServerCredentials>>;
    let error = joins(at(&server).credentials(hanging)).await.unwrap_err();
    assert_eq!(error.kind(), BrokerErrorKind::Unavailable);
    assert!(format!("{error:?}").contains("TooSlow"), "{error:?}");

    // What the user is isn't said: it is that of the URL.
    let password = async || io::Result::Ok(ServerCredentials::password("guest"));
    assert!(joins(at(&server).credentials(password)).await.is_ok());
}
