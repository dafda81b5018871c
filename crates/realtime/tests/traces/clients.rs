//! What clients say of traces, and what they are told.

use std::{num::NonZeroU32, time::Instant};

use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use realtime::traces::{OpenTelemetry, TraceParent, Traces};
use realtime_testkit::client::Request;
use serde_json::{Value, json};

use super::{
    Server, Trace, ask,
    collector::{the, those},
    continuing, named, server,
};

/// A last message of this session that is traced for certain: what came before it is exported by
/// then.
async fn settled(server: &Server) {
    let trace = Trace::new();
    let mut last = named(server, "last").await;
    ask(&mut last, "echo", json!(null), &trace.said("01")).await;
    the("the last is traced", |seen| seen.trace == trace.id).await;
}

#[tokio::test]
async fn what_is_broken_or_not_sampled_is_not_continued() {
    let server = server(continuing()).await;
    let mut client = named(&server, "ann").await;
    let (unsampled, broken) = (Trace::new(), Trace::new());
    ask(&mut client, "echo", json!(1), &unsampled.said("00")).await;
    for said in [
        broken.said("01").to_uppercase().replace("00-", "01-"),
        format!("{}-more", broken.said("01")),
        broken.said("zz"),
        "x".repeat(5_000),
        String::new(),
    ] {
        let answer = ask(&mut client, "echo", json!(1), &said).await;
        assert_eq!(answer["data"], 1, "it is handled all the same");
        assert_eq!(answer["metadata"], Value::Null);
    }
    settled(&server).await;
    let node = server.gateway.node_id().as_str();
    let echoes = those(|seen| seen.is_of(node) && seen.name == "echo");
    assert_eq!(echoes.len(), 1, "{echoes:#?}");
    server.stop().await;
}

#[tokio::test]
async fn clients_that_are_ignored_neither_choose_a_trace_nor_that_it_is_recorded() {
    let none = Traces::new(OpenTelemetry::new()).ratio(0.0);
    let all = Traces::new(OpenTelemetry::new());
    let (none, all) = (server(none).await, server(all).await);
    for server in [&none, &all] {
        let trace = Trace::new();
        let request = Request::new("/ws?ann").header("traceparent", &trace.said("01"));
        let mut client = request.connect(server.addr).await.unwrap();
        ask(&mut client, "echo", json!(1), &trace.said("01")).await;
        let unsampled = trace.said("00");
        ask(&mut client, "echo", json!(1), &unsampled).await;
        client.close(1000, "").await.unwrap();
        client.closed().await;
    }
    let of = |server: &Server| {
        let node = server.gateway.node_id().as_str().to_owned();
        move |seen: &super::collector::Seen| seen.is_of(&node) && seen.name == "echo"
    };
    realtime_testkit::wait::until("both are traced", async || those(of(&all)).len() == 2).await;
    let both = those(of(&all));
    assert_ne!(both[0].trace, both[1].trace);
    assert_eq!([both[0].parent, both[1].parent], [0, 0]);
    let node = none.gateway.node_id().as_str();
    let any = those(|seen| seen.is_of(node));
    assert!(
        any.is_empty(),
        "not even who connects is believed: {any:#?}"
    );
    none.stop().await;
    all.stop().await;
}

#[tokio::test]
async fn of_clients_no_more_are_followed_in_a_second_than_was_said() {
    let one = NonZeroU32::MIN;
    let server = server(continuing().follow_clients(one)).await;
    let began = Instant::now();
    let mut client = named(&server, "ann").await;
    for n in 0..500 {
        ask(&mut client, "echo", json!(n), &Trace::new().said("01")).await;
    }
    let seconds = began.elapsed().as_secs();
    let node = server.gateway.node_id().as_str().to_owned();
    client.close(1000, "").await.unwrap();
    client.closed().await;
    server.stop().await;
    // Whatever is exported later than this was traced before.
    let last = super::server(continuing()).await;
    settled(&last).await;
    last.stop().await;
    let traced = those(|seen| seen.is_of(&node)).len() as u64;
    assert!(
        (1..=seconds + 2).contains(&traced),
        "{traced} in {seconds} s"
    );
}

