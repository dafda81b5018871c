//! Where a token may stand in an upgrade request.

mod sources;
#[cfg(test)]
mod tests;
mod token;

use std::borrow::Cow;

use http::request::Parts;

use super::{AuthError, AuthErrorKind};

pub use token::Token;
pub(super) use token::{check as check_token, digest};

/// How many cookies of one name are looked at, beside those that are no token.
const COOKIES: usize = 4;

/// Where a token is looked for.
///
/// By default only in the header `Authorization: Bearer …`. A browser can't set headers on a
/// WebSocket, so a token may also stand in the query string, a cookie or a subprotocol, each of
/// which is switched on by name. Everything else in a request is as if it weren't there: an
/// `Authorization` of another scheme, other cookies and parameters.
///
/// A token is visible ASCII of at most 8 KiB, and is taken as it stands, so one in base64url with its
/// padding, such as `8J-Y_w==`, is these nine characters and not what they stand for. Only what the
/// place of a token asks for is undone: the percent-encoding of a query string, and base64url around
/// a whole token in a subprotocol, where that is
/// [switched on](Self::from_base64url_subprotocol). Two sources that both have one and differ are
/// refused, and so is a source that has two. Only cookies may differ among themselves: a browser
/// sends one of a domain and one of its subdomain under one name, and no page can see which is
/// ours. So up to four are candidates, in their order; one with a `%` as it stands, and then
/// percent-decoded, since many libraries encode what they put into a cookie. A cookie of our name
/// that can't be a token may be somebody else's: it is malformed only where no place has a token.
///
/// A token in a URL ends up in the logs of proxies: prefer a short-lived one there.
///
/// ```
/// use http::Request;
/// use realtime::auth::Credentials;
///
/// let request = Request::get("/ws?token=s3cret").body(()).unwrap().into_parts().0;
/// let token = Credentials::bearer().from_query("token").require(&request)?;
/// assert_eq!(token.expose(), "s3cret");
/// # Ok::<(), realtime::auth::AuthError>(())
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct Credentials {
    header: bool,
    query: Option<Cow<'static, str>>,
    cookie: Option<Cow<'static, str>>,
    subprotocol: Option<Cow<'static, str>>,
    /// What follows the prefix in a subprotocol is the token in base64url.
    is_base64url: bool,
    /// What was named a second time, so that the first name would be ignored.
    twice: Option<&'static str>,
}

impl Default for Credentials {
    fn default() -> Self {
        Self::bearer()
    }
}

impl Credentials {
    /// The `Authorization` header alone.
    pub const fn bearer() -> Self {
        Self {
            header: true,
            query: None,
            cookie: None,
            subprotocol: None,
            is_base64url: false,
            twice: None,
        }
    }

    /// Doesn't look into the `Authorization` header.
    pub fn without_header(mut self) -> Self {
        self.header = false;
        self
    }

    /// Looks at this parameter of the query string too. It may be percent-encoded; a `+` in it is a
    /// plus and no space, which no token has.
    pub fn from_query(mut self, name: impl Into<Cow<'static, str>>) -> Self {
        if self.query.replace(name.into()).is_some() {
            self.twice = Some("query parameter");
        }
        self
    }

    /// Looks at this cookie too. Keep the gateway's origin check on, or any page could connect as
    /// its visitor.
    pub fn from_cookie(mut self, name: impl Into<Cow<'static, str>>) -> Self {
        if self.cookie.replace(name.into()).is_some() {
            self.twice = Some("cookie");
        }
        self
    }

    /// Looks among the offered subprotocols for one with this prefix; the token is what follows.
    ///
    /// The client offers the codec's own subprotocol beside it, which is the one that is chosen:
    /// `new WebSocket(url, ["realtime.json", "token." + token])`. Without it none is chosen, for the
    /// token is never sent back, and Chromium fails a connection of which it has offered
    /// subprotocols and got none.
    ///
    /// The token is taken as it stands. A browser offers none with an `=`, `/`, `:` or one of some
    /// others, and a JWT has none of them: for tokens that may,
    /// [`from_base64url_subprotocol`](Self::from_base64url_subprotocol).
    pub fn from_subprotocol(self, prefix: impl Into<Cow<'static, str>>) -> Self {
        self.with_subprotocol(prefix.into(), false)
    }

    /// The same, but what follows the prefix is the token in base64url, in which every token can be
    /// offered: with or without padding, though browsers offer it without alone. What isn't base64url
    /// is a malformed token. There is one prefix, so it comes in place of
    /// [`from_subprotocol`](Self::from_subprotocol).
    ///
    /// In a page, as Kubernetes does it with the prefix `base64url.bearer.authorization.k8s.io.`:
    ///
    /// ```js
    /// const encoded = btoa(token).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
    /// new WebSocket(url, ["realtime.json", "base64url.bearer." + encoded]);
    /// ```
    ///
    /// ```
    /// use http::Request;
    /// use realtime::auth::Credentials;
    ///
    /// let offered = "realtime.json, base64url.bearer.YS9iPQ";
    /// let request = Request::get("/ws").header("sec-websocket-protocol", offered);
    /// let request = request.body(()).unwrap().into_parts().0;
    /// let credentials = Credentials::bearer().from_base64url_subprotocol("base64url.bearer.");
    /// assert_eq!(credentials.require(&request)?.expose(), "a/b=");
    /// # Ok::<(), realtime::auth::AuthError>(())
    /// ```
    pub fn from_base64url_subprotocol(self, prefix: impl Into<Cow<'static, str>>) -> Self {
        self.with_subprotocol(prefix.into(), true)
    }

