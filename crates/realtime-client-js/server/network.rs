//! Networks that a test cuts: each test has one of its own, a proxy with a port, over HTTP.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use axum::{
    Json, Router,
    extract::{Path, State},
    http::StatusCode,
    routing::post,
};
use realtime_testkit::proxy::{Fault, Proxy};

/// More than any run of the tests needs.
const MOST: usize = 256;

/// All networks, by their ports.
#[derive(Clone)]
pub(crate) struct Network {
    server: u16,
    proxies: Arc<Mutex<HashMap<u16, Proxy>>>,
}

impl Network {
    pub(crate) fn new(server: u16) -> Self {
        let proxies = Arc::default();
        Self { server, proxies }
    }
}

pub(crate) fn router(network: Network) -> Router {
    Router::new()
        .route("/network", post(begin))
        .route("/network/{port}/{what}", post(change))
        .with_state(network)
}

async fn begin(State(network): State<Network>) -> Result<Json<u16>, StatusCode> {
    let proxy = Proxy::start(network.server).await;
    let port = proxy.port();
    let mut proxies = network
        .proxies
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    if proxies.len() >= MOST {
        return Err(StatusCode::SERVICE_UNAVAILABLE);
    }
    proxies.insert(port, proxy);
    Ok(Json(port))
}

async fn change(
    State(network): State<Network>,
    Path((port, what)): Path<(u16, String)>,
) -> Result<StatusCode, StatusCode> {
    let proxies = network
        .proxies
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    let proxy = proxies.get(&port).ok_or(StatusCode::NOT_FOUND)?;
    match what.as_str() {
        "heal" => proxy.set(Fault::None),
        "blackhole" => proxy.set(Fault::Blackhole),
        "refuse" => proxy.set(Fault::Refuse),
        "reset" => proxy.reset(),
        // As a radio that is gone: what is open is lost, and nothing new opens.
        "cut" => {
            proxy.set(Fault::Refuse);
            proxy.reset();
        }
        _ => return Err(StatusCode::NOT_FOUND),
    }
    Ok(StatusCode::NO_CONTENT)
}
