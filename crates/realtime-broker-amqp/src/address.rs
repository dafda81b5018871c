//! From a URL to an address of RabbitMQ. lapin's own reading puts a default where it doesn't
//! understand a part, and would send the credentials to another server.

use std::{str::FromStr, time::Duration};

use lapin::uri::{
    AMQPAuthority, AMQPQueryString, AMQPScheme, AMQPUri, AMQPUserInfo, SASLMechanism,
};
use realtime_core::{InvalidServerUrl, Namespace, ServerUrl, broker::BrokerError};

use crate::error::config as invalid;

/// How large a piece of a message is on the wire, where the URL doesn't say. lapin keeps room for
/// 64 of them for each connection; with RabbitMQ's 128 KiB a node would cost 16 MiB, and as much
/// again each time its links are made anew.
const FRAME_BYTES: u32 = 32 * 1024;
/// The least that AMQP allows.
const LEAST_FRAME_BYTES: u32 = 4096;

/// The longest that AMQP has room for. lapin panics at more.
const MAX_VHOST_BYTES: usize = 255;

/// What a URL says.
#[derive(Debug)]
pub(crate) struct Address {
    pub(crate) uri: AMQPUri,
    /// The URL names a user and a password.
    pub(crate) has_credentials: bool,
    pub(crate) namespace: Option<Namespace>,
    pub(crate) heartbeat: Option<Duration>,
    pub(crate) tls_server_name: Option<String>,
}

pub(crate) fn read(url: &str) -> Result<Address, BrokerError> {
    let mut url: ServerUrl = url.parse().map_err(not_a_url)?;
    let scheme = match url.scheme() {
        "amqp" => AMQPScheme::AMQP,
        "amqps" => AMQPScheme::AMQPS,
        other => {
            let expected = "expected a URL with the scheme amqp or amqps";
            return Err(invalid(format!("{expected}; got {other:?}")));
        }
    };
    let has_credentials = url.user().is_some();
    let userinfo = match (url.user(), url.password()) {
        (None, None) => AMQPUserInfo::default(),
        (Some(user), Some(password)) if [user, password].iter().any(|part| part.contains('\0')) => {
            let got = "a user and a password are parted by a zero byte; got one inside of them";
            return Err(invalid(got.to_owned()));
        }
        (Some(user), Some(password)) => AMQPUserInfo {
            username: user.to_owned(),
            password: password.to_owned(),
        },
        _ => {
            let expected = "expected a URL with both a user and a password, or neither";
            return Err(invalid(format!("{expected}; got one of them")));
        }
    };
    let vhost = url.path().unwrap_or("/").to_owned();
    if vhost.len() > MAX_VHOST_BYTES {
        let expected = format!("expected a vhost of at most {MAX_VHOST_BYTES} bytes");
        return Err(invalid(format!("{expected}; got {}", vhost.len())));
    }
    let port = url.port().unwrap_or_else(|| scheme.default_port());
    let authority = AMQPAuthority {
        userinfo,
        host: url.host().to_owned(),
        port,
    };
    let namespace = url.take_namespace().map_err(not_a_url)?;
    let tls_server_name = url.take("tlsServerName").map_err(not_a_url)?;
    let heartbeat = number::<u16>(&mut url, "heartbeat")?;
    let frame_max = number(&mut url, "frame_max")?.unwrap_or(FRAME_BYTES);
    if frame_max < LEAST_FRAME_BYTES {
        let expected = format!("frame_max: expected at least {LEAST_FRAME_BYTES} bytes");
        return Err(invalid(format!("{expected}; got {frame_max}")));
    }
    let channel_max = number(&mut url, "channel_max")?;
    let query = AMQPQueryString {
        frame_max: Some(frame_max),
        channel_max,
        auth_mechanism: Some(SASLMechanism::Plain),
        ..AMQPQueryString::default()
    };
    url.finish().map_err(not_a_url)?;
    Ok(Address {
        uri: AMQPUri {
            scheme,
            authority,
            vhost,
            query,
        },
        has_credentials,
        namespace,
        heartbeat: heartbeat.map(|seconds| Duration::from_secs(seconds.into())),
        tls_server_name,
    })
}

