//! Every way in which an upgrade request is refused.

use std::time::Duration;

use http::{
    HeaderName, HeaderValue, Response, StatusCode, Version,
    header::{ALLOW, CONNECTION, RETRY_AFTER, SEC_WEBSOCKET_VERSION, UPGRADE, WWW_AUTHENTICATE},
};

use realtime_core::CloseCode;

use super::Body;
use crate::stats::{Counter, Counters};

/// Among how much time those draw a moment who come back, since they may be very many.
const MOMENT: Duration = Duration::from_secs(1);

/// Why a request is refused. The texts say to the caller what was expected, and nothing of how the
/// server is set up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    BadHost,
    BadKey,
    Draining,
    Full,
    HasBody,
    HttpVersion,
    Method,
    NotUpgrade,
    NotUpgradable,
    Origin,
    /// As many as there may be from its address.
    AddressFull,
    /// As many as its identity may have.
    IdentityFull,
    /// What was shown at its address was wrong too often.
    TooManyFailures(Duration),
    /// Too many others wait to be let in.
    TooManyUpgrades,
    AuthBroken,
    AuthUnavailable,
    Expired,
    Revoked,
    Unauthorized,
    Version,
}

impl Refusal {
    /// What the close frame says where the refusal comes behind the 101; `None` for what is no proper
    /// request, or one that its page may not make.
    pub(crate) const fn close(self) -> Option<(CloseCode, &'static str)> {
        Some(match self {
            Self::AuthBroken => (CloseCode::INTERNAL_ERROR, "the server failed"),
            Self::AuthUnavailable => (CloseCode::TRY_AGAIN_LATER, "try again later"),
            Self::Draining => (CloseCode::GOING_AWAY, "the server is shutting down"),
            Self::Expired => (CloseCode::EXPIRED, "expired"),
            Self::AddressFull | Self::Full => (CloseCode::TRY_AGAIN_LATER, "too many connections"),
            Self::IdentityFull => (CloseCode::TOO_MANY_CONNECTIONS, "too many connections"),
            Self::TooManyFailures(_) => (CloseCode::TOO_MANY_REQUESTS, "too many failures"),
            Self::TooManyUpgrades => (CloseCode::TRY_AGAIN_LATER, "too many upgrades"),
            Self::Revoked => (CloseCode::UNAUTHORIZED, "revoked"),
            Self::Unauthorized => (CloseCode::UNAUTHORIZED, "expected valid credentials"),
            Self::BadHost
            | Self::BadKey
            | Self::HasBody
            | Self::HttpVersion
            | Self::Method
            | Self::NotUpgrade
            | Self::NotUpgradable
            | Self::Origin
            | Self::Version => return None,
        })
    }

