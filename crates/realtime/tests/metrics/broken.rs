//! A recorder that panics, whatever it is asked for.

use metrics::{
    Counter, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit,
    set_default_local_recorder,
};
use realtime::CloseCode;
use serde_json::json;

use super::{builder, named, support::Server};

struct Panics;

impl Recorder for Panics {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        panic!("the recorder wants no {}", key.name())
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        panic!("the recorder wants no {}", key.name())
    }

    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        panic!("the recorder wants no {}", key.name())
    }
}

/// All of it runs in the thread of this test.
#[tokio::test]
async fn a_recorder_that_panics_costs_nobody_anything() {
    let gateway = builder().build().unwrap();
    let _local = set_default_local_recorder(&Panics);
    let server = Server::start(gateway).await;
    let mut ann = named(&server, "ann").await;
    for n in 0..3 {
        let answer = ann.request("echo", json!(n)).await.unwrap();
        assert_eq!(answer["data"], n);
    }
    for session in server.gateway.local_sessions() {
        session.close(CloseCode::DISCONNECTED, "signed out");
    }
    let (code, _reason) = ann.closed().await.unwrap();
    assert_eq!(code, CloseCode::DISCONNECTED.as_u16());
    assert_eq!(server.gateway.stats().panics, 0);
    let _bob = named(&server, "bob").await;
    server.stop().await;
}
