//! The suite for [`Authenticator`].
//!
//! Each test gets the authenticator, requests that it should accept, and requests that it should
//! refuse.

use std::task::{Context, Poll, Waker};

use http::request::Parts;
use realtime_core::{
    Identity,
    auth::{AuthError, AuthErrorKind, Authenticator},
};

/// Declares the tests of the suite, given an authenticator, requests that it accepts, and
/// requests that it refuses: `auth_suite!(mine(), [request, …], [request, …])`. See
/// [`conformance`](crate::conformance).
#[macro_export]
macro_rules! auth_suite {
    ($authenticator:expr, $accepts:expr, $refuses:expr) => {
        $crate::__suite! { each, auth, (&$authenticator, &$accepts, &$refuses),
            valid_credentials_give_the_same_identity_each_time
            it_may_be_called_concurrently
            it_is_cancel_safe
            a_request_without_valid_credentials_is_unauthorized
            an_error_shows_no_credentials
        }
    };
}

/// What a test of this suite works on.
type Given<'g, A> = (&'g A, &'g [Parts], &'g [Parts]);

#[allow(clippy::panic, reason = "a test fails by a panic")]
async fn accepted(authenticator: &impl Authenticator, request: &Parts) -> Identity {
    match authenticator.authenticate(request).await {
        Ok(identity) => identity,
        Err(error) => panic!("expected that {} is accepted; got {error:?}", request.uri),
    }
}

async fn refused(authenticator: &impl Authenticator, request: &Parts) -> Option<AuthError> {
    authenticator.authenticate(request).await.err()
}

/// Valid credentials give the same identity each time.
pub async fn valid_credentials_give_the_same_identity_each_time<A: Authenticator>(
    (authenticator, accepts, _): Given<'_, A>,
) {
    assert!(
        !accepts.is_empty(),
        "the suite needs a request that is accepted"
    );
    for request in accepts {
        let first = accepted(authenticator, request).await;
        let second = accepted(authenticator, request).await;
        assert_eq!(first.key(), second.key());
    }
}

/// It may be called concurrently.
pub async fn it_may_be_called_concurrently<A: Authenticator>(
    (authenticator, accepts, refuses): Given<'_, A>,
) {
    let yes = (0..50)
        .flat_map(|_| accepts)
        .map(|r| accepted(authenticator, r));
    let no = (0..50)
        .flat_map(|_| refuses)
        .map(|r| refused(authenticator, r));
    let (_identities, errors) = futures::join!(
        futures::future::join_all(yes),
        futures::future::join_all(no)
    );
    assert!(
        errors.iter().all(Option::is_some),
        "one was accepted among many"
    );
}

/// It is cancel safe: the future is dropped when the peer leaves or the time is up.
pub async fn it_is_cancel_safe<A: Authenticator>((authenticator, accepts, _): Given<'_, A>) {
    for request in accepts {
        for polls in 0..4 {
            let mut asked = Box::pin(authenticator.authenticate(request));
            for _ in 0..polls {
                let mut cx = Context::from_waker(Waker::noop());
                if let Poll::Ready(_done) = asked.as_mut().poll(&mut cx) {
                    break;
                }
            }
            drop(asked);
            let _still = accepted(authenticator, request).await;
        }
    }
}

/// A request without valid credentials fails with kind `Unauthorized`.
pub async fn a_request_without_valid_credentials_is_unauthorized<A: Authenticator>(
    (authenticator, _, refuses): Given<'_, A>,
) {
    for request in refuses {
        let kind = refused(authenticator, request).await.map(|e| e.kind());
        assert_eq!(kind, Some(AuthErrorKind::Unauthorized), "{}", request.uri);
    }
}

/// An error shows nothing of the request's query and headers: it is logged.
pub async fn an_error_shows_no_credentials<A: Authenticator>(
    (authenticator, _, refuses): Given<'_, A>,
) {
    for request in refuses {
        let shown = format!("{:?}", refused(authenticator, request).await);
        let headers = request.headers.values().filter_map(|v| v.to_str().ok());
        let query = request.uri.query().into_iter();
        let words = headers
            .chain(query)
            .flat_map(|text| text.split([' ', '=', '&', ';', ',']));
        for word in words.filter(|word| word.len() >= 8) {
            assert!(
                !shown.contains(word),
                "the error shows a credential: {shown}"
            );
        }
    }
}
