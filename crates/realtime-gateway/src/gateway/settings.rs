//! The settings, parsed once: what is made of them can't be wrong any more.

use realtime_core::auth::{AnyAuthenticator, Authenticator, Credentials};

use crate::{
    BuildError, BuildErrorKind, Config,
    admission::{OriginPolicy, TrustedProxies},
    dialects::Dialects,
};

/// What is parsed out of a [`Config`].
#[derive(Debug)]
pub(super) struct Settings {
    pub(super) config: Config,
    pub(super) origin: OriginPolicy,
    pub(super) proxies: TrustedProxies,
}

impl Settings {
    pub(super) fn parse(config: Config) -> Result<Self, BuildError> {
        config.check_ranges()?;
        Ok(Self {
            origin: OriginPolicy::new(&config.origin_patterns, config.insecure_origins)?,
            proxies: TrustedProxies::new(&config.trusted_proxies)?,
            config,
        })
    }

    /// Whether an authenticator goes together with them.
    pub(super) fn check(
        &self,
        authenticator: &AnyAuthenticator,
        dialects: &Dialects,
    ) -> Result<(), BuildError> {
        authenticator.validate().map_err(|error| {
            let context = format!("the authenticator is misconfigured: {error}");
            BuildError::new(BuildErrorKind::InvalidOption, context).with_source(error)
        })?;
        let credentials = authenticator.credentials();
        let is_ready = authenticator.accepts_tokens() && credentials.is_some();
        if self.config.token_in_message.is_some() && !is_ready {
            let context = "token_in_message: expected an authenticator that accepts tokens in \
                           messages, and says where it looks for credentials in requests: one with \
                           `authenticate_token`, `accepts_tokens` and `credentials`";
            return Err(BuildError::new(BuildErrorKind::InvalidOption, context));
        }
        let prefix = credentials.and_then(Credentials::subprotocol_prefix);
        let mut names = dialects.ids().map(|id| dialects.of(id).name());
        if let Some(prefix) = prefix
            && let Some(subprotocol) = names.find(|name| name.starts_with(prefix))
        {
            let context = format!(
                "from_subprotocol: expected a prefix with which no subprotocol of the gateway's \
                 own begins; got {prefix:?}, and {subprotocol:?} would be taken for a token"
            );
            return Err(BuildError::new(BuildErrorKind::InvalidOption, context));
        }
        let uses_cookie = credentials.is_some_and(Credentials::uses_cookie);
        if self.config.insecure_origins && uses_cookie {
            let context = "insecure_origins: credentials in a cookie need the origin check, \
                           or any page could connect as its visitor";
            return Err(BuildError::new(BuildErrorKind::InvalidOption, context));
        }
        Ok(())
    }
}

impl Config {
    /// Checks every field, as [`Builder::build`](crate::Builder::build) does.
    ///
    /// # Errors
    /// Kind [`InvalidOption`](BuildErrorKind::InvalidOption), naming the first field that makes no
    /// sense.
    pub fn validate(&self) -> Result<(), BuildError> {
        Settings::parse(self.clone()).map(drop)
    }
}