    fn with_subprotocol(mut self, prefix: Cow<'static, str>, is_base64url: bool) -> Self {
        if self.subprotocol.replace(prefix).is_some() {
            self.twice = Some("subprotocol prefix");
        }
        self.is_base64url = is_base64url;
        self
    }

    /// Whether a cookie is looked at.
    #[must_use]
    pub fn uses_cookie(&self) -> bool {
        self.cookie.is_some()
    }

    /// What subprotocols that have a token begin with, where they are looked at. The gateway refuses
    /// one with which its codec's own name begins: that would be taken for another token.
    #[must_use]
    pub fn subprotocol_prefix(&self) -> Option<&str> {
        self.subprotocol.as_deref()
    }

    /// Whether a token may stand in a subprotocol as it is.
    pub(super) fn uses_bare_subprotocol(&self) -> bool {
        self.subprotocol.is_some() && !self.is_base64url
    }

    /// Checks the names that were given. The gateway calls it when it is built.
    ///
    /// # Errors
    /// Kind [`InvalidOption`](AuthErrorKind::InvalidOption).
    pub fn validate(&self) -> Result<(), AuthError> {
        let names = [
            ("query parameter", &self.query),
            ("cookie", &self.cookie),
            ("subprotocol prefix", &self.subprotocol),
        ];
        for (what, name) in names {
            let Some(name) = name else { continue };
            let fits = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
            if name.is_empty() || !name.chars().all(fits) {
                let got = format!(
                    "expected a {what} of letters, digits and !#$%&'*+-.^_`|~; got {name:?}"
                );
                return Err(AuthError::new(AuthErrorKind::InvalidOption, got));
            }
        }
        if let Some(name) = &self.query
            && !sources::is_parameter(name)
        {
            let got = format!(
                "expected a query parameter that is itself when a query string is decoded, so \
                 without `+`, `&` and `%` before two hexadecimal digits; got {name:?}"
            );
            return Err(AuthError::new(AuthErrorKind::InvalidOption, got));
        }
        if let Some(what) = self.twice {
            let got = format!("expected one {what}; got two, of which the first would be ignored");
            return Err(AuthError::new(AuthErrorKind::InvalidOption, got));
        }
        if !self.header && names.iter().all(|(_, name)| name.is_none()) {
            let got = "expected a header, a query parameter, a cookie or a subprotocol to look at";
            return Err(AuthError::new(AuthErrorKind::InvalidOption, got));
        }
        Ok(())
    }

    /// The token of a request, if it has one: the first of its [candidates](Self::candidates).
    ///
    /// With cookies, prefer [`try_each`](Self::try_each): the first cookie of a name may be a stale
    /// one.
    ///
    /// # Errors
    /// Kind [`Unauthorized`](AuthErrorKind::Unauthorized) for a token that is malformed, too
    /// long, or given twice and differently.
    pub fn find(&self, request: &Parts) -> Result<Option<Token>, AuthError> {
        Ok(self.candidates(request)?.into_iter().next())
    }

    /// The token of a request that must have one.
    ///
    /// # Errors
    /// Kind [`Unauthorized`](AuthErrorKind::Unauthorized), also where there is none.
    pub fn require(&self, request: &Parts) -> Result<Token, AuthError> {
        self.find(request)?.ok_or_else(none)
    }

    /// Every token that the request may mean, in the order in which they are to be tried: none, or
    /// one, or those of up to four cookies of our name.
    ///
    /// # Errors
    /// Those of [`find`](Self::find).
    pub fn candidates(&self, request: &Parts) -> Result<Vec<Token>, AuthError> {
        let Seen { token, cookies } = self.look_at(request)?;
        let Some(token) = token else { return cookies };
        // Cookies that are malformed may be somebody else's: they hide no token.
        let cookies = cookies.unwrap_or_default();
        let same = |cookie: &Token| cookie.matches(token.expose());
        match cookies.is_empty() || cookies.iter().any(same) {
            true => Ok(vec![token]),
            false => Err(differ()),
        }
    }

    /// Whether a request has nothing in any of the places. A cookie that can't be a token is nothing
    /// here, since it may be somebody else's; anything else that is malformed is something.
    ///
    /// ```
    /// use http::Request;
    /// use realtime::auth::Credentials;
    ///
    /// let credentials = Credentials::bearer().from_cookie("session");
    /// let request = Request::get("/ws").header("cookie", "session={\"a\": 1}; theme=dark");
    /// assert!(credentials.finds_nothing_in(&request.body(()).unwrap().into_parts().0));
    /// let request = Request::get("/ws").header("cookie", "session=s3cret");
    /// assert!(!credentials.finds_nothing_in(&request.body(()).unwrap().into_parts().0));
    /// ```
    #[must_use]
    pub fn finds_nothing_in(&self, request: &Parts) -> bool {
        let Ok(Seen { token, cookies }) = self.look_at(request) else {
            return false;
        };
        token.is_none() && cookies.unwrap_or_default().is_empty()
    }

