//! Real clients of this project over TCP: a node ends, and they come back to another one behind the
//! same address.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};

use futures::future::try_join_all;
use realtime::{BoxError, CloseCode, Gateway, bind, serve};
use realtime_client::Client;
use tokio::time::{sleep, timeout};
use tower::{Service, service_fn};

use super::{Returns, Way};

/// How many connect before the others follow.
const AT_ONCE: usize = 200;
/// How long it may take until all are there, or back.
const PATIENCE: Duration = Duration::from_secs(120);

pub(super) fn returns(clients: usize, way: Way) -> Result<Returns, BoxError> {
    crate::runtime(None)?.block_on(measure(clients, way))
}

async fn measure(count: usize, way: Way) -> Result<Returns, BoxError> {
    let moments = Arc::new(Mutex::new(Vec::with_capacity(count)));
    let kept = Arc::clone(&moments);
    let old = gateway().build()?;
    let new = gateway()
        .on_connect(move |_: realtime::Session| {
            lock(&kept).push(Instant::now());
            async {}
        })
        .build()?;
    let ends = Arc::new(AtomicBool::new(false));
    let address = serve_both(&old, &new, &ends).await?;
    let connecting = timeout(PATIENCE, connect(address, count, &old));
    let clients = connecting.await.map_err(|_| {
        let open = old.stats().open;
        format!("expected {count} connections; got {open}: are there descriptors (`ulimit -n`)?")
    })??;

    ends.store(true, SeqCst);
    let begun = Instant::now();
    let ended = async {
        match way {
            Way::AtOnce => {
                for session in old.local_sessions() {
                    session.close(CloseCode::GOING_AWAY, "the server is shutting down");
                }
            }
            Way::Shutdown => drop(old.shutdown().await),
            Way::Drain(over) => drop(old.drain(over).await),
        }
    };
    let back = async {
        while lock(&moments).len() < count {
            sleep(Duration::from_millis(10)).await;
        }
    };
    let all = async { tokio::join!(ended, back) };
    if timeout(PATIENCE, all).await.is_err() {
        let there = lock(&moments).len();
        return Err(format!("expected {count} clients to come back; got {there}").into());
    }
    drop(clients);
    new.shutdown_within(Duration::from_secs(1)).await;
    old.shutdown_within(Duration::ZERO).await;
    let moments = lock(&moments);
    Ok(Returns::new(moments.iter().map(|moment| *moment - begun)))
}

fn gateway() -> realtime::Builder {
    realtime::builder().max_connections(None)
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One address, at which new connections go to the new node once the old one ends.
async fn serve_both(
    old: &Gateway,
    new: &Gateway,
    ends: &Arc<AtomicBool>,
) -> Result<SocketAddr, BoxError> {
    let listener = bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let address = listener.local_addr()?;
    let (old, ready, ends) = (old.clone(), new.clone(), Arc::clone(ends));
    let app = service_fn(move |request| {
        let mut chosen = if ends.load(SeqCst) { &ready } else { &old }.clone();
        chosen.call(request)
    });
    tokio::spawn(serve(listener, app, new.clone()).into_future());
    Ok(address)
}

async fn connect(
    address: SocketAddr,
    count: usize,
    gateway: &Gateway,
) -> Result<Vec<Client>, BoxError> {
    let url = format!("ws://{address}/");
    let mut clients = Vec::with_capacity(count);
    while clients.len() < count {
        let some = AT_ONCE.min(count - clients.len());
        let fresh: Result<Vec<_>, _> = (0..some)
            .map(|_| Client::builder(&*url).connect())
            .collect();
        let fresh = fresh?;
        try_join_all(fresh.iter().map(Client::online))
            .await
            .map_err(|end| format!("expected a connection; got {end}"))?;
        clients.extend(fresh);
    }
    let all = async {
        while gateway.stats().open < count as u64 {
            sleep(Duration::from_millis(10)).await;
        }
    };
    all.await;
    Ok(clients)
}
