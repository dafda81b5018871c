//! The routes of messages that are never compressed.

/// Routes, and beginnings of routes. There are few.
#[derive(Debug, Default)]
pub(super) struct PlainRoutes {
    exact: Vec<String>,
    prefixes: Vec<String>,
}

impl PlainRoutes {
    /// A prefix has a `*` behind it.
    pub(super) fn new(routes: &[String]) -> Self {
        let mut this = Self::default();
        for route in routes {
            match route.strip_suffix('*') {
                Some(prefix) => this.prefixes.push(prefix.to_owned()),
                None => this.exact.push(route.clone()),
            }
        }
        this
    }

    pub(super) fn is_empty(&self) -> bool {
        self.exact.is_empty() && self.prefixes.is_empty()
    }

    pub(super) fn contain(&self, route: &str) -> bool {
        self.exact.iter().any(|exact| exact == route)
            || self
                .prefixes
                .iter()
                .any(|prefix| route.starts_with(&**prefix))
    }
}
