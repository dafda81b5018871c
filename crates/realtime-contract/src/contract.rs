//! What a server and its clients agree on: all declarations, and the document that tells of them.

use std::fmt;

use realtime_core::{Message, codec::routes};
use realtime_gateway::Router;
use schemars::JsonSchema;
use serde_json::Value;

use crate::{
    Event, Question, Refusal, Request, Room, asyncapi, codes,
    entry::{Asked, Errors, Heard, Inquiry, MakeSchema},
    schemas::Schemas,
    unhandled,
};

/// What a server and its clients agree on: every route with its types, and the rooms.
///
/// ```
/// use realtime::contract::{Contract, Event, Request, Room};
///
/// const SAY: Request<String> = Request::new("say");
/// const LINE: Event<String> = Event::new("line");
///
/// let contract = Contract::new("Chat", "1.0.0")
///     .path("/ws")
///     .request(SAY)
///     .room(Room::new("room:{name}").event(LINE));
/// let document = contract.asyncapi()?;
/// assert_eq!(document["asyncapi"], "3.0.0");
/// # Ok::<(), realtime::contract::InvalidContract>(())
/// ```
#[derive(Debug, Clone)]
pub struct Contract {
    pub(crate) title: String,
    pub(crate) version: String,
    pub(crate) description: String,
    pub(crate) path: Option<String>,
    pub(crate) requests: Vec<Asked>,
    pub(crate) events: Vec<Heard>,
    pub(crate) questions: Vec<Inquiry>,
    pub(crate) rooms: Vec<Room>,
    pub(crate) errors: Vec<MakeSchema>,
}

impl Contract {
    /// A contract without routes. The version is the application's own.
    #[must_use]
    pub fn new(title: impl Into<String>, version: impl Into<String>) -> Self {
        Self {
            title: title.into(),
            version: version.into(),
            description: String::new(),
            path: None,
            requests: Vec::new(),
            events: Vec::new(),
            questions: Vec::new(),
            rooms: Vec::new(),
            errors: Vec::new(),
        }
    }

    /// A few sentences about it, in Markdown.
    #[must_use]
    pub fn description(mut self, text: impl Into<String>) -> Self {
        self.description = text.into();
        self
    }

    /// The path on which the gateway is mounted, such as `/ws`.
    #[must_use]
    pub fn path(mut self, path: impl Into<String>) -> Self {
        self.path = Some(path.into());
        self
    }

    /// Clients may ask this.
    #[must_use]
    pub fn request<Q, R, E>(mut self, request: Request<Q, R, E>) -> Self
    where
        Q: JsonSchema + 'static,
        R: JsonSchema + 'static,
        E: Errors,
    {
        self.requests.push(Asked::of(request));
        self
    }

