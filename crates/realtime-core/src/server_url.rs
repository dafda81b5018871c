//! The URL of a server, read strictly: credentials go with it, so a part that isn't understood is
//! an error and never a default.

use std::{net::Ipv4Addr, str::FromStr};

use url::{Host, Url};

use crate::Namespace;

/// The URL of a server, for backends that are configured by one:
/// `scheme://user:password@host:port/path?name=value`. Needs the feature `server-url`.
///
/// Nothing in it is ignored. A backend takes the parameters that it knows, and what is left is an
/// error of [`finish`](Self::finish). Neither errors nor `Debug` show any part of the URL but the
/// scheme, the host and the port: a password may stand where it doesn't belong.
///
/// ```
/// # mod realtime { pub mod node { pub use realtime_core::*; } }
/// use realtime::node::ServerUrl;
///
/// let mut url: ServerUrl = "redis://rt:s3cret@[::1]:6379/2?namespace=chat".parse()?;
/// assert_eq!((url.scheme(), url.host(), url.port()), ("redis", "::1", Some(6379)));
/// assert_eq!((url.user(), url.password(), url.path()), (Some("rt"), Some("s3cret"), Some("2")));
/// let namespace = url.take_namespace()?.unwrap_or_default();
/// assert_eq!(namespace.as_str(), "chat");
/// url.finish()?;
///
/// let url: ServerUrl = "redis://host?namspace=chat".parse()?;
/// assert!(url.finish().is_err(), "nobody knows this parameter");
/// # Ok::<(), realtime::node::InvalidServerUrl>(())
/// ```
#[derive(Clone)]
pub struct ServerUrl {
    scheme: String,
    user: Option<String>,
    password: Option<String>,
    host: String,
    port: Option<u16>,
    path: Option<String>,
    parameters: Vec<(String, String)>,
    known: Vec<&'static str>,
}

/// A URL of which a part isn't understood. It shows nothing that may be secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected a URL such as scheme://user:password@host:port; {0}")]
pub struct InvalidServerUrl(String);

impl InvalidServerUrl {
    /// What is wrong, without the form that is expected: for a backend that names its own.
    #[must_use]
    pub fn reason(&self) -> &str {
        &self.0
    }
}

impl ServerUrl {
    /// The scheme, in lower case.
    #[must_use]
    pub fn scheme(&self) -> &str {
        &self.scheme
    }

    /// The user, where one is named.
    #[must_use]
    pub fn user(&self) -> Option<&str> {
        self.user.as_deref()
    }

    /// The password, where there is one.
    #[must_use]
    pub fn password(&self) -> Option<&str> {
        self.password.as_deref()
    }

    /// The host: a name in lower case, or an address. An IPv6 address has no brackets here.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port, where one is named. Never 0.
    #[must_use]
    pub fn port(&self) -> Option<u16> {
        self.port
    }

    /// What stands behind the first slash, which is one segment, decoded. `None` without a slash,
    /// empty where nothing follows it.
    #[must_use]
    pub fn path(&self) -> Option<&str> {
        self.path.as_deref()
    }

    /// Takes a parameter out of the query, which may stand there once.
    ///
    /// # Errors
    /// When it stands there twice.
    pub fn take(&mut self, name: &'static str) -> Result<Option<String>, InvalidServerUrl> {
        let mut found = self.take_all(name).into_iter();
        match (found.next(), found.next()) {
            (first, None) => Ok(first),
            _ => Err(invalid(format!("got the parameter {name} more than once"))),
        }
    }

    /// Takes a parameter out of the query that may stand there several times.
    pub fn take_all(&mut self, name: &'static str) -> Vec<String> {
        self.known.push(name);
        let is_it = |(key, _): &mut (String, String)| key == name;
        let found = self.parameters.extract_if(.., is_it);
        found.map(|(_, value)| value).collect()
    }

