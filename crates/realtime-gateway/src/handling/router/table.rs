//! The finished routes, and the innermost service, which looks them up.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    sync::{Arc, OnceLock},
    task::{Context, Poll},
};

use realtime_core::{BoxError, codec::routes, extract::Reply};
use rustc_hash::FxBuildHasher;
use tower_service::Service;

use super::{Erased, Pattern, Running};
use crate::{
    HandlerError, HandlerErrorKind, Inbound,
    escape::Escaped,
    extract::{ALL, MessageContext},
    handling::{Host, ping},
    metrics::{Patterns, RouteNumber},
    traces::Label,
};

/// With a quick hash that needs no secret: the application chooses what is in it, and clients only
/// look things up.
type Handlers = HashMap<String, Found, FxBuildHasher>;

/// A handler, and the number of its pattern.
struct Found {
    handler: Erased<()>,
    number: RouteNumber,
    label: Label,
}

/// Exact before the longest prefix before the fallback.
#[derive(Default)]
pub(crate) struct RouteTable {
    exact: Handlers,
    /// By length, so that a look-up costs one hash for each length that occurs.
    prefixes: BTreeMap<usize, Handlers>,
    fallback: Option<Found>,
    /// The handler of pings is the gateway's own.
    answers_pings: bool,
    patterns: Patterns,
}

impl RouteTable {
    /// Returns whether the pattern was free.
    pub(super) fn insert(&mut self, pattern: &Pattern, handler: Erased<()>) -> bool {
        let number = self.patterns.add(|| pattern.label());
        let found = Found {
            handler,
            number,
            label: Label::new(|| pattern.label()),
        };
        match pattern {
            Pattern::Exact(route) => self.exact.insert(route.clone(), found).is_none(),
            Pattern::Prefix(prefix) => {
                let same_length = self.prefixes.entry(prefix.len()).or_default();
                same_length.insert(prefix.clone(), found).is_none()
            }
            Pattern::Fallback => self.fallback.replace(found).is_none(),
        }
    }

    /// Answers pings where the application doesn't, by any pattern.
    pub(super) fn answer_pings(&mut self) {
        if self.find(ping::ROUTE).is_none() {
            let ping = Pattern::Exact(ping::ROUTE.to_owned());
            let _was_free = self.insert(&ping, ping::handler());
            self.answers_pings = true;
        }
    }

    /// Whether this is a ping that the gateway answers itself.
    pub(crate) fn is_own_ping(&self, route: &str) -> bool {
        self.answers_pings && route == ping::ROUTE
    }

    /// Whether no route can come as far as the fallback.
    pub(super) fn hides_its_fallback(&self) -> bool {
        self.fallback.is_some() && self.prefixes.contains_key(&0)
    }

    /// All patterns, by their numbers, for the one who measures.
    pub(crate) fn take_patterns(&mut self) -> Patterns {
        std::mem::take(&mut self.patterns)
    }

    /// The number of the pattern by which a message on this route finds its handler.
    pub(crate) fn number(&self, route: &str) -> Option<RouteNumber> {
        self.find(route).map(|(found, _)| found.number)
    }

    /// The same pattern as it was registered.
    pub(crate) fn label(&self, route: &str) -> Option<&Label> {
        self.find(route).map(|(found, _)| &found.label)
    }

    /// The handler, and how much of the route its pattern used up.
    fn find(&self, route: &str) -> Option<(&Found, usize)> {
        if let Some(handler) = self.exact.get(route) {
            return Some((handler, ALL));
        }
        if routes::is_reserved(route) {
            return None;
        }
        let by_prefix = self
            .prefixes
            .range(..=route.len())
            .rev()
            .find_map(|(length, prefixes)| {
                let prefix = route.get(..*length)?;
                prefixes.get(prefix).map(|handler| (handler, *length))
            });
        by_prefix.or_else(|| self.fallback.as_ref().map(|handler| (handler, 0)))
    }
}

impl fmt::Debug for RouteTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RouteTable")
            .field("exact", &self.exact.keys())
            .finish_non_exhaustive()
    }
}

