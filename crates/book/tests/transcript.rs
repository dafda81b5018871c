//! The transcript in docs/protocol.md, said and heard over a real socket.

use std::{
    collections::HashMap, error::Error, fs, future::IntoFuture, net::SocketAddr, time::Duration,
};

use http::request::Parts;
use realtime::{
    ClientError, Gateway, Identity, Json, Router, Session,
    auth::{AuthError, Authenticator, Credentials, Token},
    bind,
    history::Retention,
    room::RoomRule,
};
use realtime_book::{Page, root};
use realtime_testkit::client::{Client, Request};
use realtime_websocket::Event;
use serde_json::Value;

type Failure = Box<dyn Error + Send + Sync>;

/// A token is a name, or a name and something behind a dot.
struct Names(Credentials);

impl Authenticator for Names {
    async fn authenticate(&self, request: &Parts) -> Result<Identity, AuthError> {
        self.0
            .try_each(request, |token| self.authenticate_token(token))
            .await
    }

    async fn authenticate_token(&self, token: Token) -> Result<Identity, AuthError> {
        match token.expose().split('.').next() {
            Some(name) if !name.is_empty() => Ok(Identity::new(name)),
            _ => Err(AuthError::unauthorized("expected a name")),
        }
    }

    fn accepts_tokens(&self) -> bool {
        true
    }

    fn credentials(&self) -> Option<&Credentials> {
        Some(&self.0)
    }
}

async fn price(Json(_of): Json<String>) -> Json<f64> {
    Json(2.5)
}

async fn delete(session: Session, Json(what): Json<String>) -> Result<Json<String>, ClientError> {
    let question = Json(format!("Delete {what}?"));
    let answer = session
        .request("confirm", question, Duration::from_secs(10))
        .await;
    match answer.is_ok_and(|answer| answer.decode().unwrap_or(false)) {
        true => Ok(Json("deleted".to_owned())),
        false => Err(ClientError::new("not_confirmed", "it was not confirmed")),
    }
}

fn gateway() -> Result<Gateway, Failure> {
    let kept = Retention::new(100, Duration::from_secs(3600))?;
    let tea = RoomRule::open().publish("line").history(kept);
    let router = Router::new()
        .route("price", price)
        .route("delete", delete)
        .room("chat:{name}", tea);
    let gateway = realtime::builder()
        .authenticator(Names(Credentials::bearer().from_subprotocol("token.")))
        .router(router)
        .build()?;
    Ok(gateway)
}

/// What the server names as it likes: another one each time.
const ITS_OWN: [&str; 4] = ["epoch", "reply", "request", "version"];

/// What has come by so far.
#[derive(Default)]
struct Talk {
    clients: HashMap<String, Client>,
    /// What the page calls what the server has named, and what that is here.
    names: HashMap<String, String>,
}

impl Talk {
    /// Does what a line says, or sees it happen. What comes to one client behind each other may come
    /// in another order: an answer, and what was sent to a room.
    async fn follow(
        &mut self,
        lines: &[(&str, &str, &str)],
        server: SocketAddr,
    ) -> Result<(), Failure> {
        for heard in lines.chunk_by(|a, b| (a.0, a.1) == (b.0, "<-") && b.1 == "<-") {
            let (who, arrow, what) = heard[0];
            match arrow {
                "<-" => {
                    self.hear(who, heard.iter().map(|line| line.2).collect())
                        .await?
                }
                "->" => {
                    let text = self
                        .names
                        .iter()
                        .fold(what.to_owned(), |text, (shown, name)| {
                            text.replace(&format!("{shown:?}"), &format!("{name:?}"))
                        });
                    self.client(who)?.send_text(&text).await?;
                }
                _ if what == "is cut off" => drop(self.clients.remove(who)),
                _ => match what.split_once(", Sec-WebSocket-Protocol: ") {
                    Some(("GET /ws", offered)) => {
                        let request = Request::new("/ws").header("Sec-WebSocket-Protocol", offered);
                        self.clients
                            .insert(who.to_owned(), request.connect(server).await?);
                    }
                    Some(("101", chosen)) => {
                        let answer = &self.client(who)?.answer;
                        assert_eq!(answer.header("sec-websocket-protocol"), Some(chosen));
                    }
                    _ => return Err(format!("nobody knows what this is: {what}").into()),
                },
            }
        }
        Ok(())
    }