    fn look_at(&self, request: &Parts) -> Result<Seen, AuthError> {
        let mut found = One::default();
        if self.header {
            for token in sources::bearer(&request.headers) {
                found.add(token)?;
            }
        }
        if let (Some(name), Some(query)) = (&self.query, request.uri.query()) {
            for token in sources::parameter(query, name) {
                found.add(token.as_bytes())?;
            }
        }
        if let Some(prefix) = &self.subprotocol {
            for token in sources::subprotocols(&request.headers, prefix) {
                match self.is_base64url {
                    true => found.add(&sources::base64url(token)?)?,
                    false => found.add(token)?,
                }
            }
        }
        let cookies = match &self.cookie {
            Some(name) => cookies(request, name),
            None => Ok(Vec::new()),
        };
        Ok(Seen {
            token: found.0,
            cookies,
        })
    }

    /// Tries each candidate until one is right, and returns what is made of it.
    ///
    /// ```
    /// use realtime::{
    ///     Identity,
    ///     auth::{AuthError, Credentials, Token},
    /// };
    ///
    /// # async fn who(request: &http::request::Parts) -> Result<Identity, AuthError> {
    /// let credentials = Credentials::bearer().from_cookie("auth");
    /// credentials
    ///     .try_each(request, async |token: Token| match token.expose() {
    ///         "ada's" => Ok(Identity::new("ada")),
    ///         _ => Err(AuthError::unauthorized("nobody has this token")),
    ///     })
    ///     .await
    /// # }
    /// ```
    ///
    /// # Cancel safety
    /// That of the function.
    ///
    /// # Errors
    /// The last error of the function: that of a token of which [nobody can say][unavailable] whether
    /// it is right before that of one that has [expired], and this before that of one that never was
    /// right. Another kind than these three at once. Without any token, and for one that is
    /// malformed, kind [`Unauthorized`](AuthErrorKind::Unauthorized).
    ///
    /// [unavailable]: AuthErrorKind::Unavailable
    /// [expired]: AuthErrorKind::Expired
    pub async fn try_each<T, F, Fut>(&self, request: &Parts, mut check: F) -> Result<T, AuthError>
    where
        F: FnMut(Token) -> Fut,
        Fut: Future<Output = Result<T, AuthError>>,
    {
        let weight = |error: &AuthError| match error.kind() {
            AuthErrorKind::Unauthorized => Some(0),
            AuthErrorKind::Expired => Some(1),
            // Of this one: the next may be judged without whoever is away.
            AuthErrorKind::Unavailable => Some(2),
            _ => None,
        };
        let mut told = none();
        for token in self.candidates(request)? {
            match check(token).await {
                Ok(right) => return Ok(right),
                Err(error) if weight(&error).is_none() => return Err(error),
                Err(error) if weight(&error) >= weight(&told) => told = error,
                Err(_of_less_weight) => {}
            }
        }
        Err(told)
    }
}

/// What a request has.
struct Seen {
    /// What all places but cookies say.
    token: Option<Token>,
    /// The error is that of cookies of our name that are all malformed.
    cookies: Result<Vec<Token>, AuthError>,
}

/// The one token that all sources but cookies have.
#[derive(Default)]
struct One(Option<Token>);

impl One {
    fn add(&mut self, text: &[u8]) -> Result<(), AuthError> {
        if text.is_empty() {
            return Ok(());
        }
        let token = Token::parse(text)?;
        match &self.0 {
            Some(other) if !other.matches(token.expose()) => Err(differ()),
            _ => {
                self.0 = Some(token);
                Ok(())
            }
        }
    }
}

/// The tokens in cookies of this name. One that is malformed is an error only where there is none
/// that isn't: it may be somebody else's.
fn cookies(request: &Parts, name: &str) -> Result<Vec<Token>, AuthError> {
    let (mut tokens, mut malformed, mut wellformed) = (Vec::<Token>::new(), None, 0);
    for (value, decoded) in sources::cookies(&request.headers, name) {
        if value.is_empty() {
            continue;
        }
        if wellformed == COOKIES {
            break;
        }
        match Token::parse(value.as_bytes()) {
            Ok(token) => {
                wellformed += 1;
                let decoded = decoded.and_then(|text| Token::parse(text.as_bytes()).ok());
                for token in [Some(token), decoded].into_iter().flatten() {
                    if !tokens.iter().any(|other| other.matches(token.expose())) {
                        tokens.push(token);
                    }
                }
            }
            Err(error) => malformed = Some(error),
        }
    }
    match malformed {
        Some(error) if tokens.is_empty() => Err(error),
        _ => Ok(tokens),
    }
}

fn none() -> AuthError {
    AuthError::unauthorized("expected a token; got none")
}

fn differ() -> AuthError {
    AuthError::unauthorized("expected one token; got several that differ")
}
