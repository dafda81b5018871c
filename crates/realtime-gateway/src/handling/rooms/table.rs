//! The rules of all rooms, and which one a name falls under.

use std::{fmt, sync::Arc};

use realtime_core::{Message, RoomName, Text, codec::routes, history::Retention};

use super::{
    Params, RoomPattern, client,
    rule::{RoomOptions, RoomRule},
};
use crate::{BuildError, BuildErrorKind, escape::Escaped, handling::router::Erased};

/// Rules by pattern: the first that fits counts.
#[derive(Default)]
pub(crate) struct RoomTable {
    rules: Vec<(RoomPattern, RoomRule)>,
}

impl RoomTable {
    pub(crate) fn build(rules: Vec<(String, RoomRule)>) -> Result<Self, BuildError> {
        let mut table = Self::default();
        for (pattern, rule) in rules {
            let pattern = RoomPattern::parse(&pattern)?;
            if table.rules.iter().any(|(known, _)| *known == pattern) {
                let got = format!(
                    "expected one rule for the rooms {:?}; got two",
                    pattern.as_str()
                );
                return Err(BuildError::new(BuildErrorKind::DuplicateRoute, got));
            }
            let RoomOptions {
                publish, announce, ..
            } = &rule.options;
            for (route, what) in [
                (publish, "what clients publish to"),
                (announce, "who comes and goes in"),
            ] {
                check(route.as_ref(), what, &pattern)?;
            }
            table.rules.push((pattern, rule));
        }
        Ok(table)
    }

    fn find(&self, room: &RoomName) -> Option<(&RoomRule, Vec<String>)> {
        self.rules.iter().find_map(|(pattern, rule)| {
            let values = pattern.fits(room.as_str())?;
            Some((rule, values.into_iter().map(str::to_owned).collect()))
        })
    }

    fn options(&self, room: &RoomName) -> Option<&RoomOptions> {
        let fits = |(pattern, _): &&(RoomPattern, RoomRule)| pattern.fits(room.as_str()).is_some();
        let (_, rule) = self.rules.iter().find(fits)?;
        Some(&rule.options)
    }

    /// How much is kept of what is sent to a room, if anything is.
    pub(crate) fn history(&self, room: &RoomName) -> Option<Retention> {
        self.options(room)?.history
    }

    /// Whether anything is kept of any room.
    pub(crate) fn has_history(&self) -> bool {
        self.rules
            .iter()
            .any(|(_, rule)| rule.options.history.is_some())
    }

    /// Whether it is kept who is in a room.
    pub(crate) fn keeps_presence(&self, room: &RoomName) -> bool {
        self.options(room).is_some_and(|options| options.presence)
    }

    /// Whether it is kept who is in any room.
    pub(crate) fn has_presence(&self) -> bool {
        self.rules.iter().any(|(_, rule)| rule.options.presence)
    }

    /// On which route the members of a room are told who comes and goes, if they are.
    pub(crate) fn announces(&self, room: &RoomName) -> Option<&Text> {
        self.options(room)?.announce.as_ref()
    }

    /// On which route members publish to a room, if they may.
    pub(super) fn publish(&self, room: &RoomName) -> Option<&RoomOptions> {
        self.options(room)
            .filter(|options| options.publish.is_some())
    }

    /// Who decides whether a client may come into a room, and the parameters of its name.
    pub(super) fn allow(&self, room: &RoomName) -> Option<(Erased<()>, Params)> {
        let (rule, values) = self.find(room)?;
        let params = Params {
            room: room.clone(),
            values: values.into(),
        };
        Some((Arc::clone(rule.allow.as_ref()?), params))
    }

    /// The routes by which clients come into rooms, where they may.
    pub(crate) fn routes(self: &Arc<Self>) -> Vec<(&'static str, Erased<()>)> {
        let asks = |(_, rule): &(RoomPattern, RoomRule)| rule.allow.is_some();
        let publishes = |(_, rule): &(RoomPattern, RoomRule)| rule.options.publish.is_some();
        let mut routes = Vec::new();
        if self.rules.iter().any(asks) {
            routes.extend(client::coming_and_going(self));
        }
        if self.rules.iter().any(publishes) {
            routes.push(client::publishing(self));
        }
        let announces = |(_, rule): &(RoomPattern, RoomRule)| rule.options.announce.is_some();
        if self.rules.iter().any(announces) {
            routes.push(client::asking_who(self));
        }
        routes
    }
}

/// Whether a route is one on which the server may speak of its own accord.
fn check(route: Option<&Text>, what: &str, pattern: &RoomPattern) -> Result<(), BuildError> {
    match route {
        Some(route) if routes::is_reserved(route) || route.len() > Message::MAX_NAME_BYTES => {
            let got = format!(
                "expected a route of at most 256 bytes for {what} {:?}, and none of the gateway's \
                 own; got {}",
                pattern.as_str(),
                Escaped(route)
            );
            Err(BuildError::new(BuildErrorKind::InvalidOption, got))
        }
        _ => Ok(()),
    }
}

impl fmt::Debug for RoomTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rules = self
            .rules
            .iter()
            .map(|(pattern, rule)| (pattern.as_str(), rule));
        f.debug_map().entries(rules).finish()
    }
}
