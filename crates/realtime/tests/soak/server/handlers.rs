//! Handlers that are quick, slow, failing and panicking, and that send a lot.

use std::{sync::Arc, time::Duration};

use realtime::{ClientError, Json, Router, Session};
use serde_json::Value;

use super::books::Books;

/// What compression can make little less of: letters and digits that nothing says in advance.
fn filler() -> String {
    std::iter::repeat_with(fastrand::alphanumeric)
        .take(1000)
        .collect()
}

/// After how many messages a burst lets others have a turn.
const TURN: usize = 64;

pub fn router(books: &Arc<Books>, unit: Duration) -> Router {
    let (burst, flow, bye) = (Arc::clone(books), Arc::clone(books), Arc::clone(books));
    Router::new()
        .route("echo", async |Json(data): Json<Value>| Json(data))
        .route("slow", move |Json(data): Json<Value>| async move {
            tokio::time::sleep(unit.mul_f64(fastrand::f64() / 4.0)).await;
            Json(data)
        })
        .route("fail", async || {
            Err::<(), _>(ClientError::new("on_purpose", "it fails on purpose"))
        })
        .route("panic", async || -> () {
            // Without a message on the error output.
            std::panic::resume_unwind(Box::new("on purpose"))
        })
        .route(
            "burst",
            move |session: Session, Json(count): Json<usize>| {
                let books = Arc::clone(&burst);
                async move {
                    let (entry, filler) = (books.entry(&session), filler());
                    for n in 0..count {
                        entry.send(&filler).await;
                        if n % TURN == TURN - 1 {
                            tokio::task::yield_now().await;
                        }
                    }
                    Json(count)
                }
            },
        )
        .route("flow", move |session: Session, Json(count): Json<usize>| {
            let books = Arc::clone(&flow);
            async move {
                let (entry, filler) = (books.entry(&session), filler());
                for _ in 0..count {
                    if session.is_closed() {
                        break;
                    }
                    entry.send_wait(&filler).await;
                }
                Json(count)
            }
        })
        .route("bye", move |session: Session| {
            let books = Arc::clone(&bye);
            async move { books.close(&session).await }
        })
}