#[tokio::test]
async fn where_there_is_no_place_in_the_metadata_nothing_is_told() {
    let server = server(continuing().tell_clients()).await;
    let mut client = named(&server, "ann").await;
    let said = json!({ "traceparent": Trace::new().said("01") });
    let request = json!({ "id": "t", "route": "push.full", "metadata": said });
    client.send_text(&request.to_string()).await.unwrap();
    let pushed = client.recv_json().await.unwrap();
    assert_eq!(pushed["route"], "pushed", "{pushed}");
    let metadata = pushed["metadata"].as_object().unwrap();
    assert_eq!(metadata.len(), realtime::Message::MAX_METADATA);
    assert!(!metadata.contains_key("traceparent"));
    server.stop().await;
}

#[tokio::test]
async fn of_many_messages_about_the_share_is_traced() {
    let share = Traces::new(OpenTelemetry::new()).ratio(0.25);
    let server = server(super::following(share)).await;
    let mut client = named(&server, "ann").await;
    for n in 0..2_000 {
        client.request("echo", json!(n)).await.unwrap();
    }
    settled(&server).await;
    let node = server.gateway.node_id().as_str();
    let traced = those(|seen| seen.is_of(node) && seen.name == "echo").len();
    // Of 2,000 a quarter, give or take six times what chance makes of it.
    assert!((384..=616).contains(&traced), "{traced}");
    server.stop().await;
}

#[tokio::test]
async fn names_are_patterns_and_never_what_a_client_has_made_up() {
    let server = server(continuing()).await;
    let mut client = named(&server, "ann").await;
    for (route, name) in [
        ("file.secret-plans", "file.*"),
        ("no-such-route", "unknown"),
    ] {
        let trace = Trace::new();
        ask(&mut client, route, json!(1), &trace.said("01")).await;
        let span = the("it is traced", |seen| seen.trace == trace.id).await;
        assert_eq!((&*span.name, span.field("rpc.method")), (name, Some(name)));
        // A line that is logged within it may say which route that was.
        assert!(!format!("{:?}", span.fields).contains(route), "{span:?}");
    }
    // What is answered to nobody is no request.
    let trace = Trace::new();
    let metadata = json!({ "traceparent": trace.said("01") });
    let message = json!({ "route": "echo", "data": 1, "metadata": metadata });
    client.send_text(&message.to_string()).await.unwrap();
    let span = the("it is traced", |seen| seen.trace == trace.id).await;
    assert_eq!(span.kind, SpanKind::Consumer);
    server.stop().await;
}

#[tokio::test]
async fn clients_are_told_where_a_trace_is_only_if_that_is_wished() {
    for tells in [false, true] {
        let traces = if tells {
            continuing().tell_clients()
        } else {
            continuing()
        };
        let server = server(traces).await;
        let mut client = named(&server, "ann").await;
        let trace = Trace::new();
        let said = json!({ "traceparent": trace.said("01") });
        let request = json!({ "id": "t", "route": "push", "metadata": said });
        client.send_text(&request.to_string()).await.unwrap();
        let pushed = client.recv_json().await.unwrap();
        assert_eq!(pushed["route"], "pushed");
        let answer = ask(&mut client, "echo", json!(1), &trace.said("01")).await;
        ask(&mut client, "to.everybody", json!(null), &trace.said("01")).await;
        let broadcast = loop {
            let message = client.recv_json().await.unwrap();
            if message["route"] == "said" {
                break message;
            }
        };
        for message in [pushed, answer, broadcast] {
            let told = &message["metadata"]["traceparent"];
            if tells {
                let told: TraceParent = told.as_str().unwrap().parse().unwrap();
                assert_eq!(u128::from_be_bytes(told.trace_id()), trace.id);
                let span = u64::from_be_bytes(told.span_id());
                the("it tells of a span", |seen| seen.id == span).await;
            } else {
                assert_eq!(message["metadata"], Value::Null);
            }
        }
        // What isn't traced says nothing.
        let answer = client.request("echo", json!(1)).await.unwrap();
        assert_eq!(answer["metadata"], Value::Null);
        server.stop().await;
    }
}
