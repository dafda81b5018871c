//! The rules of all rooms, and which one a name falls under.

use std::{fmt, sync::Arc};

use realtime_core::{Message, RoomName, codec::routes, history::Retention};

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
            if let Some(route) = &rule.options.publish
                && (routes::is_reserved(route) || route.len() > Message::MAX_NAME_BYTES)
            {
                let got = format!(
                    "expected a route of at most 256 bytes for what clients publish to {:?}, and \
                     none of the gateway's own; got {}",
                    pattern.as_str(),
                    Escaped(route)
                );
                return Err(BuildError::new(BuildErrorKind::InvalidOption, got));
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
        routes
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
