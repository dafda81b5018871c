//! One HTTP request for an issuer's keys, bounded in time and in bytes.

use std::{error::Error, future::poll_fn, pin::pin, time::Duration};

use bytes::Bytes;
use futures::future::{Either, select};
use http::{Request, StatusCode, Uri, header, uri::PathAndQuery};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::client::conn::http1;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use realtime_core::{BoxError, ClientError, auth::AuthError};
use tower_service::Service;

use super::{Jwks, invalid, tls};

/// Where a document of this size is, there are no keys.
const LONGEST_BODY: usize = 256 * 1024;
const LONGEST_HEAD: usize = 64 * 1024;
/// What is shown of an error, in bytes: a server may have its say in it.
const LONGEST_SHOWN: usize = 256;

/// Asks an issuer for its keys.
pub(super) struct Fetcher {
    /// Without TLS to this machine alone.
    connector: Connector,
    uri: Uri,
    timeout: Duration,
}

#[derive(Clone)]
enum Connector {
    Plain(HttpConnector),
    Tls(HttpsConnector<HttpConnector>),
}

/// Why there is no document.
#[derive(Debug, thiserror::Error)]
pub(super) enum FetchError {
    #[error("expected a connection")]
    Connect(#[source] BoxError),
    #[error("expected an HTTP response")]
    Http(#[from] hyper::Error),
    #[error("expected a request that can be made of the URL")]
    Request(#[from] http::Error),
    #[error("expected 200; got {0}, which says where else to look: name that URL instead")]
    Redirect(StatusCode),
    #[error("expected 200; got {0}")]
    Status(StatusCode),
    #[error("expected a document of at most {LONGEST_BODY} bytes, to its end")]
    Body(#[source] BoxError),
    #[error("expected all of it within {0:?}")]
    TimedOut(Duration),
}

impl Fetcher {
    pub(super) fn new(jwks: &Jwks) -> Result<Self, AuthError> {
        let uri = Uri::try_from(jwks.url.as_str())
            .map_err(|e| invalid("expected a URL that can be asked for").with_source(e))?;
        let mut plain = HttpConnector::new();
        plain.enforce_http(false);
        plain.set_nodelay(true);
        let connector = if jwks.url.scheme() == "https" {
            let config = tls::config(jwks.root_certificates.as_deref())?;
            let builder = HttpsConnectorBuilder::new()
                .with_tls_config(config)
                .https_only();
            Connector::Tls(builder.enable_http1().wrap_connector(plain))
        } else if jwks.root_certificates.is_some() {
            return Err(invalid(
                "root_certificates: expected an `https` URL to use them for",
            ));
        } else {
            Connector::Plain(plain)
        };
        Ok(Self {
            connector,
            uri,
            timeout: jwks.timeout,
        })
    }

    /// The document.
    ///
    /// # Cancel safety
    /// The connection ends with the future: nothing goes on behind it.
    pub(super) async fn fetch(&self) -> Result<Bytes, FetchError> {
        let fetched = tokio::time::timeout(self.timeout, async {
            match self.connector.clone() {
                Connector::Plain(mut plain) => {
                    self.over(connected(&mut plain, &self.uri).await?).await
                }
                Connector::Tls(mut tls) => self.over(connected(&mut tls, &self.uri).await?).await,
            }
        });
        fetched
            .await
            .unwrap_or(Err(FetchError::TimedOut(self.timeout)))
    }

    async fn over<S>(&self, stream: S) -> Result<Bytes, FetchError>
    where
        S: hyper::rt::Read + hyper::rt::Write + Unpin,
    {
        let mut http = http1::Builder::new();
        http.max_buf_size(LONGEST_HEAD);
        let (mut sender, connection) = http.handshake(stream).await?;
        let path = self.uri.path_and_query().map_or("/", PathAndQuery::as_str);
        let host = self
            .uri
            .authority()
            .map_or("", |authority| authority.as_str());
        let request = Request::get(path)
            .header(header::HOST, host)
            .header(header::ACCEPT, "application/json")
            .header(header::CONNECTION, "close")
            .header(
                header::USER_AGENT,
                concat!("realtime-auth-jwt/", env!("CARGO_PKG_VERSION")),
            )
            .body(Empty::<Bytes>::new())?;
        let exchange = async move {
            let response = sender.send_request(request).await?;
            let status = response.status();
            if status.is_redirection() {
                return Err(FetchError::Redirect(status));
            }
            if status != StatusCode::OK {
                return Err(FetchError::Status(status));
            }
            let body = Limited::new(response.into_body(), LONGEST_BODY)
                .collect()
                .await;
            Ok(body.map_err(FetchError::Body)?.to_bytes())
        };
        // Both are driven here, so that no task is left of it.
        match select(pin!(exchange), pin!(connection)).await {
            Either::Left((fetched, _)) => fetched,
            // What it read to its end may not have been taken yet.
            Either::Right((_, exchange)) => exchange.await,
        }
    }
}

async fn connected<C>(connector: &mut C, uri: &Uri) -> Result<C::Response, FetchError>
where
    C: Service<Uri, Error: Into<BoxError>>,
{
    let failed = |e: C::Error| FetchError::Connect(e.into());
    poll_fn(|context| connector.poll_ready(context))
        .await
        .map_err(failed)?;
    connector.call(uri.clone()).await.map_err(failed)
}

/// An error and its causes on one line, cut where it gets long. Whoever logs it escapes it.
pub(super) fn shown(error: &(dyn Error + 'static)) -> String {
    let causes: Vec<String> = ClientError::__causes(error)
        .map(ToString::to_string)
        .collect();
    let mut text = causes.join(": ");
    let end = (0..=LONGEST_SHOWN.min(text.len()))
        .rev()
        .find(|at| text.is_char_boundary(*at));
    text.truncate(end.unwrap_or_default());
    text
}
