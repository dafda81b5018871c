//! What a client was told when it was made, checked.

use std::{sync::Arc, time::Duration};

use http::HeaderMap;
use realtime_core::codec::Codec;

#[cfg(feature = "rustls")]
pub(crate) use crate::tls::Tls;
use crate::{
    address::Address,
    compression::Compression,
    token::{Getter, TokenIn},
};

/// There is none without the feature.
#[cfg(not(feature = "rustls"))]
pub(crate) enum Tls {}

pub(crate) struct Settings {
    pub(crate) address: Address,
    pub(crate) tls: Option<Tls>,
    pub(crate) headers: HeaderMap,
    pub(crate) codec: Arc<dyn Codec>,
    pub(crate) token: Option<Getter>,
    pub(crate) token_in: TokenIn,
    pub(crate) connect_timeout: Duration,
    pub(crate) timeout: Duration,
    pub(crate) write_timeout: Duration,
    pub(crate) backoff: (Duration, Duration),
    pub(crate) ping: (Option<Duration>, Duration),
    pub(crate) max_message: usize,
    pub(crate) queue: usize,
    pub(crate) max_requests: usize,
    pub(crate) inbox: usize,
    pub(crate) max_attempts: Option<u32>,
    pub(crate) compression: Compression,
}
