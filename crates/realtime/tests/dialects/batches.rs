//! A frame that holds more than a message.

use super::*;

async fn slang(server: &Server) -> Client {
    speaking(server, "slang", "ann").await
}

#[tokio::test(flavor = "multi_thread")]
async fn all_of_a_frame_is_handled_in_order_and_what_is_wrong_spoils_no_other() {
    let server = start(builder()).await;
    let mut ann = slang(&server).await;
    ann.send_text("1 echo 1\nnonsense\n?\n2 echo [2]\n3 nowhere 1\n4 who")
        .await
        .unwrap();
    let mut answers = Vec::new();
    for _ in 0..6 {
        answers.push(hear(&mut ann).await);
    }
    // What needs no handler waits for none.
    let at_once = ["- sorry malformed", "yes you"];
    let (at_once, handled) = answers
        .iter()
        .map(String::as_str)
        .partition::<Vec<_>, _>(|answer| at_once.contains(answer));
    assert_eq!(at_once, ["- sorry malformed", "yes you"]);
    assert_eq!(
        handled,
        [
            "1 ok 1",
            "2 ok [2]",
            "3 sorry unknown_route",
            "4 ok \"ann\""
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn there_are_not_more_of_them_than_there_may_be() {
    let server = start(builder()).await;
    let mut ann = slang(&server).await;
    let many: Vec<String> = (0..300).map(|n| format!("{n} echo {n}")).collect();
    ann.send_text(&many.join("\n")).await.unwrap();
    let mut answers = Vec::new();
    for _ in 0..257 {
        answers.push(hear(&mut ann).await);
    }
    let at = answers
        .iter()
        .position(|answer| answer == "- sorry malformed");
    answers.remove(at.unwrap());
    for (n, answer) in answers.into_iter().enumerate() {
        assert_eq!(answer, format!("{n} ok {n}"));
    }
    ann.send_text("a echo 1").await.unwrap();
    assert_eq!(hear(&mut ann).await, "a ok 1");
}

/// While a handler runs, what stands behind its message waits, in order.
#[tokio::test(flavor = "multi_thread")]
async fn what_stands_behind_a_slow_handler_waits_for_it() {
    let slow = async |Json(n): Json<u64>| {
        tokio::time::sleep(Duration::from_millis(20)).await;
        Json(n)
    };
    let server = start(builder().router(router().route("slow", slow))).await;
    let mut ann = slang(&server).await;
    ann.send_text("1 slow 1\n2 echo 2\n3 slow 3\n4 echo 4")
        .await
        .unwrap();
    for n in 1..5 {
        assert_eq!(hear(&mut ann).await, format!("{n} ok {n}"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frame_of_the_wrong_kind_ends_the_session_and_a_panic_that_one_alone() {
    let server = start(builder()).await;
    let (mut ann, mut bob) = (slang(&server).await, slang(&server).await);
    ann.send_binary(b"1 echo 1").await.unwrap();
    assert_eq!(ann.closed().await.unwrap().0, 1003);
    let mut cid = slang(&server).await;
    cid.send_text("1 echo 1\npanic").await.unwrap();
    assert_eq!(cid.closed().await.unwrap().0, 1011);
    bob.send_text("1 echo 1").await.unwrap();
    assert_eq!(hear(&mut bob).await, "1 ok 1");
}

/// Whoever leaves behind its messages is owed their answers.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_sent_before_a_close_frame_is_handled_and_answered() {
    let slow = async |Json(n): Json<u64>| {
        tokio::time::sleep(Duration::from_millis(50)).await;
        Json(n)
    };
    let server = start(builder().router(router().route("slow", slow))).await;
    let mut ann = slang(&server).await;
    ann.send_text("1 slow 1").await.unwrap();
    ann.send_text("2 echo 2\n3 slow 3\n4 echo 4").await.unwrap();
    ann.close(1000, "").await.unwrap();
    for n in 1..5 {
        assert_eq!(hear(&mut ann).await, format!("{n} ok {n}"));
    }
    assert_eq!(ann.closed().await.unwrap().0, 1000);
}

/// However much of it is wrong, a frame is one malformed one; and what is right is handled.
#[tokio::test(flavor = "multi_thread")]
async fn many_mistakes_in_a_frame_are_one() {
    let server = start(builder()).await;
    let mut ann = slang(&server).await;
    ann.send_text(&format!("{}1 echo 1", "nonsense\n".repeat(20)))
        .await
        .unwrap();
    let mut answers = Vec::new();
    for _ in 0..21 {
        answers.push(hear(&mut ann).await);
    }
    assert!(answers.contains(&"1 ok 1".to_owned()), "{answers:?}");
    // Ten such frames in a row, and nothing else, end it.
    for _ in 0..10 {
        ann.send_text("nonsense\nnonsense").await.unwrap();
    }
    assert_eq!(ann.closed().await.unwrap().0, 1008);
}

/// A client that pings and reads nothing costs what a socket holds, and gets all answers once it
/// reads.
#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_pings_of_its_own_waits_in_the_socket() {
    let server = start(builder()).await;
    let mut ann = slang(&server).await;
    let frame = Client::<tokio::net::TcpStream>::text_frame(&vec!["?"; 250].join("\n"));
    let (_, mut writer) = ann.stream.split();
    let mut sent = 0;
    // Until nobody takes any more.
    while let Ok(written) = tokio::time::timeout(
        Duration::from_secs(1),
        tokio::io::AsyncWriteExt::write_all(&mut writer, &frame),
    )
    .await
    {
        written.unwrap();
        sent += 250;
        let queued = server.gateway.stats().queued_bytes;
        assert!(
            queued < 1024 * 1024,
            "{queued} bytes wait after {sent} pings"
        );
        if sent > 50_000_000 {
            panic!("it took {sent} pings");
        }
    }
    assert!(sent > 10_000);
}

/// Names are as long as they may be in envelopes, whatever a dialect makes of them.
#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_is_too_long_is_malformed() {
    let server = start(builder()).await;
    let mut ann = slang(&server).await;
    for (id, route) in [
        ("x".repeat(257), "echo".to_owned()),
        ("1".to_owned(), "y".repeat(257)),
    ] {
        ann.send_text(&format!("{id} {route} 1")).await.unwrap();
        assert_eq!(hear(&mut ann).await, "- sorry malformed");
    }
}
