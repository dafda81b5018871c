//! A contract with types of all forms.

use std::collections::BTreeMap;

use realtime::contract::{Contract, Event};
use schemars::JsonSchema;
use serde::Serialize;

/// Of itself.
#[derive(Serialize, JsonSchema)]
struct Tree {
    name: String,
    children: Vec<Tree>,
}

/// Of any type.
#[derive(Serialize, JsonSchema)]
struct List<T> {
    all: Vec<T>,
    more: bool,
}

/// Part of another.
#[derive(Serialize, JsonSchema)]
struct Flat {
    flat: bool,
}

#[derive(Serialize, JsonSchema)]
struct Forms {
    tree: Tree,
    trees: List<Tree>,
    names: List<String>,
    counts: BTreeMap<String, u32>,
    pair: (String, u8),
    #[serde(flatten)]
    part: Flat,
}

const FORMS: Event<Forms> = Event::new("forms");

pub(crate) fn contract() -> Contract {
    Contract::new("Forms", "1.0.0").event(FORMS)
}
