//! The rules of all rooms, and which one a name falls under.

use std::{fmt, sync::Arc};

use realtime_core::{
    ClientError, IdentityKey, Message, RoomName, Text, codec::routes, history::Retention,
};

use super::{
    Params, RoomPattern, client,
    rule::{RoomOptions, RoomRule},
};
use crate::{
    BuildError, BuildErrorKind,
    escape::Escaped,
    handling::{client_error::Mistake, router::Erased},
};

/// Rules by pattern: the first that fits counts.
#[derive(Default)]
pub(crate) struct RoomTable {
    rules: Vec<(RoomPattern, RoomRule)>,
    /// That of the inboxes, where identities have one.
    inbox: Option<RoomRule>,
}

impl RoomTable {
    pub(crate) fn build(
        rules: Vec<(String, RoomRule)>,
        inboxes: Vec<RoomRule>,
    ) -> Result<Self, BuildError> {
        let mut table = Self::default();
        for inbox in inboxes {
            check(&inbox, RoomName::OWN_INBOX)?;
            if table.inbox.replace(inbox).is_some() {
                let got = "expected one rule for inboxes; got two";
                return Err(BuildError::new(BuildErrorKind::DuplicateRoute, got));
            }
        }
        for (pattern, rule) in rules {
            let pattern = RoomPattern::parse(&pattern)?;
            let mut known = table.rules.iter().map(|(known, _)| known);
            if let Some(known) = known.find(|known| known.covers(&pattern)) {
                return Err(hidden(known, &pattern));
            }
            check(&rule, pattern.as_str())?;
            if pattern.as_str().starts_with(RoomName::OWN_INBOX) {
                let got = format!(
                    "expected a pattern that doesn't begin with `@me`, which is for inboxes \
                     (`Router::inbox`); got {:?}",
                    pattern.as_str()
                );
                return Err(BuildError::new(BuildErrorKind::InvalidOption, got));
            }
            table.rules.push((pattern, rule));
        }
        Ok(table)
    }

    fn find<'n>(&self, room: &'n RoomName) -> Option<(&RoomRule, Vec<&'n str>)> {
        if room.is_inbox() {
            return Some((self.inbox.as_ref()?, Vec::new()));
        }
        let mut rules = self.rules.iter();
        rules.find_map(|(pattern, rule)| Some((rule, pattern.fits(room.as_str())?)))
    }

    fn options(&self, room: &RoomName) -> Option<&RoomOptions> {
        let (rule, _) = self.find(room)?;
        Some(&rule.options)
    }

    fn all(&self) -> impl Iterator<Item = &RoomRule> {
        self.rules.iter().map(|(_, rule)| rule).chain(&self.inbox)
    }

    /// Whether identities have inboxes.
    pub(crate) fn has_inbox(&self) -> bool {
        self.inbox.is_some()
    }

    /// The room that a client of this identity means.
    pub(super) fn meant(&self, name: String, by: &IdentityKey) -> Result<RoomName, Mistake> {
        if name == RoomName::OWN_INBOX {
            return Ok(RoomName::inbox(by));
        }
        RoomName::try_from(name)
            .map_err(|wrong| Mistake(ClientError::new("bad_data", wrong.to_string())))
    }

    /// What clients are told that a room is called.
    pub(crate) fn shown(room: &RoomName) -> RoomName {
        match room.is_inbox() {
            true => RoomName::own_inbox(),
            false => room.clone(),
        }
    }

    /// How much is kept of what is sent to a room, if anything is.
    pub(crate) fn history(&self, room: &RoomName) -> Option<Retention> {
        self.options(room)?.history
    }

    /// The same, and whether it is kept who is in it.
    pub(crate) fn has(&self, room: &RoomName) -> (Option<Retention>, bool) {
        let options = self.options(room);
        options.map_or((None, false), |options| (options.history, options.presence))
    }

    /// Whether anything is kept of any room.
    pub(crate) fn has_history(&self) -> bool {
        self.all().any(|rule| rule.options.history.is_some())
    }

    /// Whether it is kept who is in a room.
    pub(crate) fn keeps_presence(&self, room: &RoomName) -> bool {
        self.options(room).is_some_and(|options| options.presence)
    }

    /// Whether it is kept who is in any room.
    pub(crate) fn has_presence(&self) -> bool {
        self.all().any(|rule| rule.options.presence)
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

    /// Whether clients may ask to come into a room, so that they know of their membership.
    pub(crate) fn is_asked_for(&self, room: &RoomName) -> bool {
        let found = self.find(room);
        found.is_some_and(|(rule, _)| rule.allow.is_some())
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

    /// The same, where it is asked again when a member's identity changes.
    pub(crate) fn asked_again(&self, room: &RoomName) -> Option<(Erased<()>, Params)> {
        self.options(room).filter(|options| !options.asked_once)?;
        self.allow(room)
    }

    /// The routes by which clients come into rooms, where they may.
    pub(crate) fn routes(self: &Arc<Self>) -> Vec<(&'static str, Erased<()>)> {
        let mut routes = Vec::new();
        if self.all().any(|rule| rule.allow.is_some()) {
            routes.extend(client::coming_and_going(self));
        }
        if self.all().any(|rule| rule.options.publish.is_some()) {
            routes.push(client::publishing(self));
        }
        if self.all().any(|rule| rule.options.announce.is_some()) {
            routes.push(client::asking_who(self));
        }
        routes
    }
}

/// Of a rule that would never be asked, behind one that is for all of its rooms.
fn hidden(known: &RoomPattern, pattern: &RoomPattern) -> BuildError {
    let (first, second) = (known.as_str(), pattern.as_str());
    let got = match pattern.covers(known) {
        true => format!("expected one rule for the rooms {first:?}; got two, the other {second:?}"),
        false => format!(
            "expected the rule for the rooms {second:?} before the one for {first:?}, which is for \
             all of them, so that {second:?} would be ignored; got it behind"
        ),
    };
    BuildError::new(BuildErrorKind::DuplicateRoute, got)
}

/// What is said of the rooms of a pattern, and would be ignored or could not work.
fn check(rule: &RoomRule, pattern: &str) -> Result<(), BuildError> {
    let options = &rule.options;
    if options.asked_once && rule.allow.is_none() {
        let got = format!(
            "expected a rule of who may come into {pattern:?} (`RoomRule::allow`) for \
             `asked_once`; got none, so nobody is asked at all"
        );
        return Err(BuildError::new(BuildErrorKind::InvalidOption, got));
    }
    // The routes on which the server speaks of its own accord.
    let publish = (&options.publish, "what clients publish to");
    let announce = (&options.announce, "who comes and goes in");
    for (route, what) in [publish, announce] {
        let Some(route) = route else { continue };
        if routes::is_reserved(route) || route.len() > Message::MAX_NAME_BYTES {
            let got = format!(
                "expected a route of at most 256 bytes for {what} {pattern:?}, and none of the \
                 gateway's own; got {}",
                Escaped(route)
            );
            return Err(BuildError::new(BuildErrorKind::InvalidOption, got));
        }
    }
    Ok(())
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
