//! What is compressed, and what in vain.

use realtime::config::Compression;
use realtime_client::{Client, Json};

use super::{builder, start};

#[tokio::test]
async fn what_is_compressed_is_counted_before_and_after_it() {
    let (server, metrics) = start(builder().compression(Compression::default())).await;
    let url = format!("ws://{}/ws?ann", server.addr);
    let ann = Client::builder(&url).compression().connect().unwrap();
    let echoed = async |text: String| {
        let echoed = ann.request("echo", Json(&text)).await.unwrap();
        assert_eq!(echoed.decode::<String>().unwrap(), text);
    };
    // It is short, it shrinks, and it would be taken for a bomb.
    echoed("short".to_owned()).await;
    echoed("so much ado ".repeat(400)).await;
    echoed("a".repeat(200_000)).await;
    let compressed = "realtime_messages_compressed_total";
    for outcome in ["smaller", "in_vain"] {
        metrics.is(compressed, &[("outcome", outcome)], 1.).await;
    }
    metrics
        .moves(
            "realtime_messages_compressed_total",
            "outcome",
            &["smaller", "in_vain"],
        )
        .await;
    metrics
        .moves(
            "realtime_compressed_bytes_total",
            "side",
            &["before", "after"],
        )
        .await;
    metrics
        .is("realtime_messages_compressed_total", &[], 2.)
        .await;
    metrics
        .at_least(
            "realtime_compressed_bytes_total",
            &[("side", "before")],
            4_800.,
        )
        .await;
    let after = metrics.value("realtime_compressed_bytes_total", &[("side", "after")]);
    assert!((20. ..200.).contains(&after), "{after}");
    ann.close().await;
    server.stop().await;
}