    async fn hear(&mut self, who: &str, mut shown: Vec<&str>) -> Result<(), Failure> {
        while !shown.is_empty() {
            let came = match self.client(who)?.recv().await? {
                Event::Text(text) => serde_json::from_str(&text)?,
                Event::Close(Some(close)) => Value::from(close.code),
                other => return Err(format!("{who} heard {other:?}").into()),
            };
            let mut fitting = None;
            for (place, text) in shown.iter().enumerate() {
                let mut names = self.names.clone();
                if fits(&serde_json::from_str(text)?, &came, &mut names) {
                    fitting = Some((place, names));
                    break;
                }
            }
            let Some((place, names)) = fitting else {
                return Err(format!("{who} heard\n{came}\nwhere the page has\n{shown:?}").into());
            };
            self.names = names;
            shown.remove(place);
        }
        Ok(())
    }

    fn client(&mut self, who: &str) -> Result<&mut Client, Failure> {
        self.clients
            .get_mut(who)
            .ok_or_else(|| format!("{who} isn't connected").into())
    }
}

/// Whether what came is what the page shows: `…` stands for any text.
fn fits(shown: &Value, came: &Value, names: &mut HashMap<String, String>) -> bool {
    match (shown, came) {
        (Value::String(shown), Value::String(_)) if shown == "…" => true,
        (Value::Array(shown), Value::Array(came)) => {
            shown.len() == came.len() && shown.iter().zip(came).all(|(s, c)| fits(s, c, names))
        }
        (Value::Object(shown), Value::Object(came)) => {
            shown.keys().eq(came.keys())
                && shown.iter().all(|(key, shown)| match (shown, &came[key]) {
                    (Value::String(shown), Value::String(came))
                        if ITS_OWN.contains(&key.as_str()) =>
                    {
                        names.entry(shown.clone()).or_insert_with(|| came.clone()) == came
                    }
                    (shown, came) => fits(shown, came, names),
                })
        }
        _ => shown == came,
    }
}

#[tokio::test]
async fn the_transcript_is_what_goes_over_the_connection() -> Result<(), Failure> {
    let path = root().join("docs/protocol.md");
    let page = Page::new(fs::read_to_string(&path)?, path);
    let blocks = page.blocks();
    let transcript = blocks
        .iter()
        .find(|block| block.text.starts_with("ann .. GET"));
    let transcript = &transcript
        .ok_or("expected a block that begins with `ann .. GET`")?
        .text;
    let mut lines = Vec::new();
    for line in transcript.lines().filter(|line| !line.is_empty()) {
        let (who, rest) = line.split_once(' ').ok_or(line)?;
        let (arrow, what) = rest.split_once(' ').ok_or(line)?;
        lines.push((who, arrow, what));
    }

    let gateway = gateway()?;
    let listener = bind("127.0.0.1:0").await?;
    let server = listener.local_addr()?;
    let app = axum::Router::new().route_service("/ws", gateway.clone());
    let serving = tokio::spawn(realtime::serve(listener, app, gateway.clone()).into_future());

    let end = lines
        .iter()
        .position(|line| *line == ("server", "..", "shuts down"));
    let end = end.ok_or("expected the server to shut down")?;
    let mut talk = Talk::default();
    talk.follow(&lines[..end], server).await?;
    let ending = tokio::spawn(async move { gateway.shutdown().await });
    talk.follow(&lines[end + 1..], server).await?;
    drop(talk);
    ending.await?;
    serving.await??;
    Ok(())
}
