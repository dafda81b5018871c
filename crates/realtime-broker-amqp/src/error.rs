//! From lapin's errors to the broker's.

use std::{error::Error, time::Duration};

use lapin::ErrorKind;
use realtime_core::{
    ClientError,
    broker::{BrokerError, BrokerErrorKind},
};

/// An error and what lies under it, in one line.
pub(crate) fn with_sources(error: &(dyn Error + 'static)) -> String {
    let causes = ClientError::__causes(error).map(ToString::to_string);
    causes.collect::<Vec<_>>().join(": ")
}

pub(crate) fn config(context: String) -> BrokerError {
    BrokerError::new(BrokerErrorKind::Config, context)
}

pub(crate) fn unavailable(context: impl Into<std::borrow::Cow<'static, str>>) -> BrokerError {
    BrokerError::new(BrokerErrorKind::Unavailable, context)
}

pub(crate) fn unknown(context: impl Into<std::borrow::Cow<'static, str>>) -> BrokerError {
    BrokerError::new(BrokerErrorKind::Unknown, context)
}

pub(crate) fn closed() -> BrokerError {
    BrokerError::new(BrokerErrorKind::Closed, "the broker is closed")
}

pub(crate) fn blocked() -> BrokerError {
    let context = "RabbitMQ accepts no messages for now, most likely for want of memory or disk";
    BrokerError::new(BrokerErrorKind::Blocked, context)
}

pub(crate) fn too_slow(step: &'static str, limit: Duration) -> BrokerError {
    unavailable(format!("RabbitMQ did not answer in {limit:?}: {step}"))
}

/// A step of setting a link up that RabbitMQ or the network did not allow.
///
/// What RabbitMQ refuses for good, such as a wrong password or an exchange of another kind, and a
/// certificate that isn't trusted, is a matter of configuration: trying again won't help.
pub(crate) fn refused(step: &'static str, error: lapin::Error) -> BrokerError {
    let for_good = match error.kind() {
        // 403 access refused, 404 not found, 406 precondition failed, 530 not allowed.
        ErrorKind::ProtocolError(error) => matches!(error.get_id(), 403 | 404 | 406 | 530),
        ErrorKind::AuthProviderError(_) => true,
        // A certificate that isn't trusted.
        ErrorKind::IOError(error) => error.kind() == std::io::ErrorKind::InvalidData,
        _ => false,
    };
    let kind = if for_good {
        BrokerErrorKind::Config
    } else {
        BrokerErrorKind::Unavailable
    };
    let mut context = format!("RabbitMQ could not be joined: {step}");
    if is_another_name(&error) {
        context.push_str(
            "; its certificate has another name than the address; set tls_server_name, in the URL \
             tlsServerName",
        );
    }
    BrokerError::new(kind, context).with_source(error)
}

/// As [`refused`], of a step for which RabbitMQ asks whether the user has a permission.
pub(crate) fn refused_for_want_of(
    permission: &str,
    step: &'static str,
    error: lapin::Error,
) -> BrokerError {
    let is_forbidden =
        matches!(error.kind(), ErrorKind::ProtocolError(error) if error.get_id() == 403);
    if !is_forbidden {
        return refused(step, error);
    }
    let context = format!(
        "RabbitMQ could not be joined: {step}; give the user the permission {permission}, see \
         Permissions on the page of realtime-broker-amqp"
    );
    BrokerError::new(BrokerErrorKind::Config, context).with_source(error)
}

fn is_another_name(error: &lapin::Error) -> bool {
    let ErrorKind::IOError(error) = error.kind() else {
        return false;
    };
    // By its words: the library that says it isn't one of ours.
    let said = format!("{error:?}");
    said.contains("NotValidForName")
}
