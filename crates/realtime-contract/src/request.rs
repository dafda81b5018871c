//! The declaration of a request.

use std::{any::TypeId, fmt, marker::PhantomData};

use realtime_codec_json::Json;
use realtime_core::{IntoPayload, Payload, codec::CodecError};
use serde::Serialize;

use crate::Undeclared;

/// A route on which clients ask: what they send, what they are answered, and the errors that they may
/// be answered with instead.
///
/// It is a constant, and the only place where the route's name stands. `()` says that there is no
/// data. Without a third type the errors stay undeclared, and a handler may fail with any.
///
/// ```
/// use realtime::{Json, Router, contract::{Request, RouterExt}};
/// use schemars::JsonSchema;
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Deserialize, JsonSchema)]
/// struct Article {
///     of: String,
/// }
///
/// #[derive(Serialize, JsonSchema)]
/// struct Price {
///     cents: u32,
/// }
///
/// const PRICE: Request<Article, Price> = Request::new("price").summary("What something costs.");
///
/// async fn price(Json(Article { of }): Json<Article>) -> Json<Price> {
///     Json(Price { cents: 100 * of.len() as u32 })
/// }
///
/// let router: Router = Router::new().handle(PRICE, price);
/// # use realtime::{Gateway, Identity};
/// # use realtime_testkit::memory::{TestError, connect};
/// # let gateway = realtime::builder().router(router).build().unwrap();
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn check(gateway: Gateway) -> Result<(), TestError> {
/// # let mut ann = connect(&gateway, Identity::new("ann")).await?;
/// # let tea = serde_json::json!({"of": "tea"});
/// # let price = ann.request("price", Json(tea)).await?;
/// # assert_eq!(price.decode::<serde_json::Value>()?, serde_json::json!({"cents": 300}));
/// # Ok(())
/// # }
/// # check(gateway).unwrap();
/// ```
///
/// A handler of other types doesn't compile:
///
/// ```compile_fail
/// # use realtime::{Json, Router, contract::{Request, RouterExt}};
/// const PRICE: Request<String, u32> = Request::new("price");
///
/// let router: Router = Router::new().handle(PRICE, async |Json(of): Json<String>| Json("cheap"));
/// //                                        ^^^^^^ `Json<&str>` is not the reply
/// ```
///
/// Binary data has no type here: leave such routes to [`Router::route`](realtime_gateway::Router::route).
pub struct Request<Q, R = (), E = Undeclared> {
    route: &'static str,
    summary: &'static str,
    types: PhantomData<fn(Q) -> Result<R, E>>,
}

impl<Q, R, E> Request<Q, R, E> {
    /// Declares it. What a route may be is checked when the document is made, and when the gateway
    /// is built.
    #[must_use]
    pub const fn new(route: &'static str) -> Self {
        let (summary, types) = ("", PhantomData);
        Self {
            route,
            summary,
            types,
        }
    }

    /// One sentence for the document.
    #[must_use]
    pub const fn summary(mut self, summary: &'static str) -> Self {
        self.summary = summary;
        self
    }

    /// The route.
    #[must_use]
    pub const fn route(&self) -> &'static str {
        self.route
    }

    pub(crate) const fn summary_text(&self) -> &'static str {
        self.summary
    }
}

/// Data as it is sent: nothing where its type is `()`.
pub(crate) struct Written<'d, T>(pub(crate) &'d T);

impl<T: Serialize + 'static> IntoPayload for Written<'_, T> {
    fn into_payload(self) -> Result<Payload, CodecError> {
        match is_nothing::<T>() {
            true => Ok(Payload::empty()),
            false => Json(self.0).into_payload(),
        }
    }
}

/// Whether a type says that there is no data.
pub(crate) fn is_nothing<T: 'static>() -> bool {
    TypeId::of::<T>() == TypeId::of::<()>()
}

impl<Q, R, E> Clone for Request<Q, R, E> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<Q, R, E> Copy for Request<Q, R, E> {}

impl<Q, R, E> fmt::Debug for Request<Q, R, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Request").field(&self.route).finish()
    }
}
