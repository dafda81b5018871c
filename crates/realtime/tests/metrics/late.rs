//! Gateways, and recorders that come and go.

use realtime::Gateway;

use super::{ByName, builder, named, scrape::Metrics, start, support::Server};

/// Run by itself, there is no recorder in this process until the gateway is built.
#[tokio::test]
async fn a_recorder_that_comes_after_the_gateway_and_before_its_sessions_hears_everything() {
    let gateway = realtime::builder()
        .name("early")
        .authenticator(ByName)
        .build()
        .unwrap();
    gateway.record_metrics();
    let server = Server::start(gateway).await;
    super::scrape::install();
    let metrics = Metrics::of(&server.gateway);
    let mut ann = named(&server, "ann").await;
    ann.request("ping", serde_json::Value::Null).await.unwrap();
    metrics.is("realtime_sessions_opened_total", &[], 1.).await;
    metrics
        .is(
            "realtime_handler_duration_seconds",
            &[("route", "ping")],
            1.,
        )
        .await;
    server.stop().await;
}

#[tokio::test]
async fn it_is_told_by_itself_and_at_the_end_once_more() {
    let (server, metrics) = start(builder()).await;
    let ann = named(&server, "ann").await;
    let sessions = || {
        let recorded = metrics.recorded();
        let sample = recorded
            .iter()
            .find(|sample| sample.name == "realtime_sessions");
        sample.map(|sample| sample.value)
    };
    realtime_testkit::wait::until("it is told", async || sessions() == Some(1.)).await;
    drop(ann);
    server.stop().await;
    realtime_testkit::wait::until("it is told again", async || sessions() == Some(0.)).await;
}

#[tokio::test]
async fn two_of_one_name_are_added_up_and_two_of_two_names_told_apart() {
    let named_alike = async || {
        let gateway: Gateway = builder().name("alike").build().unwrap();
        Server::start(gateway).await
    };
    let (one, two) = (named_alike().await, named_alike().await);
    let (other, metrics) = start(builder()).await;
    let _clients = [
        named(&one, "ann").await,
        named(&two, "ann").await,
        named(&other, "ann").await,
    ];
    let (of_one, of_two) = (Metrics::of(&one.gateway), Metrics::of(&two.gateway));
    let both = async || {
        let _told = of_two.all();
        of_one.value("realtime_sessions_opened_total", &[]) >= 2.
    };
    realtime_testkit::wait::until("both are counted", both).await;
    metrics.is("realtime_sessions_opened_total", &[], 1.).await;
    for server in [one, two, other] {
        server.stop().await;
    }
}
