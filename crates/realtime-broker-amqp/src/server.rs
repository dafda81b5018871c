//! A RabbitMQ that answers, and what it is shown.

use std::net::SocketAddr;

use lapin::uri::{AMQPUri, AMQPUserInfo};
use realtime_core::{ServerCredentials, broker::BrokerError};

use crate::{AmqpConfig, error::unavailable, probe};

/// A RabbitMQ that answers.
pub(crate) struct Server {
    /// With the credentials of now.
    pub(crate) url: AMQPUri,
    pub(crate) address: SocketAddr,
}

impl Server {
    /// The server at this URL, if it answers and there are credentials to show.
    pub(crate) async fn find(config: &AmqpConfig, url: &AMQPUri) -> Result<Self, BrokerError> {
        // First: what is asked for may be paid for.
        let address = probe::answers(config, url).await?;
        let mut url = url.clone();
        if let Some(provider) = &config.credentials {
            let asked = provider.ask().await;
            let credentials = asked.map_err(|error| {
                let context = "there are no credentials to show to RabbitMQ";
                unavailable(context).with_source(error)
            })?;
            show(&credentials, &mut url.authority.userinfo)?;
        }
        // What the URL said is in the configuration.
        let heartbeat = u16::try_from(config.heartbeat.as_secs()).unwrap_or(60);
        url.query.heartbeat = Some(heartbeat);
        Ok(Self { url, address })
    }
}

fn show(credentials: &ServerCredentials, to: &mut AMQPUserInfo) -> Result<(), BrokerError> {
    let (user, password) = (credentials.user(), credentials.expose_password());
    if password.contains('\0') || user.is_some_and(|user| user.contains('\0')) {
        let expected = "the credential provider: expected a user and a password, which are parted \
                        by a zero byte; got one inside of them";
        return Err(unavailable(expected));
    }
    if let Some(user) = user {
        user.clone_into(&mut to.username);
    }
    password.clone_into(&mut to.password);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_provider_goes_before_the_url() {
        let mut shown = AMQPUserInfo::default();
        show(&ServerCredentials::password("p"), &mut shown).unwrap();
        assert_eq!((&*shown.username, &*shown.password), ("guest", "p"));
        show(&ServerCredentials::new("u", "q"), &mut shown).unwrap();
        assert_eq!((&*shown.username, &*shown.password), ("u", "q"));
    }

    #[test]
    fn what_the_protocol_has_no_room_for_is_refused() {
        for (user, password) in [("u\0", "s3cret"), ("u", "s3cret\0")] {
            let mut shown = AMQPUserInfo::default();
            let error = show(&ServerCredentials::new(user, password), &mut shown).unwrap_err();
            assert!(!format!("{error:?}").contains("s3cret"), "{error:?}");
        }
    }
}