/// The innermost service of every session's stack.
///
/// It is public in name only: layers are written for any inner service.
#[derive(Debug, Clone)]
pub struct RouterService {
    pub(crate) table: Arc<RouteTable>,
    pub(crate) host: Arc<OnceLock<Host>>,
}

impl Service<Inbound> for RouterService {
    type Response = Reply;
    type Error = BoxError;
    type Future = Running;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, inbound: Inbound) -> Running {
        self.handle(inbound)
    }
}

impl RouterService {
    /// Begins to handle a message.
    pub(crate) fn handle(&self, inbound: Inbound) -> Running {
        let route = inbound.message.route_text();
        let Some((Found { handler, .. }, used)) = self.table.find(route) else {
            let context = format!("no handler is registered for the route {}", Escaped(route));
            let error = HandlerError::new(HandlerErrorKind::UnknownRoute, context);
            return Box::pin(std::future::ready(Err(error.into())));
        };
        handler(MessageContext {
            inbound,
            host: self.host.get().cloned().unwrap_or_default(),
            used,
            params: None,
            state: (),
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{BuildErrorKind, Router};

    fn route() -> impl Strategy<Value = String> {
        "[aä.]{0,5}"
    }

    proptest! {
        #[test]
        fn it_finds_what_a_naive_search_finds(
            exact in prop::collection::btree_set(route(), 0..6),
            prefixes in prop::collection::btree_set(route(), 0..6),
            fallback: bool,
            wanted in route(),
        ) {
            let fallback = fallback && !prefixes.contains("");
            let mut router = Router::<()>::new();
            for route in &exact {
                router = router.route(route.as_str(), async || ());
            }
            for prefix in &prefixes {
                router = router.prefix(prefix.as_str(), async || ());
            }
            if fallback {
                router = router.fallback(async || ());
            }
            let (table, _) = router.build(false).unwrap();
            let naive = if exact.contains(&wanted) {
                Some(ALL)
            } else {
                let longest = prefixes.iter().filter(|p| wanted.starts_with(*p)).map(|p| p.len());
                longest.max().or(fallback.then_some(0))
            };
            prop_assert_eq!(table.find(&wanted).map(|(_, used)| used), naive);
            let exact_hit = table.find(&wanted).zip(table.exact.get(&wanted));
            prop_assert_eq!(
                exact_hit.is_some_and(|((found, _), exact)| std::ptr::eq(found, exact)),
                exact.contains(&wanted)
            );
        }
    }

    #[test]
    fn a_route_by_which_nothing_can_come_is_refused() {
        let long = "x".repeat(257);
        let handler = async || ();
        for (router, name) in [
            (Router::<()>::new().route("error", handler), "error"),
            (Router::new().route("gap", handler), "gap"),
            (Router::new().route(&*long, handler), "257"),
            (Router::new().prefix(&*long, handler), "257"),
        ] {
            let error = router.build(false).unwrap_err();
            assert_eq!(error.kind(), BuildErrorKind::InvalidOption);
            assert!(error.to_string().contains(name), "{error}");
        }
        let router = Router::<()>::new()
            .prefix("err", handler)
            .fallback(handler)
            .route(&long[1..], handler);
        let (table, _) = router.build(false).unwrap();
        assert!(table.find("error").is_none() && table.find("gap").is_none());
        assert!(table.find("errors").is_some() && table.find("gaps").is_some());
    }

    #[test]
    fn two_handlers_for_one_pattern_are_an_error_that_names_it() {
        let twice: [Router; 4] = [
            Router::new()
                .route("chat", async || ())
                .route("chat", async || ()),
            Router::new()
                .prefix("chat", async || ())
                .prefix("chat", async || ()),
            Router::new()
                .merge(Router::new().fallback(async || ()))
                .fallback(async || ()),
            Router::new().fallback(async || ()).prefix("", async || ()),
        ];
        for router in twice {
            let error = router.build(false).unwrap_err();
            assert_eq!(error.kind(), BuildErrorKind::DuplicateRoute);
            assert!(error.to_string().contains("chat") || error.to_string().contains("fallback"));
        }
        let both = Router::<()>::new()
            .route("chat", async || ())
            .prefix("chat", async || ());
        assert!(both.build(false).is_ok());
    }
}