    /// Clients hear this, outside of rooms.
    #[must_use]
    pub fn event<T: JsonSchema + 'static>(mut self, event: Event<T>) -> Self {
        self.events.push(Heard::of(event));
        self
    }

    /// The server may ask this.
    #[must_use]
    pub fn question<Q, A>(mut self, question: Question<Q, A>) -> Self
    where
        Q: JsonSchema + 'static,
        A: JsonSchema + 'static,
    {
        self.questions.push(Inquiry::of(question));
        self
    }

    /// There are rooms of this pattern.
    #[must_use]
    pub fn room(mut self, room: Room) -> Self {
        self.rooms.push(room);
        self
    }

    /// Every request may be answered with these errors, too: what a layer around the handlers refuses
    /// with, say.
    ///
    /// An extractor whose rejection is a [`ClientError`](realtime_core::ClientError) refuses before
    /// the handler runs, whatever that fails with, and the client is told: declare its code here, too.
    /// The compiler doesn't know of it.
    #[must_use]
    pub fn errors<E: Refusal>(mut self) -> Self {
        self.errors.extend(E::schema());
        self
    }

    /// What is declared and not handled so: requests without a route that has come by
    /// [`handle`](crate::RouterExt::handle) of the same declaration, and rooms without a rule that
    /// publishes, announces and is asked as they say. For a test, which expects that there is nothing.
    ///
    /// Routes behind the prefix of a [`Router::nest`] are others: declare them with their whole names.
    ///
    /// ```
    /// use realtime::{Json, Router, contract::{Contract, Request, RouterExt}};
    ///
    /// const SAY: Request<String> = Request::new("say");
    /// const ASK: Request<String, String> = Request::new("ask");
    ///
    /// let contract = Contract::new("Chat", "1.0.0").request(SAY).request(ASK);
    /// let router = Router::<()>::new()
    ///     .handle(SAY, async |Json(_text): Json<String>| ())
    ///     .route("old", async || ());
    /// assert_eq!(contract.unhandled(&router), ["the request \"ask\""]);
    /// assert_eq!(contract.undeclared(&router), ["the request \"old\""]);
    /// ```
    #[must_use]
    pub fn unhandled<S: Clone + Send + Sync + 'static>(&self, router: &Router<S>) -> Vec<String> {
        let requests = self.requests.iter();
        let requests = requests.filter_map(|asked| {
            let reason = unhandled::request(asked, router)?;
            Some(format!("{}{reason}", request_on(asked.route)))
        });
        let rooms = self.rooms.iter();
        let rooms = rooms.filter_map(|room| {
            let reason = unhandled::room(room, router)?;
            Some(format!("{}{reason}", rooms_of(&room.pattern)))
        });
        requests.chain(rooms).collect()
    }

    /// What is handled and not declared: routes of the router, and rules of rooms.
    #[must_use]
    pub fn undeclared<S: Clone + Send + Sync + 'static>(&self, router: &Router<S>) -> Vec<String> {
        let is_request = |route: &&str| self.requests.iter().any(|asked| asked.route == *route);
        let is_room = |pattern: &&str| self.rooms.iter().any(|room| room.pattern == *pattern);
        let routes = router
            .routes()
            .filter(|route| !is_request(route))
            .map(request_on);
        let rooms = router
            .rooms()
            .filter(|pattern| !is_room(pattern))
            .map(rooms_of);
        routes.chain(rooms).collect()
    }

    /// The contract as an AsyncAPI 3.0 document: JSON whose fields are in alphabetical order, so that
    /// the same contract is the same text.
    ///
    /// # Errors
    /// When something is declared twice in different ways, when a route can't be one or is the
    /// gateway's own, and when errors are not serialised as a [`Refusal`] has to be.
    pub fn asyncapi(&self) -> Result<Value, InvalidContract> {
        let mut schemas = Schemas::new();
        let mut wrong = Vec::new();
        self.check_routes(&mut wrong);
        self.check_rooms(&mut wrong);
        self.check_errors(&mut schemas, &mut wrong);
        match wrong.is_empty() {
            true => asyncapi::document(self, schemas).map_err(|wrong| InvalidContract { wrong }),
            false => Err(InvalidContract { wrong }),
        }
    }

    fn check_routes(&self, wrong: &mut Vec<String>) {
        let room_events = self.rooms.iter().flat_map(|room| &room.events);
        let events: Vec<&Heard> = self.events.iter().chain(room_events).collect();
        let kinds: [(&str, Vec<&str>); 3] = [
            (
                "request",
                self.requests.iter().map(|asked| asked.route).collect(),
            ),
            (
                "question",
                self.questions.iter().map(|inquiry| inquiry.route).collect(),
            ),
            ("event", events.iter().map(|heard| heard.route).collect()),
        ];
        for (kind, all) in &kinds {
            for (at, route) in all.iter().enumerate() {
                let longest = Message::MAX_NAME_BYTES;
                if route.len() > longest {
                    let bytes = route.len();
                    wrong.push(format!(
                        "expected a route of at most {longest} bytes; got the {kind} {route:?} of \
                         {bytes}"
                    ));
                }
                if routes::is_reserved(route) {
                    wrong.push(format!(
                        "expected a route other than the gateway's own; got the {kind} {route:?}"
                    ));
                }
                if *kind != "event" && all[..at].contains(route) {
                    wrong.push(format!("expected each {kind} once; got {route:?} twice"));
                }
            }
        }
        for (at, heard) in events.iter().enumerate() {
            let other = |other: &&&Heard| other.route == heard.route && other.data != heard.data;
            if events[..at].iter().any(|one| other(&one)) {
                let route = heard.route;
                wrong.push(format!(
                    "expected one type for each event; got {route:?} of two"
                ));
            }
        }
    }

    fn check_rooms(&self, wrong: &mut Vec<String>) {
        for (at, Room { pattern, .. }) in self.rooms.iter().enumerate() {
            if self.rooms[..at]
                .iter()
                .any(|other| other.pattern == *pattern)
            {
                wrong.push(format!(
                    "expected each kind of room once; got {pattern:?} twice"
                ));
            }
        }
    }

    fn check_errors(&self, schemas: &mut Schemas, wrong: &mut Vec<String>) {
        let of_requests = self.requests.iter();
        let of_requests = of_requests.filter_map(|asked| Some((asked.route, asked.errors?)));
        let common = self.errors.iter().map(|make| ("every request", *make));
        for (what, make) in of_requests.chain(common) {
            let schema = schemas.written(make);
            if !codes::are_refusals(schemas, &schema) {
                wrong.push(format!(
                    "expected errors that are serialised with a `code` that is one of a few strings, \
                     and beside it nothing but `data`, such as an enum with \
                     `#[serde(tag = \"code\", content = \"data\")]`; got others for {what:?}"
                ));
            }
        }
    }
}

fn request_on(route: &str) -> String {
    format!("the request {route:?}")
}

fn rooms_of(pattern: &str) -> String {
    format!("the rooms {pattern:?}")
}

/// A contract of which there can be no document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidContract {
    wrong: Vec<String>,
}

impl fmt::Display for InvalidContract {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.wrong.join("; "))
    }
}

impl std::error::Error for InvalidContract {}
