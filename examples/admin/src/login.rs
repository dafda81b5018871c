//! A password for a cookie, by which the page's guard knows an operator.
//!
//! The cookie is a word drawn when the process starts, so the password is nowhere but in the form, and a
//! restart signs everybody out. Behind TLS the cookie should be `Secure`, too, and guesses should be
//! limited: by the proxy in front, say.

use axum::{
    Router,
    extract::State,
    http::{StatusCode, header},
    response::{Html, IntoResponse, Redirect, Response},
    routing::get,
};
use realtime::{
    Identity,
    auth::{AuthError, StaticToken},
};
use sha2::{Digest, Sha256};
use uuid::Uuid;

const FORM: &str = "<!doctype html><html lang=en><meta name=viewport content='width=device-width'>\
    <title>Sign in</title><main><h1>Sign in</h1><form method=post><label>Password \
    <input name=password type=password autofocus required></label> <button>Sign in</button></form></main>";

#[derive(Clone)]
struct Door {
    /// Digests are compared, so how long it takes says nothing of the password.
    password: [u8; 32],
    word: String,
}

/// The form, and who is let in by its cookie.
pub(crate) fn router(password: &str) -> Result<(Router, StaticToken), AuthError> {
    let word = format!("{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple());
    let operator = Identity::new("operator").with_role("admin");
    let operators = StaticToken::new(&word, operator)?.from_cookie("operator");
    let password = Sha256::digest(password).into();
    let door = Door { password, word };
    let form = get(async || Html(FORM)).post(enter);
    Ok((
        Router::new().route("/login", form).with_state(door),
        operators,
    ))
}

async fn enter(State(door): State<Door>, form: String) -> Response {
    let fields = form_urlencoded::parse(form.as_bytes());
    let given: Option<String> = fields
        .filter_map(|(name, value)| (name == "password").then(|| value.into_owned()))
        .next();
    if <[u8; 32]>::from(Sha256::digest(given.unwrap_or_default())) != door.password {
        return (StatusCode::FORBIDDEN, Html(FORM)).into_response();
    }
    let cookie = format!(
        "operator={}; HttpOnly; SameSite=Strict; Path=/admin",
        door.word
    );
    ([(header::SET_COOKIE, cookie)], Redirect::to("/admin/")).into_response()
}
