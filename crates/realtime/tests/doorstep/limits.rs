//! Limits hold at the doorstep, too, and a page sees which of them it was.

use realtime::config::Limits;
use realtime_testkit::{client::Request, wait::until};

use super::{
    Builder, Server, Tokens, builder, code, end, first_message, nobody, show, start,
    until_nothing_is_left, who, with,
};

fn limited(set: impl FnOnce(&mut Limits)) -> Builder {
    let mut limits = Limits::default();
    set(&mut limits);
    builder().accept_then_close(true).limits(limits)
}

async fn refused(server: &Server, path: &str) -> u16 {
    let mut client = Request::new(path).connect(server.addr).await.unwrap();
    code(&mut client).await
}

#[tokio::test]
async fn of_connections_of_an_identity() {
    let server = start(limited(|limits| {
        limits.max_connections_per_identity = Some(1)
    }))
    .await;
    let mut ann = nobody(&server).await;
    show(&mut ann, "ann").await;
    let mut second = nobody(&server).await;
    second.send_text(&first_message("ann")).await.unwrap();
    let closed = second.closed().await;
    assert_eq!(closed, Some((3504, "too many connections".into())));
    assert_eq!(server.gateway.stats().connections_limited, 1);
    assert_eq!(refused(&server, "/ws?token=ann").await, 3504);
    assert_eq!(server.gateway.stats().connections_limited, 2);
    // Each who waits has yet to be somebody.
    let mut bob = nobody(&server).await;
    show(&mut bob, "bob").await;
    assert_eq!(who(&mut bob).await, "bob");
    // The place is that of the session, and free after it.
    drop(ann);
    until("ann's place is free", async || {
        server.gateway.stats().open == 1
    })
    .await;
    let mut again = nobody(&server).await;
    show(&mut again, "ann").await;
    assert_eq!(who(&mut again).await, "ann");
    end(server, (second, bob, again)).await;
}

#[tokio::test]
async fn of_connections_from_an_address() {
    let server = start(limited(|limits| {
        limits.max_connections_per_address = Some(2)
    }))
    .await;
    // Those who say nothing count.
    let (silent, ann) = (nobody(&server).await, with(&server, "ann").await);
    assert_eq!(refused(&server, "/ws").await, 1013);
    drop((silent, ann));
    until_nothing_is_left(&server.gateway).await;
    let mut bob = nobody(&server).await;
    show(&mut bob, "bob").await;
    assert_eq!(who(&mut bob).await, "bob");
    end(server, bob).await;
}

#[tokio::test]
async fn of_authentications_that_fail() {
    let tokens = Tokens::default();
    let builder = limited(|limits| limits.failed_authentications_per_minute = Some(3));
    let server = start(builder.authenticator(tokens)).await;
    // They are let in before anybody has failed.
    let mut early = Vec::new();
    for _ in 0..5 {
        early.push(nobody(&server).await);
    }
    for guess in early.iter_mut().take(3) {
        guess.send_text(&first_message("wrong")).await.unwrap();
        assert_eq!(code(guess).await, 3500);
    }
    // Then not even what is right is looked at.
    for (guess, token) in early.iter_mut().skip(3).zip(["wrong", "ann"]) {
        guess.send_text(&first_message(token)).await.unwrap();
        assert_eq!(code(guess).await, 3013, "{token}");
    }
    assert_eq!(refused(&server, "/ws?token=ann").await, 3013);
    assert_eq!(server.gateway.stats().authentications_limited, 3);
    end(server, early).await;
}
