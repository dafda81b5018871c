//! Where a token may stand in an upgrade request.

use std::{borrow::Cow, fmt};

use http::{
    HeaderValue,
    header::{AUTHORIZATION, COOKIE, SEC_WEBSOCKET_PROTOCOL},
    request::Parts,
};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::{AuthError, AuthErrorKind};

/// The longest token, in bytes.
const LONGEST: usize = 8 * 1024;

/// Where a token is looked for.
///
/// By default only in the header `Authorization: Bearer …`. A browser can't set headers on a
/// WebSocket, so a token may also stand in the query string, a cookie or a subprotocol, each of
/// which is switched on by name. Two sources that differ are refused.
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
        }
    }

    /// Doesn't look into the `Authorization` header.
    pub fn without_header(mut self) -> Self {
        self.header = false;
        self
    }

    /// Looks at this parameter of the query string too.
    pub fn from_query(mut self, name: impl Into<Cow<'static, str>>) -> Self {
        self.query = Some(name.into());
        self
    }

    /// Looks at this cookie too. Keep the gateway's origin check on, or any page could connect as
    /// its visitor.
    pub fn from_cookie(mut self, name: impl Into<Cow<'static, str>>) -> Self {
        self.cookie = Some(name.into());
        self
    }

    /// Looks among the offered subprotocols for one with this prefix; the token is what follows.
    ///
    /// The client offers the codec's own subprotocol beside it, which is the one that is chosen:
    /// `new WebSocket(url, ["realtime.json", "token." + token])`.
    pub fn from_subprotocol(mut self, prefix: impl Into<Cow<'static, str>>) -> Self {
        self.subprotocol = Some(prefix.into());
        self
    }

    /// Whether a cookie is looked at.
    #[must_use]
    pub fn uses_cookie(&self) -> bool {
        self.cookie.is_some()
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
                let got = format!("expected the name of a {what} without spaces; got {name:?}");
                return Err(AuthError::new(AuthErrorKind::InvalidOption, got));
            }
        }
        if !self.header && names.iter().all(|(_, name)| name.is_none()) {
            let got = "expected a header, a query parameter, a cookie or a subprotocol to look at";
            return Err(AuthError::new(AuthErrorKind::InvalidOption, got));
        }
        Ok(())
    }

    /// The token of a request, if it has one.
    ///
    /// # Errors
    /// Kind [`Unauthorized`](AuthErrorKind::Unauthorized) for a token that is malformed, too
    /// long, or given twice and differently.
    pub fn find(&self, request: &Parts) -> Result<Option<Token>, AuthError> {
        let mut found: Option<Token> = None;
        let mut add = |token: Cow<'_, str>| {
            if token.len() > LONGEST {
                return Err(AuthError::unauthorized("expected a token of at most 8 KiB"));
            }
            if token.is_empty() {
                return Ok(());
            }
            match &found {
                Some(other) if !other.matches(&token) => Err(AuthError::unauthorized(
                    "expected one token; got several that differ",
                )),
                Some(_) => Ok(()),
                None => {
                    found = Some(Token(token.into_owned()));
                    Ok(())
                }
            }
        };
        if self.header {
            let mut values = request.headers.get_all(AUTHORIZATION).iter();
            if let Some(value) = values.next() {
                if values.next().is_some() {
                    let expected = "expected one Authorization header; got several";
                    return Err(AuthError::unauthorized(expected));
                }
                add(bearer(value)?.into())?;
            }
        }
        if let (Some(name), Some(query)) = (&self.query, request.uri.query()) {
            for (_, value) in pairs(query, '&').filter(|(key, _)| key == name) {
                add(percent_decoded(value)?)?;
            }
        }
        if let Some(name) = &self.cookie {
            for line in request.headers.get_all(COOKIE) {
                let line = text(line)?;
                for (_, value) in pairs(line, ';').filter(|(key, _)| key.trim() == name) {
                    add(value.trim().trim_matches('"').into())?;
                }
            }
        }
        if let Some(prefix) = &self.subprotocol {
            for line in request.headers.get_all(SEC_WEBSOCKET_PROTOCOL) {
                for item in text(line)?.split(',') {
                    if let Some(token) = item.trim().strip_prefix(&**prefix) {
                        add(token.into())?;
                    }
                }
            }
        }
        Ok(found)
    }

    /// The token of a request that must have one.
    ///
    /// # Errors
    /// Kind [`Unauthorized`](AuthErrorKind::Unauthorized), also where there is none.
    pub fn require(&self, request: &Parts) -> Result<Token, AuthError> {
        self.find(request)?
            .ok_or_else(|| AuthError::unauthorized("expected a token; got none"))
    }
}

fn text(value: &HeaderValue) -> Result<&str, AuthError> {
    value
        .to_str()
        .map_err(|_| AuthError::unauthorized("expected credentials in ASCII"))
}

fn bearer(value: &HeaderValue) -> Result<&str, AuthError> {
    match text(value)?.split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => Ok(token.trim()),
        _ => Err(AuthError::unauthorized(
            "expected the Authorization scheme Bearer",
        )),
    }
}

