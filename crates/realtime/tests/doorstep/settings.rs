//! Settings that would be accepted and ignored are refused.

use realtime::{
    Builder, Config, Identity,
    auth::{Anonymous, AuthError, Authenticator, FromExtension, StaticToken, Token},
    error::BuildErrorKind,
};

use super::SECOND;

/// One that has tokens, and doesn't say where they may stand in a request.
struct Silent;

impl Authenticator for Silent {
    async fn authenticate(&self, _: &axum::http::request::Parts) -> Result<Identity, AuthError> {
        Err(AuthError::unauthorized("no"))
    }

    async fn authenticate_token(&self, token: Token) -> Result<Identity, AuthError> {
        Ok(Identity::new(token.expose()))
    }

    fn accepts_tokens(&self) -> bool {
        true
    }
}

#[test]
fn an_authenticator_without_tokens_is_refused() {
    let build = |builder: Builder| builder.token_in_message(Some(15 * SECOND)).build();
    let builder = realtime::builder;
    for error in [
        build(builder().authenticator(Anonymous)),
        build(builder().authenticator(FromExtension)),
        build(builder().authenticator(Silent)),
    ] {
        let error = error.unwrap_err();
        assert_eq!(error.kind(), BuildErrorKind::InvalidOption);
        assert!(error.to_string().starts_with("token_in_message"), "{error}");
    }
    let token = StaticToken::new("s3cret", Identity::new("worker")).unwrap();
    assert!(build(builder().authenticator(token)).is_ok());
}

#[test]
fn they_are_read_from_a_file_and_off_by_default() {
    let config = Config::default();
    assert_eq!(
        (config.token_in_message, config.accept_then_close),
        (None, false)
    );
    let file = r#"{"token_in_message": "15s", "accept_then_close": true}"#;
    let config: Config = serde_json::from_str(file).unwrap();
    assert_eq!(config.token_in_message, Some(15 * SECOND));
    assert!(config.accept_then_close);
    let config: Config = serde_json::from_str(r#"{"token_in_message": "off"}"#).unwrap();
    assert_eq!(config.token_in_message, None);
    let config: Config = serde_json::from_str(r#"{"token_in_message": 0}"#).unwrap();
    let error = config.validate().unwrap_err().to_string();
    assert!(error.contains("token_in_message"), "{error}");
}
