//! The gateway under test, and the server that it is embedded in.

use std::{
    panic::resume_unwind,
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};

use hyper::{Request, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use realtime::{
    Backpressure, Builder, CloseCode, DisconnectInfo, Gateway, Identity, Router, Session, Upgrade,
    extract::Reply,
    middleware::{RecoveryLayer, TimeoutLayer},
    service::PeerAddr,
};
use realtime_core::BoxError;
use tokio::{io::DuplexStream, time::sleep};
use tower_service::Service;

use crate::{
    books::Books,
    peer::Socket,
    script::{Hook, Policy, Setup},
};

/// How much handlers send.
const FLOOD: usize = 8;

/// The code with which the application closes. One that may not be sent is 1000.
pub fn app_code(code: u16) -> CloseCode {
    CloseCode::new(code).unwrap_or(CloseCode::NORMAL)
}

pub fn gateway(setup: &Setup, books: &Books) -> Gateway {
    let builder = realtime::builder()
        .router(router(setup, books))
        .backpressure(match setup.policy {
            Policy::Close => Backpressure::Close,
            Policy::DropNewest => Backpressure::DropNewest,
            Policy::DropOldest => Backpressure::DropOldest,
        })
        .queue_messages(setup.queue_messages())
        .queue_bytes(setup.queue_bytes())
        .read_limit(setup.read_limit())
        .heartbeat(setup.heartbeat.then_some(Duration::from_secs(7)))
        .pong_timeout(setup.heartbeat.then_some(Duration::from_secs(3)))
        .write_timeout(Some(Duration::from_secs(2)));
    let builder = if setup.tight_budgets {
        builder
            .queue_budget(2_048)
            .queue_bytes(setup.queue_bytes().min(2_048))
            .assembly_budget(1_024)
            .read_limit(setup.read_limit().min(1_024))
    } else {
        builder
    };
    let builder = hooks(builder, setup, books);
    let timeout = TimeoutLayer::new(Duration::from_millis(if setup.timeout { 20 } else { 0 }));
    let built = if setup.recovery {
        builder.layer(RecoveryLayer::new()).layer(timeout).build()
    } else {
        builder.layer(timeout).build()
    };
    built.expect("a proper gateway")
}

fn hooks(builder: Builder, setup: &Setup, books: &Books) -> Builder {
    let (connect, disconnect) = (setup.on_connect, setup.on_disconnect);
    let (joining, leaving) = (books.clone(), books.clone());
    let has_bystander = setup.bystander;
    builder
        .on_connect(move |session: Session| {
            let books = joining.clone();
            async move {
                let is_bystander = has_bystander && books.open().connecting == 0;
                {
                    let mut books = books.open();
                    books.connecting += 1;
                    books.lives.entry(session.id()).or_default().connects += 1;
                    if !is_bystander {
                        books.subject = Some(session.id());
                    }
                }
                if !is_bystander {
                    behave(connect, &books, &session).await?;
                }
                books
                    .open()
                    .lives
                    .entry(session.id())
                    .or_default()
                    .connected = true;
                Ok::<_, BoxError>(())
            }
        })
        .on_disconnect(move |session: Session, info: DisconnectInfo| {
            let books = leaving.clone();
            async move {
                assert!(session.is_closed(), "the hook sees the final state");
                books
                    .open()
                    .lives
                    .entry(session.id())
                    .or_default()
                    .ends
                    .push(info);
                behave(disconnect, &books, &session).await
            }
        })
        .on_error(async || {})
}

async fn behave(hook: Hook, books: &Books, session: &Session) -> Result<(), BoxError> {
    match hook {
        Hook::Succeeds => {}
        Hook::Sends => (0..FLOOD).for_each(|size| books.send(session, size * 100)),
        Hook::Closes => session.close(app_code(4_000), "by a hook"),
        Hook::Slow => sleep(Duration::from_millis(50)).await,
        Hook::Fails => return Err("as asked".into()),
        Hook::Panics => on_purpose(),
        Hook::Hangs => std::future::pending().await,
    }
    Ok(())
}

/// Unlike `panic!` it doesn't call the panic hook, with which the fuzzer ends the process.
fn on_purpose() -> ! {
    resume_unwind(Box::new("on purpose"))
}

fn router(setup: &Setup, books: &Books) -> Router {
    let (floods, waits, shouts, until) =
        (books.clone(), books.clone(), books.clone(), books.clone());
    let router = Router::new()
        .route("echo", async |data: realtime::Payload| Reply::data(data))
        .prefix("room.", async |data: realtime::Payload| Reply::data(data))
        .route("fail", async || Err::<(), BoxError>("as asked".into()))
        .route("panic", async || -> () { on_purpose() })
        .route("slow", async || sleep(Duration::from_millis(50)).await)
        .route("close", async |session: Session| {
            session.close(app_code(4_001), "by a handler")
        })
        .route("flood", move |session: Session| {
            let books = floods.clone();
            async move { (0..FLOOD).for_each(|size| books.send(&session, size * 50)) }
        })
        .route("flood-and-wait", move |session: Session| {
            let books = waits.clone();
            async move {
                for size in 0..FLOOD {
                    books.send_wait(&session, size * 50).await;
                }
            }
        })
        .route("shout", move |gateway: Gateway| {
            let books = shouts.clone();
            async move { books.broadcast(&gateway, 10).await }
        })
        .route("until-closed", move |session: Session| {
            until.open().waits = true;
            async move { session.closed().await }
        });
    if setup.fallback {
        router.fallback(async |data: realtime::Payload| Reply::data(data))
    } else {
        router
    }
}

/// Serves one connection the way that an embedding host does.
pub fn serve(gateway: &Gateway, setup: &Setup, io: DuplexStream, reset: &Arc<AtomicBool>) {
    let (gateway, accept) = (gateway.clone(), setup.accept);
    let socket = Socket::new(io, setup.wire.vectored, Arc::clone(reset));
    let service = service_fn(move |mut request: Request<Incoming>| {
        let mut gateway = gateway.clone();
        async move {
            request
                .extensions_mut()
                .insert(PeerAddr(([127, 0, 0, 1], 9).into()));
            if accept {
                let upgrade = Upgrade::from_request(request);
                return Ok(gateway.accept(upgrade, Identity::anonymous()));
            }
            gateway.call(request).await
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .half_close(false)
        .serve_connection(TokioIo::new(socket), service)
        .with_upgrades();
    tokio::spawn(async move {
        // A peer that leaves at once is no error of ours.
        let _served = connection.await;
    });
}
