//! Held to the suite that every broker passes, on real servers.
#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

use custom_broker::Nats;
use realtime_core::broker::pubsub::PubSubBroker;
use realtime_testkit::servers;

realtime_testkit::broker_suite!({
    let server = servers::Nats::start().await.unwrap();
    // Dots stand between the parts of a subject.
    let url = format!("{}?namespace=..suite.", server.url());
    move || {
        // It ends with the last of its members.
        let _server = &server;
        PubSubBroker::new(Nats::new(&url).unwrap())
    }
});
