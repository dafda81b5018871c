//! One attempt: a token, TCP, TLS and the upgrade.

use std::sync::Arc;

use http::HeaderValue;
use realtime_core::auth::Token;
use realtime_websocket::Limits;
use tokio::time::timeout;

use crate::{
    builder::is_token,
    compression::Wire,
    link::{Link, Stream},
    liveness::Times,
    reach::{Tried, reach},
    settings::Settings,
    socket::Socket,
    token::{Found, TokenIn, TokenReason},
    upgrade::{Unopened, Upgrade},
};

/// What came of it.
pub(crate) struct Opened {
    pub(crate) link: Link,
    /// The one that was shown, or is yet to be.
    pub(crate) token: Option<Token>,
}

pub(crate) enum Failed {
    /// There is no token now; the text is for people.
    NoToken(String),
    /// Nobody is signed in.
    Nobody,
    /// Only a token that was refused.
    Stale,
    Unopened(Unopened, Option<Token>),
    TooLate,
}

pub(crate) async fn dial(
    settings: Arc<Settings>,
    reason: TokenReason,
    stale: Option<Token>,
    tried: Arc<Tried>,
) -> Result<Opened, Failed> {
    let within = settings.connect_timeout;
    let token = match &settings.token {
        None => None,
        Some(getter) => match getter.ask(reason, stale.as_ref(), within).await {
            Err(text) => return Err(Failed::NoToken(text)),
            Ok(Found::Nobody) => return Err(Failed::Nobody),
            Ok(Found::Stale) => return Err(Failed::Stale),
            Ok(Found::Token(token)) => Some(token),
        },
    };
    match timeout(within, open(&settings, token.as_ref(), &tried)).await {
        Ok(Ok(link)) => Ok(Opened { link, token }),
        Ok(Err(unopened)) => Err(Failed::Unopened(unopened, token)),
        Err(_) => Err(Failed::TooLate),
    }
}

async fn open(settings: &Settings, token: Option<&Token>, tried: &Tried) -> Result<Link, Unopened> {
    let address = &settings.address;
    let stream = reach(&address.host, address.port, tried).await?;
    stream.set_nodelay(true)?;
    let (stream, gauge) = Socket::new(stream);
    let mut stream: Box<dyn Stream> = match &settings.tls {
        None => Box::new(stream),
        #[cfg(feature = "rustls")]
        Some(tls) => Box::new(tls.over(stream, &address.host).await?),
        #[cfg(not(feature = "rustls"))]
        Some(never) => match *never {},
    };
    let mut protocols = vec![settings.codec.name().to_owned()];
    let mut authorization = None;
    if let Some(token) = token {
        match settings.token_in {
            TokenIn::Header => {
                let value = HeaderValue::try_from(format!("Bearer {}", token.expose()));
                let mut value = value.map_err(|_| Unopened::other("the token is no header"))?;
                value.set_sensitive(true);
                authorization = Some(value);
            }
            TokenIn::Subprotocol if !is_token(token.expose()) => {
                return Err(Unopened::other("the token can't stand in a subprotocol"));
            }
            TokenIn::Subprotocol => protocols.push(format!("token.{}", token.expose())),
            TokenIn::Message => {}
        }
    }
    let upgrade = Upgrade {
        target: &address.target,
        authority: &address.authority,
        headers: &settings.headers,
        protocols,
        authorization,
        compression: settings.compression,
    };
    let (input, agreed) = upgrade.ask(&mut stream).await?;
    let (every, pong) = settings.ping;
    let times = Times {
        every,
        pong,
        write: settings.write_timeout,
    };
    let limits = Limits::default().with_message(settings.max_message);
    let wire = Wire::new(limits, agreed);
    Ok(Link::new(stream, gauge, input, wire, times))
}
