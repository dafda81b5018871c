//! The settings, parsed once: what is made of them can't be wrong any more.

use realtime_core::auth::{AnyAuthenticator, Authenticator};

use crate::{
    BuildError, BuildErrorKind, Config,
    admission::{OriginPolicy, TrustedProxies},
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
    pub(super) fn check(&self, authenticator: &AnyAuthenticator) -> Result<(), BuildError> {
        let Some(credentials) = authenticator.credentials() else {
            return Ok(());
        };
        credentials.validate().map_err(|error| {
            let context = "the authenticator's credentials are misconfigured; the source says how";
            BuildError::new(BuildErrorKind::InvalidOption, context).with_source(error)
        })?;
        if self.config.insecure_origins && credentials.uses_cookie() {
            let context = "insecure_origins: credentials in a cookie need the origin check, or any \
                           page could connect as its visitor; list `origin_patterns` instead";
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
