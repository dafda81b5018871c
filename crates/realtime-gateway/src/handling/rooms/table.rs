//! The rules of all rooms, and which one a name falls under.

use std::{fmt, sync::Arc};

use realtime_core::{
    ClientError, IdentityKey, Message, RoomName, Text, codec::routes, history::Retention,
};

use super::{
    Params, RoomPattern, client,
    params::unknown_room,
    rule::{RoomOptions, RoomRule},
};
use crate::{BuildError, BuildErrorKind, escape::Escaped, handling::router::Erased};

/// Rules by pattern: the first that fits counts.
#[derive(Default)]
pub(crate) struct RoomTable {
    rules: Vec<(RoomPattern, RoomRule)>,
    /// What clients call the inbox that each has, where they have one.
    inbox: Option<RoomName>,
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
            if pattern.as_str() == RoomName::INBOX {
                table.inbox = RoomName::try_from(RoomName::INBOX).ok();
            }
            table.rules.push((pattern, rule));
        }
        Ok(table)
    }

    fn find<'n>(&self, room: &'n RoomName) -> Option<(&RoomRule, Vec<&'n str>)> {
        let mut rules = self.rules.iter();
        match room.is_inbox() && self.has_inbox() {
            // No pattern is for somebody's inbox, whatever fits.
            true => rules.find_map(|(pattern, rule)| {
                (pattern.as_str() == RoomName::INBOX).then_some((rule, Vec::new()))
            }),
            false => rules.find_map(|(pattern, rule)| Some((rule, pattern.fits(room.as_str())?))),
        }
    }

    fn options(&self, room: &RoomName) -> Option<&RoomOptions> {
        let (rule, _) = self.find(room)?;
        Some(&rule.options)
    }

    /// Whether identities have inboxes.
    pub(crate) fn has_inbox(&self) -> bool {
        self.inbox.is_some()
    }

    /// The room that a client of this identity means.
    pub(super) fn meant(&self, name: String, by: &IdentityKey) -> Result<RoomName, ClientError> {
        if self.has_inbox() && name == RoomName::INBOX {
            return Ok(RoomName::inbox(by));
        }
        let name = RoomName::try_from(name);
        let name = name.map_err(|wrong| ClientError::new("bad_data", wrong.to_string()))?;
        match self.has_inbox() && name.is_inbox() {
            true => Err(unknown_room()),
            false => Ok(name),
        }
    }

    /// What clients are told that a room is called.
    pub(crate) fn shown(&self, room: &RoomName) -> RoomName {
        match &self.inbox {
            Some(inbox) if room.is_inbox() => inbox.clone(),
            _ => room.clone(),
        }
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
            values: values.into_iter().map(str::to_owned).collect(),
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