    /// Takes the parameter `namespace` out of the query.
    ///
    /// # Errors
    /// When it stands there twice, or isn't a namespace.
    pub fn take_namespace(&mut self) -> Result<Option<Namespace>, InvalidServerUrl> {
        let named = self.take("namespace")?.map(|name| name.parse()).transpose();
        named.map_err(|_| {
            let expected = "1 to 64 ASCII letters, digits, '-', '_' or '.'";
            invalid(format!("its parameter namespace is not {expected}"))
        })
    }

    /// Says that everything that is known was taken.
    ///
    /// # Errors
    /// When a parameter is left. The error names those that were asked for.
    pub fn finish(self) -> Result<(), InvalidServerUrl> {
        let Some((name, _)) = self.parameters.first() else {
            return Ok(());
        };
        let known = match self.known.is_empty() {
            true => "none".to_owned(),
            false => self.known.join(", "),
        };
        Err(invalid(format!(
            "known parameters are {known}; got another one, with a name of {} bytes",
            name.len()
        )))
    }

    /// Checks the URL of a server of the web, of which the path and the query are for whoever sends
    /// them: its host is the one that is written, and nothing in it would be left out. No parser of
    /// the web's URLs is as strict, and a token goes to that host.
    ///
    /// ```
    /// # mod realtime { pub mod node { pub use realtime_core::*; } }
    /// use realtime::node::ServerUrl;
    ///
    /// assert!(ServerUrl::check("wss://chat.example/a/b?x=1").is_ok());
    /// assert!(ServerUrl::check("ws://010.0.0.1/ws").is_err(), "others take it for 8.0.0.1");
    /// ```
    ///
    /// # Errors
    /// For white space and control characters, a `\`, a fragment, an `@` behind nothing, port 0, no
    /// host, and an IPv4 address that isn't four decimal numbers.
    pub fn check(text: &str) -> Result<(), InvalidServerUrl> {
        // The web's parsers take it for a slash.
        if text.contains('\\') {
            return Err(invalid("it has a `\\`; percent-encode it as %5C"));
        }
        let url = parse(text)?;
        if authority(text).is_empty() {
            return Err(invalid("it names no host"));
        }
        host(text, &url).map(drop)
    }

    /// Reads `host:port`, for parameters that name another server. An IPv6 address stands in
    /// brackets, as in a URL, and is returned without them.
    ///
    /// # Errors
    /// When it is something else.
    pub fn host_and_port(text: &str) -> Result<(String, u16), InvalidServerUrl> {
        let is_odd = text.contains(|c: char| !c.is_ascii() || "/?#@%\\".contains(c));
        let url = match is_odd {
            true => Err(invalid("a server is host:port; got another character")),
            false => format!("any://{text}").parse::<Self>(),
        }?;
        let port = url.port;
        let port = port.ok_or_else(|| invalid("a server is host:port; got no port"))?;
        Ok((url.host, port))
    }
}

impl FromStr for ServerUrl {
    type Err = InvalidServerUrl;

    fn from_str(text: &str) -> Result<Self, InvalidServerUrl> {
        let url = parse(text)?;
        let user = decoded("user", url.username())?;
        let password = decoded("password", url.password().unwrap_or_default())?;
        let parameters = parameters(url.query().unwrap_or_default())?;
        Ok(Self {
            scheme: url.scheme().to_owned(),
            user: Some(user).filter(|user| !user.is_empty()),
            password: Some(password).filter(|password| !password.is_empty()),
            host: host(text, &url)?,
            port: url.port(),
            path: path(text, &url)?,
            parameters,
            known: Vec::new(),
        })
    }
}

impl std::fmt::Debug for ServerUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ServerUrl")
            .field("scheme", &self.scheme)
            .field("host", &self.host)
            .field("port", &self.port)
            .finish_non_exhaustive()
    }
}

fn invalid(got: impl Into<String>) -> InvalidServerUrl {
    InvalidServerUrl(got.into())
}

