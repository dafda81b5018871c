//! What each part of a request says: the tokens that stand where ours do.
//!
//! A part that isn't ours is skipped, whatever is in it: the cookies of others, the credentials
//! that a proxy asks for, parameters with any bytes. Only what stands under our own name can be
//! wrong.

use std::borrow::Cow;

use base64::{
    Engine,
    alphabet::URL_SAFE,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use cookie::Cookie;
use http::{
    HeaderMap,
    header::{AUTHORIZATION, COOKIE, SEC_WEBSOCKET_PROTOCOL},
};

use crate::auth::AuthError;

/// With padding or without it.
const BASE64URL: GeneralPurpose = GeneralPurpose::new(
    &URL_SAFE,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The values of `Authorization: Bearer …`.
pub(super) fn bearer(headers: &HeaderMap) -> impl Iterator<Item = &[u8]> {
    const SCHEME: &[u8] = b"bearer";
    let values = headers.get_all(AUTHORIZATION).into_iter();
    values.filter_map(|value| {
        let (scheme, token) = value.as_bytes().split_at_checked(SCHEME.len())?;
        let ours = scheme.eq_ignore_ascii_case(SCHEME) && token.starts_with(b" ");
        ours.then(|| token.trim_ascii())
    })
}

/// The values of one parameter of a query string, decoded. A `+` is itself and no space: no token
/// has a space, and many have a `+` and are put into a URL as they are.
pub(super) fn parameter<'q>(query: &'q str, name: &str) -> impl Iterator<Item = Cow<'q, str>> {
    query.split('&').filter_map(move |pair| {
        let (key, value) = form_urlencoded::parse(pair.as_bytes()).next()?;
        if key != name {
            return None;
        }
        if !pair.contains('+') {
            return Some(value);
        }
        let pair = pair.replace('+', "%2B");
        let (_, value) = form_urlencoded::parse(pair.as_bytes()).next()?;
        Some(value.into_owned().into())
    })
}

/// Whether a name that stands in a query string as it is written here is read as this one.
pub(super) fn is_parameter(name: &str) -> bool {
    let mut read = form_urlencoded::parse(name.as_bytes());
    read.next().is_some_and(|(key, _)| key == name) && read.next().is_none()
}

/// The values of the cookies of one name, in the order in which they came. Each as it stands, and
/// also decoded where it may be percent-encoded: whether it is nobody can see, and many libraries
/// encode what they put into a cookie.
pub(super) fn cookies(
    headers: &HeaderMap,
    name: &str,
) -> impl Iterator<Item = (String, Option<String>)> {
    let lines = headers.get_all(COOKIE).into_iter();
    lines.flat_map(move |line| {
        // Others may have written any bytes into it.
        let line = String::from_utf8_lossy(line.as_bytes()).into_owned();
        Cookie::split_parse(line).filter_map(move |cookie| {
            let cookie = cookie.ok().filter(|cookie| cookie.name() == name)?;
            let value = cookie.value_trimmed().to_owned();
            let decoded = value.contains('%').then(|| decoded(&value)).flatten();
            Some((value, decoded))
        })
    })
}

fn decoded(value: &str) -> Option<String> {
    let cookie = Cookie::parse_encoded(format!("c={value}")).ok()?;
    Some(cookie.value_trimmed().to_owned())
}

/// What follows the prefix in each offered subprotocol that has it.
pub(super) fn subprotocols<'r>(
    headers: &'r HeaderMap,
    prefix: &str,
) -> impl Iterator<Item = &'r [u8]> {
    let lines = headers.get_all(SEC_WEBSOCKET_PROTOCOL).into_iter();
    let items = lines.flat_map(|line| line.as_bytes().split(|byte| *byte == b','));
    items.filter_map(move |item| item.trim_ascii().strip_prefix(prefix.as_bytes()))
}

/// A token that stands there in base64url. The header of a request bounds its length.
pub(super) fn base64url(token: &[u8]) -> Result<Vec<u8>, AuthError> {
    let expected = "expected a token in base64url behind the prefix of the subprotocol";
    let decoded = BASE64URL.decode(token);
    decoded.map_err(|_| AuthError::unauthorized(expected))
}