fn pairs(list: &str, separator: char) -> impl Iterator<Item = (&str, &str)> {
    list.split(separator)
        .filter_map(|pair| pair.split_once('='))
}

fn percent_decoded(value: &str) -> Result<Cow<'_, str>, AuthError> {
    if !value.contains(['%', '+']) {
        return Ok(value.into());
    }
    let malformed = || AuthError::unauthorized("expected a percent-encoded token");
    let mut bytes = value.bytes();
    let mut out = Vec::with_capacity(value.len());
    while let Some(byte) = bytes.next() {
        out.push(match byte {
            b'+' => b' ',
            b'%' => {
                let mut digit = || char::from(bytes.next()?).to_digit(16);
                let (high, low) = digit().zip(digit()).ok_or_else(malformed)?;
                (high * 16 + low) as u8
            }
            plain => plain,
        });
    }
    String::from_utf8(out)
        .map(Cow::Owned)
        .map_err(|_| malformed())
}

/// A secret that a request carried. `Debug` doesn't show it.
#[derive(Clone)]
pub struct Token(String);

impl Token {
    /// The secret itself. Never log it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Compares in a time that doesn't depend on where the two differ, nor on their lengths.
    #[must_use]
    pub fn matches(&self, expected: &str) -> bool {
        digest(&self.0).ct_eq(&digest(expected)).into()
    }
}

pub(super) fn digest(secret: &str) -> [u8; 32] {
    Sha256::digest(secret).into()
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    const ALL: fn() -> Credentials = || {
        Credentials::bearer()
            .from_query("token")
            .from_cookie("auth")
            .from_subprotocol("token.")
    };

    fn find(uri: &str, headers: &[(&str, &[u8])]) -> Result<Option<String>, AuthError> {
        let mut request = Request::get(uri);
        for (name, value) in headers {
            request = request.header(*name, HeaderValue::from_bytes(value).unwrap());
        }
        let request = request.body(()).unwrap().into_parts().0;
        Ok(ALL().find(&request)?.map(|token| token.expose().to_owned()))
    }

    fn found(uri: &str, headers: &[(&str, &[u8])]) -> Option<String> {
        find(uri, headers).unwrap()
    }

    #[test]
    fn a_token_is_found_in_each_place() {
        let t = Some("a b".to_owned());
        assert_eq!(found("/", &[("authorization", b"Bearer a b")]), t);
        assert_eq!(found("/", &[("authorization", b"bEARER a b")]), t);
        assert_eq!(found("/?x=1&token=a%20b", &[]), t);
        assert_eq!(found("/?token=a+b", &[]), t);
        assert_eq!(
            found("/", &[("cookie", b"x=1; auth=a b"), ("cookie", b"y=2")]),
            t
        );
        assert_eq!(
            found(
                "/",
                &[("sec-websocket-protocol", b"realtime.json, token.a b")]
            ),
            t
        );
        assert_eq!(found("/?token=", &[("cookie", b"other=1")]), None);
    }

    #[test]
    fn the_same_token_twice_is_fine_and_two_that_differ_are_not() {
        assert!(found("/?token=t&token=t", &[("authorization", b"Bearer t")]).is_some());
        assert!(find("/?token=t&token=u", &[]).is_err());
        assert!(find("/?token=t", &[("authorization", b"Bearer u")]).is_err());
        assert!(find("/", &[("cookie", b"auth=t"), ("cookie", b"auth=u")]).is_err());
    }

    #[test]
    fn what_is_malformed_is_refused_without_being_shown() {
        let long = [&b"Bearer "[..], &[b's'; 8 * 1024 + 1]].concat();
        type Headers<'h> = Vec<(&'h str, &'h [u8])>;
        let rows: Vec<(&str, Headers<'_>)> = vec![
            ("/", vec![("authorization", b"Basic s3cret")]),
            ("/", vec![("authorization", b"s3cret")]),
            (
                "/",
                vec![
                    ("authorization", b"Bearer s3cret"),
                    ("authorization", b"Bearer s3cret"),
                ],
            ),
            ("/", vec![("authorization", b"Bearer s3cret\xff")]),
            ("/", vec![("authorization", &long)]),
            ("/?token=s3cret%zz", vec![]),
            ("/?token=s3cret%ff", vec![]),
            ("/?token=s3cret%2", vec![]),
        ];
        for (uri, headers) in rows {
            let error = find(uri, &headers).unwrap_err();
            assert_eq!(error.kind(), AuthErrorKind::Unauthorized);
            assert!(!format!("{error:?}").contains("s3cret"), "{error:?}");
        }
        assert!(!format!("{:?}", Token("s3cret".into())).contains("s3cret"));
    }

    #[test]
    fn names_are_checked() {
        assert!(ALL().validate().is_ok());
        assert!(Credentials::bearer().from_query("a b").validate().is_err());
        assert!(Credentials::bearer().from_cookie("").validate().is_err());
        assert!(Credentials::bearer().without_header().validate().is_err());
    }
}