fn number<N: FromStr>(url: &mut ServerUrl, name: &'static str) -> Result<Option<N>, BrokerError> {
    let text = url.take(name).map_err(not_a_url)?;
    let read = |text: String| {
        // Rust reads a plus sign, too.
        let digits = text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse().ok().filter(|_| digits)
    };
    let wrong = || {
        let expected = format!("{name}: expected a whole number that is not too large");
        invalid(format!("{expected}; got something else in the URL"))
    };
    text.map(|text| read(text).ok_or_else(wrong)).transpose()
}

fn not_a_url(error: InvalidServerUrl) -> BrokerError {
    let expected = "expected a URL such as amqp://user:password@host:5672/vhost";
    invalid(format!("{expected}; {}", error.reason())).with_source(error)
}

#[cfg(test)]
mod tests {
    use realtime_core::broker::BrokerErrorKind;

    use super::*;

    #[test]
    fn an_address_is_the_one_that_is_written() {
        let rows = [
            ("amqp://u:s3cret@[::1]:7", "::1", 7, "/"),
            ("amqp://[2001:db8::1]", "2001:db8::1", 5672, "/"),
            ("amqps://10.0.0.1/", "10.0.0.1", 5671, ""),
            ("AMQP://H.example/%2f", "h.example", 5672, "/"),
            ("amqp://h/a%2Fb", "h", 5672, "a/b"),
        ];
        for (url, host, port, vhost) in rows {
            let uri = read(url).unwrap().uri;
            let at = (&*uri.authority.host, uri.authority.port, &*uri.vhost);
            assert_eq!(at, (host, port, vhost), "{url}");
        }
        let AMQPUserInfo { username, password } = read("amqp://u%40x:p%25%2F@h")
            .unwrap()
            .uri
            .authority
            .userinfo;
        assert_eq!((&*username, &*password), ("u@x", "p%/"));
    }

    #[test]
    fn parameters_are_used_or_refused() {
        let address = read("amqp://h?heartbeat=30&namespace=chat&channel_max=9").unwrap();
        assert_eq!(address.heartbeat, Some(Duration::from_secs(30)));
        assert_eq!(address.namespace, "chat".parse().ok());
        assert_eq!(address.uri.query.channel_max, Some(9));
        assert_eq!(address.uri.query.frame_max, Some(FRAME_BYTES));
        let address = read("amqp://h?frame_max=8192").unwrap();
        assert_eq!(address.uri.query.frame_max, Some(8192));
        for query in [
            "hartbeat=30",
            "heartbeat=30&heartbeat=30",
            "heartbeat=",
            "heartbeat=s3cret",
            "heartbeat=%2B5",
            "heartbeat=5s",
            "heartbeat=99999",
            "frame_max=1",
            "channel_max=-1",
            "connection_timeout=1000",
            "auth_mechanism=external",
            "verify=verify_none",
            "tlsServerName=a&tlsServerName=a",
            "tls_server_name=a",
            "namespace=s3cret%20",
            "s3cret",
        ] {
            let error = read(&format!("amqp://u:s3cret@h?{query}")).map(drop);
            let error = error.unwrap_err();
            assert_eq!(error.kind(), BrokerErrorKind::Config, "{query}");
            assert!(!format!("{error:?}").contains("s3cret"), "{error:?}");
        }
        let error = read("amqp://h?hartbeat=30").unwrap_err().to_string();
        assert!(error.contains("known parameters are"), "{error}");
    }

    #[test]
    fn what_the_protocol_has_no_room_for_is_refused() {
        let longest = format!("amqp://u:s3cret@h/{}", "v".repeat(MAX_VHOST_BYTES));
        assert!(read(&longest).is_ok());
        for url in [
            &*format!("{longest}v"),
            "amqp://u%00x:s3cret@h",
            "amqp://u:s3cret%00@h",
        ] {
            let error = read(url).map(drop).unwrap_err();
            assert_eq!(error.kind(), BrokerErrorKind::Config, "{url}");
            assert!(!format!("{error:?}").contains("s3cret"), "{error:?}");
        }
    }

    #[test]
    fn half_of_the_credentials_is_not_filled_up() {
        for url in ["amqp://u@h", "amqp://u:@h", "amqp://:s3cret@h"] {
            let error = read(url).map(drop).unwrap_err();
            assert!(error.to_string().contains("or neither"), "{url}: {error}");
        }
        let uri = read("amqp://h").unwrap().uri;
        assert_eq!(uri.authority.userinfo, AMQPUserInfo::default());
    }
}