/// What is the same for all URLs.
fn parse(text: &str) -> Result<Url, InvalidServerUrl> {
    // The parser would leave them out.
    if text.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return Err(invalid(
            "it has white space or a control character; percent-encode what belongs to it",
        ));
    }
    // The reason may quote the URL.
    let url = Url::parse(text).map_err(|e| invalid(format!("it can't be read: {e}")))?;
    // Of some schemes the parser reads a host without slashes, too, and takes others for them.
    let behind = text.get(url.scheme().len()..).unwrap_or_default();
    if url.cannot_be_a_base() || !behind.starts_with("://") {
        return Err(invalid("it has no `://` behind its scheme"));
    }
    if text.contains('\\') {
        return Err(invalid("it has a `\\`; percent-encode it as %5C"));
    }
    if url.fragment().is_some() {
        return Err(invalid("it has a `#`; percent-encode it as %23"));
    }
    if authority(text).contains('@') && url.username().is_empty() && url.password().is_none() {
        return Err(invalid(
            "nothing stands before its `@`; leave it out where there are no credentials",
        ));
    }
    if url.port() == Some(0) {
        return Err(invalid("its port is 0"));
    }
    Ok(url)
}

/// Names and values of a query. A `+` is one, as in all other parts: in the forms of the web it
/// would be a space, and a password another one.
fn parameters(query: &str) -> Result<Vec<(String, String)>, InvalidServerUrl> {
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    let read = |pair: &str| -> Result<_, InvalidServerUrl> {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        Ok((decoded("query", name)?, decoded("query", value)?))
    };
    pairs.map(read).collect()
}

/// What stands between the slashes and the path, as it is written.
fn authority(text: &str) -> &str {
    let behind = text.split_once("://").map_or("", |(_, behind)| behind);
    behind.split(['/', '?', '#']).next().unwrap_or_default()
}

