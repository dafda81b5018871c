//! Who a connection says that it is.

use std::fmt;

use realtime_core::NoCredentials;

use crate::Deployment;

/// What a connection shows a server. `Debug` shows neither.
#[derive(Clone)]
#[non_exhaustive]
pub struct Login {
    /// The user, unless it is the one that the server has by default.
    pub user: Option<String>,
    /// The password, where there is one.
    pub password: Option<String>,
}

impl Login {
    /// Shows this.
    #[must_use]
    pub fn new(user: Option<String>, password: Option<String>) -> Self {
        Self { user, password }
    }
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Login").finish_non_exhaustive()
    }
}

impl Deployment {
    /// What the next connection to a server shows: what the provider says now, or else the URL.
    /// Where the provider names no user, it is that of the URL. Cancel safe.
    ///
    /// # Errors
    /// When the provider fails, panics, or takes longer than 5 s.
    pub async fn login(&self) -> Result<Login, NoCredentials> {
        let Some(provider) = &self.credentials else {
            return Ok(Login::new(self.user.clone(), self.password.clone()));
        };
        let now = provider.ask().await?;
        let user = now.user().map(str::to_owned);
        let user = user.or_else(|| self.user.clone());
        Ok(Login::new(user, Some(now.expose_password().to_owned())))
    }
}

#[cfg(test)]
mod tests {
    use realtime_core::ServerCredentials;

    use super::*;

    async fn shown(url: &str, provided: Option<ServerCredentials>) -> (Option<String>, String) {
        let mut builder = Deployment::builder(url);
        if let Some(provided) = provided {
            builder = builder.credentials(move || {
                let provided = provided.clone();
                async { std::io::Result::Ok(provided) }
            });
        }
        let (deployment, ()) = builder.build(|_| Ok(())).unwrap();
        let login = deployment.login().await.unwrap();
        assert!(!format!("{login:?}{deployment:?}").contains("pw"));
        (login.user, login.password.unwrap_or_default())
    }

    #[tokio::test]
    async fn a_provider_is_asked_in_place_of_the_url() {
        let named = |user: &str, password: &str| (Some(user.to_owned()), password.to_owned());
        assert_eq!(shown("redis://u:pw@h", None).await, named("u", "pw"));
        let both = Some(ServerCredentials::new("v", "pw2"));
        assert_eq!(shown("redis://u:pw@h", both).await, named("v", "pw2"));
        let password = Some(ServerCredentials::password("pw2"));
        assert_eq!(shown("redis://u@h", password).await, named("u", "pw2"));
    }
}
