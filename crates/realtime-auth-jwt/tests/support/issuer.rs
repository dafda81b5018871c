//! An issuer that publishes keys over HTTP, and can do that badly.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use realtime_auth_jwt::Jwks;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpListener,
    task::JoinHandle,
    time::sleep,
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        ServerConfig,
        crypto::ring,
        pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
    },
};

/// What the issuer does with a request.
#[derive(Clone)]
pub enum Answer {
    /// 200, with this body.
    Body(String),
    /// The same, after a while.
    Late(Duration, String),
    /// This, as it is, and then the end of the connection.
    Raw(Vec<u8>),
    /// 200, and a body without an end.
    Endless,
    /// 200, and a byte now and then.
    Trickle,
    /// Nothing at all.
    Silence,
}

impl Answer {
    pub fn keys(keys: &[Value]) -> Self {
        Self::Body(json!({ "keys": keys }).to_string())
    }

    pub fn status(line: &str) -> Self {
        let head = format!("HTTP/1.1 {line}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        Self::Raw(head.into_bytes())
    }
}

/// An HTTP server on this machine, until it is dropped.
pub struct Issuer {
    pub addr: SocketAddr,
    state: Arc<State>,
    task: JoinHandle<()>,
}

struct State {
    answer: Mutex<Answer>,
    requests: AtomicUsize,
    open: AtomicUsize,
}

impl Issuer {
    pub async fn start(answer: Answer) -> Self {
        Self::on("127.0.0.1:0", answer).await
    }

    pub async fn on(addr: &str, answer: Answer) -> Self {
        Self::with(addr, answer, None).await
    }

    /// Over TLS, with a certificate for `localhost` that it has made itself, which is returned in PEM.
    pub async fn tls(answer: Answer) -> (Self, String) {
        let own = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(own.signing_key.serialize_der()));
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![own.cert.der().clone()], key)
            .unwrap();
        let tls = TlsAcceptor::from(Arc::new(config));
        let issuer = Self::with("127.0.0.1:0", answer, Some(tls)).await;
        (issuer, own.cert.pem())
    }

    async fn with(addr: &str, answer: Answer, tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind(addr).await.unwrap();
        let addr = listener.local_addr().unwrap();
        let state = Arc::new(State {
            answer: Mutex::new(answer),
            requests: AtomicUsize::new(0),
            open: AtomicUsize::new(0),
        });
        let shared = Arc::clone(&state);
        let task = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (state, tls) = (Arc::clone(&shared), tls.clone());
                tokio::spawn(async move {
                    state.open.fetch_add(1, SeqCst);
                    // The other side may have gone at any moment.
                    let _gone = match tls {
                        None => serve(stream, &state).await,
                        Some(tls) => match tls.accept(stream).await {
                            Ok(stream) => serve(stream, &state).await,
                            Err(gone) => Err(gone),
                        },
                    };
                    state.open.fetch_sub(1, SeqCst);
                });
            }
        });
        Self { addr, state, task }
    }

    pub fn answers(&self, answer: Answer) {
        *self.state.answer.lock().unwrap() = answer;
    }

    /// How many requests have come.
    pub fn requests(&self) -> usize {
        self.state.requests.load(SeqCst)
    }

    /// How many connections are open.
    pub fn open(&self) -> usize {
        self.state.open.load(SeqCst)
    }

    pub fn url(&self) -> String {
        format!("http://{}/jwks.json?secret=s3cret", self.addr)
    }

    pub fn jwks(&self) -> Jwks {
        Jwks::from_url(self.url()).unwrap()
    }
}

impl Drop for Issuer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    state: &State,
) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    let head = String::from_utf8(head).unwrap();
    assert!(
        head.starts_with("GET /jwks.json?secret=s3cret HTTP/1.1\r\n"),
        "{head}"
    );
    state.requests.fetch_add(1, SeqCst);
    let answer = state.answer.lock().unwrap().clone();
    let ok = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n";
    match answer {
        Answer::Body(body) => {
            let answer = format!("{ok}Content-Length: {}\r\n\r\n{body}", body.len());
            stream.write_all(answer.as_bytes()).await?;
            stream.shutdown().await
        }
        Answer::Late(after, body) => {
            sleep(after).await;
            let answer = format!("{ok}Content-Length: {}\r\n\r\n{body}", body.len());
            stream.write_all(answer.as_bytes()).await
        }
        Answer::Raw(bytes) => stream.write_all(&bytes).await,
        Answer::Endless => {
            stream.write_all(format!("{ok}\r\n").as_bytes()).await?;
            loop {
                stream.write_all(&[b' '; 4096]).await?;
            }
        }
        Answer::Trickle => {
            stream.write_all(format!("{ok}\r\n").as_bytes()).await?;
            loop {
                stream.write_all(b" ").await?;
                sleep(Duration::from_millis(20)).await;
            }
        }
        Answer::Silence => stream.read_u8().await.map(drop),
    }
}