/// The parser knows hosts of the web's schemes only, and leaves those of others as they are.
fn host(text: &str, url: &Url) -> Result<String, InvalidServerUrl> {
    let host = match url.host() {
        Some(Host::Domain(name)) if !name.is_empty() => Host::parse(name),
        Some(Host::Ipv6(address)) => return Ok(address.to_string()),
        Some(Host::Ipv4(address)) => return four_numbers(text, address),
        _ => return Err(invalid("it names no host")),
    };
    let is_odd = |c: char| !(c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'));
    match host {
        Ok(Host::Domain(name)) if name.contains(is_odd) => Err(invalid(
            "its host has a character that no name has; several hosts don't fit in one URL",
        )),
        Ok(Host::Domain(name)) => Ok(name),
        Ok(Host::Ipv4(address)) => four_numbers(text, address),
        Ok(Host::Ipv6(address)) => Ok(address.to_string()),
        Err(error) => Err(invalid(format!("its host can't be read: {error}"))),
    }
}

/// An address as people read it. The parser takes 010.0.0.1 for 8.0.0.1, and 1 for 0.0.0.1.
fn four_numbers(text: &str, address: Ipv4Addr) -> Result<String, InvalidServerUrl> {
    let (address, authority) = (address.to_string(), authority(text));
    let host = authority.rsplit('@').next().unwrap_or_default();
    if host.split(':').next() != Some(&*address) {
        return Err(invalid(
            "its host is a number or an address in another form; an IPv4 address is four decimal \
             numbers without leading zeros",
        ));
    }
    Ok(address)
}

/// One segment, as it is written. The parser takes `.` and `..` for folders, and a slash or an `@`
/// is most likely a part of a password.
fn path(text: &str, url: &Url) -> Result<Option<String>, InvalidServerUrl> {
    let behind = text.split_once("://").map_or("", |(_, behind)| behind);
    let end = behind.find(['?', '#']).unwrap_or(behind.len());
    let Some((_, written)) = behind.get(..end).and_then(|behind| behind.split_once('/')) else {
        return Ok(None);
    };
    if written.contains(['/', '@']) {
        return Err(invalid(
            "its path has a `/` or an `@`; percent-encode them, as %2F and %40",
        ));
    }
    let path = decoded("path", written)?;
    let read = url.path().strip_prefix('/').unwrap_or_default();
    if decoded("path", read)? != path {
        return Err(invalid("its path is `.` or `..`"));
    }
    Ok(Some(path))
}

/// Percent-decodes a part. A percent sign that starts no code is an error.
fn decoded(part: &str, text: &str) -> Result<String, InvalidServerUrl> {
    let (mut bytes, mut rest) = (Vec::with_capacity(text.len()), text.as_bytes());
    while let Some((byte, behind)) = rest.split_first() {
        rest = behind;
        if *byte != b'%' {
            bytes.push(*byte);
            continue;
        }
        let digits = rest.split_at_checked(2).and_then(|(digits, behind)| {
            rest = behind;
            let digit = |byte: &u8| char::from(*byte).to_digit(16);
            let [high, low] = digits else { return None };
            u8::try_from(16 * digit(high)? + digit(low)?).ok()
        });
        let wrong = || {
            invalid(format!(
                "its {part} has a `%` without two hex digits; use %25"
            ))
        };
        bytes.push(digits.ok_or_else(wrong)?);
    }
    String::from_utf8(bytes).map_err(|_| invalid(format!("its {part} is not UTF-8")))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(text: &str) -> ServerUrl {
        let url = text.parse::<ServerUrl>();
        assert!(url.is_ok(), "{text}: {url:?}");
        url.unwrap()
    }

    #[test]
    fn a_host_is_the_one_that_is_written() {
        let rows = [
            ("a://h", "h", None),
            ("a://H.Example:1", "h.example", Some(1)),
            ("a://[::1]:5672", "::1", Some(5672)),
            ("a://u:p@[2001:DB8::1]", "2001:db8::1", None),
            ("a://[::ffff:10.0.0.1]", "::ffff:10.0.0.1", None),
            ("a://10.0.0.1:2/x", "10.0.0.1", Some(2)),
            ("a://u:p@10.0.0.1", "10.0.0.1", None),
            ("A://h%2dx", "h-x", None),
            ("a://u:p@ss@h:1", "h", Some(1)),
        ];
        for (text, host, port) in rows {
            let url = read(text);
            assert_eq!((url.host(), url.port()), (host, port), "{text}");
        }
    }

    #[test]
    fn what_is_not_understood_is_refused_and_not_shown() {
        for text in [
            "",
            "s3cret",
            "a:s3cret",
            "a:/s3cret",
            "a:///s3cret",
            "a://",
            "a://u:s3cret@",
            "a://u:s3cret@:1",
            "a://u:s3cret@h:port",
            "a://u:s3cret@h:0",
            "a://u:s3cret@h:65536",
            "a://u:s3cret@[::1",
            "a://u:s3cret@[::1]x",
            "a://u:s3cret@[fe80::1%25eth0]",
            "a://u:s3cret@h%20x",
            "a://u:s3cret@010.0.0.1",
            "a://u:s3cret@10.1:7",
            "a://10.0.0.8:s3cret@0x0a000008",
            "a://u:s3cret@167772168/x",
            "http://u:s3cret@010.0.0.1",
            "http:u:s3cret@h",
            "ws:010.0.0.1?s3cret=://8.0.0.1",
            "http://h\\u:s3cret@x",
            "a://u:s3\\cret@h",
            "a://@h/s3cret",
            "a://:@h/s3cret",
            "a://u:s3cret@a,b",
            "a://u:s3cret@a,b:1",
            "a://u:12#s3cret@h",
            "a://u:12/s3cret@h",
            "a://u:s3cret@h/a/b",
            "a://u:s3cret@h//",
            "a://u:s3cret@h/..",
            "a://u:s3cret@h/%2e",
            "a://u:s3cret%@h",
            "a://u:s3cret%zz@h",
            "a://u:s3cret%ff@h",
            "a://u:s3cret%ff@h/%",
            "a://u:s3cret@h?x=%ff",
            "a://u:s3cret@h?x=%",
            " a://u:s3cret@h",
            "a://u:s3cret@h\n",
            "a://u:s3\tcret@h",
        ] {
            let error = text
                .parse::<ServerUrl>()
                .map(|url| format!("{text}: {url:?}"));
            let error = error.unwrap_err().to_string();
            assert!(!error.contains("s3cret"), "{error}");
        }
        // What is left of a password is a parameter that nobody knows.
        assert!(read("a://u:12?s3cret@h").finish().is_err());
        assert!(!format!("{:?}", read("a://s3cret:s3cret@h/s3cret?s3cret")).contains("s3cret"));
    }

    #[test]
    fn parameters_are_known_or_refused() {
        let mut url = read("a://h?node=a&namespace=c%68at&node=b");
        assert_eq!(url.take_all("node"), ["a", "b"]);
        assert_eq!(url.take_namespace().unwrap().unwrap().as_str(), "chat");
        assert_eq!(url.take("else"), Ok(None));
        assert_eq!(url.finish(), Ok(()));
        let mut url = read("a://h?x=1&s3cret=2&x=1");
        assert!(url.take("x").is_err());
        let error = url.finish().unwrap_err().to_string();
        assert!(
            error.contains("known parameters are x;") && !error.contains("s3cret"),
            "{error}"
        );
        for text in [
            "a://h?namespace=",
            "a://h?namespace",
            "a://h?namespace=s3cret%20",
        ] {
            let error = read(text).take_namespace().unwrap_err().to_string();
            assert!(!error.contains("s3cret"), "{error}");
        }
    }

    #[test]
    fn a_plus_is_no_space() {
        let mut url = read("a://h?password=a+b%2B%20c&x=1%26y%3D2&&z");
        assert_eq!(url.take("password").unwrap().as_deref(), Some("a+b+ c"));
        assert_eq!(url.take("x").unwrap().as_deref(), Some("1&y=2"));
        assert_eq!(url.take("z").unwrap().as_deref(), Some(""));
        assert_eq!(url.finish(), Ok(()));
    }

    #[test]
    fn what_goes_to_a_server_of_the_web_goes_to_the_host_that_is_written() {
        for text in [
            "ws://h",
            "https://h.example:8443/a/b/?x=/&y=@",
            "http://user:password@10.0.0.1:2/",
            "ws://[::1]:9/.well-known",
            "wss://b\u{fc}cher.example",
        ] {
            assert_eq!(ServerUrl::check(text), Ok(()), "{text}");
        }
        for text in [
            "",
            "h/ws",
            "ws:h",
            "ws:///h",
            "ws://",
            "ws://010.0.0.1/ws",
            "ws://10.1",
            "ws://167772168",
            "ws://0x0a000008",
            "ws://10%2e0.0.1",
            "ws://010.0.0.1\\@8.0.0.1",
            "ws://h:0",
            "ws://@h",
            "ws://h/#",
            "ws://h/a b",
            "ws://h/\ta",
            " ws://h",
            "ws://h\n",
        ] {
            assert!(ServerUrl::check(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_server_is_a_host_and_a_port() {
        assert_eq!(ServerUrl::host_and_port("h:1"), Ok(("h".to_owned(), 1)));
        assert_eq!(
            ServerUrl::host_and_port("[::1]:2"),
            Ok(("::1".to_owned(), 2))
        );
        for text in [
            "",
            "h",
            "h:",
            ":1",
            "::1:2",
            "h:x",
            "h:0",
            "h:1/2",
            "u@h:1",
            "h:1?x",
            "h:1 ",
            "010.0.0.1:1",
        ] {
            assert!(ServerUrl::host_and_port(text).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn whatever_is_encoded_comes_back(
            user in ".{1,9}", password in ".{1,9}", path in ".{0,9}", value in ".{0,9}",
        ) {
            prop_assume!(!matches!(&*path, "." | ".."));
            let hex = |text: &str| text.bytes().map(|b| format!("%{b:02x}")).collect::<String>();
            let text = format!(
                "a://{}:{}@h/{}?x={}", hex(&user), hex(&password), hex(&path), hex(&value)
            );
            let mut url = text.parse::<ServerUrl>().unwrap();
            prop_assert_eq!(url.user(), Some(&*user));
            prop_assert_eq!(url.password(), Some(&*password));
            prop_assert_eq!(url.path(), Some(&*path));
            prop_assert_eq!(url.take("x").unwrap(), Some(value));
        }

        #[test]
        fn no_text_makes_it_panic(text in "(a://)?\\PC{0,30}") {
            let _either = text.parse::<ServerUrl>();
        }
    }
}
