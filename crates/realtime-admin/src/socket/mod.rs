//! The gateway of the page's own: what it asks, what it is told, and what it may do.

mod actions;
mod look;
mod sample;
mod tapping;
mod whereabouts;

use std::sync::Arc;

use realtime_codec_json::JsonCodec;
use realtime_gateway::{
    BuildError, Config, ConnectionPolicy, Gateway, Limits, Rate, Router, middleware::RecoveryLayer,
};

use crate::guard::Guard;
use sample::Sampler;

pub(crate) use whereabouts::Pages;

/// How many pages there are at once, and how many of one operator.
const PAGES: usize = 32;
const PAGES_OF_ONE: usize = 4;
/// How much a page may ask, on average and at once. It asks for two things every two seconds.
const A_SECOND: u32 = 20;
const AT_ONCE: u32 = 60;
/// So much of the name of the gateway that is looked at is part of its own, which has 64 at the most.
const LONGEST_NAME: usize = 58;
/// The longest message of a page, in bytes.
const LONGEST: usize = 16 * 1024;

/// The inner gateway, and what watches the outer one while somebody looks.
pub(crate) struct Socket {
    gateway: Gateway,
    sampler: Sampler,
}

/// What handlers work with: the gateway that is looked at.
#[derive(Debug, Clone)]
pub(crate) struct Host {
    pub(crate) gateway: Gateway,
    /// Messages may be looked at.
    pub(crate) taps: bool,
    /// Those of other nodes.
    pub(crate) pages: Pages,
}

impl Socket {
    pub(crate) fn new(host: Host, guard: Guard, origins: Vec<String>) -> Result<Self, BuildError> {
        let sampler = Sampler::new(host.gateway.clone());
        let name: String = host.gateway.name().chars().take(LONGEST_NAME).collect();
        let mut limits = Limits::default();
        limits.messages_per_session = Some(Rate::per_second(A_SECOND).with_burst(AT_ONCE));
        // Whoever opens one more wants that one, and not a page that was forgotten somewhere.
        limits.max_connections_per_identity = Some(PAGES_OF_ONE);
        limits.connection_policy = ConnectionPolicy::CloseOldest;
        let mut config = Config::default();
        config.name = format!("{name}-admin");
        config.max_connections = Some(PAGES);
        // A page has nothing fresh to show: it connects anew.
        config.expiry_grace = None;
        config.read_limit = LONGEST;
        config.limits = limits;
        let gateway = Gateway::builder(JsonCodec)
            .config(config)
            // Who is let in the service has asked already. Here it checks that it can work, and hears
            // fresh tokens.
            .authenticator(guard)
            .origin_patterns(origins)
            .router(router().with_state(host))
            .layer(RecoveryLayer::new())
            .build()?;
        Ok(Self { gateway, sampler })
    }

    pub(crate) fn gateway(&self) -> &Gateway {
        &self.gateway
    }

    /// Somebody is about to look.
    pub(crate) fn begin(self: &Arc<Self>) {
        sample::begin(self);
    }
}

fn router() -> Router<Host> {
    Router::new()
        .route("me", look::me)
        .route("node", look::node)
        .route("sessions", look::sessions)
        .route("find", look::find)
        .route("rooms", look::rooms)
        .route("disconnect", actions::disconnect)
        .route("tap", tapping::tap)
        .route("untap", tapping::untap)
}