    /// Its name in metrics.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::BadHost => "bad_host",
            Self::BadKey => "bad_key",
            Self::Draining => "draining",
            Self::Full => "full",
            Self::HasBody => "has_body",
            Self::HttpVersion => "http_version",
            Self::Method => "method",
            Self::NotUpgrade => "not_upgrade",
            Self::NotUpgradable => "not_upgradable",
            Self::Origin => "origin",
            Self::AddressFull => "address_full",
            Self::IdentityFull => "identity_full",
            Self::TooManyFailures(_) => "too_many_failures",
            Self::TooManyUpgrades => "too_many_upgrades",
            Self::AuthBroken => "auth_failed",
            Self::AuthUnavailable => "auth_unavailable",
            Self::Expired => "expired",
            Self::Revoked => "revoked",
            Self::Unauthorized => "unauthorized",
            Self::Version => "version",
        }
    }

    /// What counts it, beside all refusals, where something does.
    pub(crate) const fn counter(self, stats: &Counters) -> Option<&Counter> {
        Some(match self {
            Self::Origin => &stats.refused_origins,
            Self::AddressFull | Self::IdentityFull => &stats.connections_limited,
            Self::TooManyFailures(_) => &stats.authentications_limited,
            Self::TooManyUpgrades => &stats.upgrades_limited,
            _ => return None,
        })
    }

    /// What a request is answered that has come over this version of HTTP, on a node that gives its
    /// balancers so much more [notice](crate::Config::drain_notice) of its end.
    pub(crate) fn response(self, version: Version, notice: Duration) -> Response<Body> {
        use StatusCode as S;
        type Headers = &'static [(HeaderName, &'static str)];
        const NONE: Headers = &[];
        let (status, headers, text): (StatusCode, Headers, &'static str) = match self {
            Self::BadHost => (S::BAD_REQUEST, NONE, "expected one valid Host header"),
            Self::BadKey => {
                let text = "expected one Sec-WebSocket-Key: 16 bytes in base64";
                (S::BAD_REQUEST, NONE, text)
            }
            // Where the body ends may be seen differently by a proxy before us: what follows it must
            // not become a request of its own.
            Self::HasBody => (
                S::BAD_REQUEST,
                &[(CONNECTION, "close")],
                "an upgrade request has no body",
            ),
            Self::HttpVersion => {
                let text = "expected HTTP/1.1, or an extended CONNECT over HTTP/2";
                (S::BAD_REQUEST, NONE, text)
            }
            Self::Method => (
                S::METHOD_NOT_ALLOWED,
                &[(ALLOW, "GET")],
                "expected a GET request",
            ),
            Self::NotUpgrade => (
                S::UPGRADE_REQUIRED,
                &[(UPGRADE, "websocket"), (CONNECTION, "Upgrade")],
                "this is a WebSocket endpoint",
            ),
            Self::Version => (
                S::UPGRADE_REQUIRED,
                &[
                    (UPGRADE, "websocket"),
                    (CONNECTION, "Upgrade"),
                    (SEC_WEBSOCKET_VERSION, "13"),
                ],
                "expected Sec-WebSocket-Version: 13",
            ),
            Self::NotUpgradable => (
                S::INTERNAL_SERVER_ERROR,
                NONE,
                "this server can't upgrade connections here",
            ),
            Self::Origin => (S::FORBIDDEN, NONE, "this origin may not connect"),
            Self::Expired | Self::Revoked | Self::Unauthorized => {
                let challenge = &[(WWW_AUTHENTICATE, "Bearer")];
                (S::UNAUTHORIZED, challenge, "expected valid credentials")
            }
            Self::AuthBroken => (S::INTERNAL_SERVER_ERROR, NONE, "the server failed"),
            Self::AuthUnavailable => (S::SERVICE_UNAVAILABLE, NONE, "try again later"),
            Self::AddressFull | Self::IdentityFull => {
                (S::TOO_MANY_REQUESTS, NONE, "too many connections")
            }
            Self::TooManyFailures(_) => (S::TOO_MANY_REQUESTS, NONE, "too many failures"),
            // The next try is to wait where all others do.
            Self::TooManyUpgrades => (
                S::SERVICE_UNAVAILABLE,
                &[(CONNECTION, "close")],
                "try again later",
            ),
            Self::Draining => (S::SERVICE_UNAVAILABLE, NONE, "the server is shutting down"),
            Self::Full => (S::SERVICE_UNAVAILABLE, NONE, "too many connections"),
        };
        let mut response = Response::new(Body::from(text));
        *response.status_mut() = status;
        // Over HTTP/2 nothing is said of the connection: it has other streams.
        let is_said = |name: &HeaderName| {
            version != Version::HTTP_2 || (*name != CONNECTION && *name != UPGRADE)
        };
        for (name, value) in headers.iter().filter(|(name, _)| is_said(name)) {
            response
                .headers_mut()
                .insert(name, HeaderValue::from_static(value));
        }
        if let Some(wait) = self.wait(notice) {
            // There it is in whole seconds.
            let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
            let headers = response.headers_mut();
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds.max(1)));
        }
        response
    }

    /// In what time to come back, by whatever way that is said: a moment for each, where it may be that
    /// of very many at once.
    pub(crate) fn wait(self, notice: Duration) -> Option<Duration> {
        let seconds = Duration::from_secs;
        let (least, among) = match self {
            Self::AddressFull | Self::IdentityFull => (seconds(10), Duration::ZERO),
            Self::AuthUnavailable | Self::Full => (seconds(4), MOMENT),
            // Until then, balancers may send them here again. Then another node takes them.
            Self::Draining => (notice, MOMENT),
            Self::TooManyFailures(wait) => (wait, MOMENT),
            Self::TooManyUpgrades => (seconds(1), seconds(4)),
            Self::AuthBroken
            | Self::BadHost
            | Self::BadKey
            | Self::Expired
            | Self::HasBody
            | Self::HttpVersion
            | Self::Method
            | Self::NotUpgrade
            | Self::NotUpgradable
            | Self::Origin
            | Self::Revoked
            | Self::Unauthorized
            | Self::Version => return None,
        };
        Some(least.saturating_add(among.mul_f64(fastrand::f64())))
    }
}
