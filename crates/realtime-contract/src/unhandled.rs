//! Whether a router does what was declared, as far as that can be seen of it.

use realtime_gateway::{RoomRule, Router};

use crate::{
    Room,
    entry::{Asked, Heard},
};

/// What is wrong with the handler of a request; nothing is said where there is none.
pub(crate) fn request<S: Clone + Send + Sync + 'static>(
    asked: &Asked,
    router: &Router<S>,
) -> Option<String> {
    let mut declared = router.__declared();
    if declared.any(|(route, id)| route == asked.route && id == asked.id) {
        return None;
    }
    if router.__declared().any(|(route, _)| route == asked.route) {
        return Some(", which is handled by a declaration of other types".to_owned());
    }
    if router.routes().any(|route| route == asked.route) {
        return Some(", whose handler has not come by `handle`".to_owned());
    }
    let mut declared = router.__declared();
    let nested = declared.find(|(route, id)| *id == asked.id && route.ends_with(asked.route));
    Some(nested.map_or_else(String::new, |(route, _)| {
        format!(", which is handled behind a prefix, as {route:?}: declare it with that name")
    }))
}

/// The same of the rule of rooms.
pub(crate) fn room<S: Clone + Send + Sync + 'static>(
    room: &Room,
    router: &Router<S>,
) -> Option<String> {
    let mut rules = router.rules();
    let Some((_, rule)) = rules.find(|(pattern, _)| *pattern == room.pattern) else {
        return Some(String::new());
    };
    let differences = differences(room, rule);
    (!differences.is_empty()).then(|| format!(", {}", differences.join(", ")))
}

fn differences<S: Clone + Send + Sync + 'static>(room: &Room, rule: &RoomRule<S>) -> Vec<String> {
    let route = |heard: &Option<Heard>| heard.as_ref().map(|heard| heard.route);
    let named = |route: Option<&str>| match route {
        Some(route) => format!("{route:?}"),
        None => "nothing".to_owned(),
    };
    let mut differences = Vec::new();
    for (verb, declared, is) in [
        ("publish", route(&room.published), rule.published()),
        ("announce", route(&room.announced), rule.announced()),
    ] {
        if declared != is {
            let (declared, is) = (named(declared), named(is));
            differences.push(format!(
                "which are declared to {verb} {declared}, and {verb} {is} by their rule"
            ));
        }
    }
    match (room.clients_join, rule.is_asked()) {
        (true, false) => differences
            .push("which clients can't join by their rule: declare them `without_join`".to_owned()),
        (false, true) => {
            differences.push("which clients can join by their rule, and not as declared".to_owned())
        }
        _ => {}
    }
    differences
}
