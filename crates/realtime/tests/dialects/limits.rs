//! Limits count messages, however they are packed.

use realtime::config::{Limits, Rate};

use super::*;

fn limited() -> Builder {
    let mut limits = Limits::default();
    limits.messages_per_session = Some(Rate::per_second(1).with_burst(5));
    builder().limits(limits)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frame_of_many_is_many() {
    let server = start(limited()).await;
    let mut ann = speaking(&server, "slang", "ann").await;
    let many: Vec<String> = (0..8).map(|n| format!("{n} echo {n}")).collect();
    ann.send_text(&many.join("\n")).await.unwrap();
    let mut answers = Vec::new();
    for _ in 0..8 {
        answers.push(hear(&mut ann).await);
    }
    answers.sort();
    for (n, answer) in answers.iter().enumerate() {
        match n {
            0..5 => assert_eq!(*answer, format!("{n} ok {n}")),
            _ => assert_eq!(*answer, format!("{n} sorry too_many_requests")),
        }
    }
    // None of a frame that is one too many is handled, and each is told.
    ann.send_text("a echo 1\nb echo 2\n?").await.unwrap();
    assert_eq!(hear(&mut ann).await, "a sorry too_many_requests");
    assert_eq!(hear(&mut ann).await, "b sorry too_many_requests");
    // Nor is it answered by the dialect, which counts, too.
    ann.send_text("?\n?").await.unwrap();
    assert_eq!(hear(&mut ann).await, "- sorry too_many_requests");
    // Each part counts, and for one thing.
    let stats = server.gateway.stats();
    let counted = (stats.received, stats.rate_limited, stats.malformed);
    assert_eq!(counted, (5, 3 + 3 + 2, 0));
}
