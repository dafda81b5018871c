//! Which names the gateways of this process have.

use std::{
    collections::BTreeMap,
    sync::{LazyLock, Mutex, PoisonError},
};

/// Each name, and how many gateways have it. It is as large as there are gateways.
static NAMES: LazyLock<Mutex<BTreeMap<String, usize>>> = LazyLock::new(Mutex::default);

/// A gateway has this name, until this is dropped.
#[derive(Debug)]
pub(super) struct Named(String);

impl Named {
    /// Warns where a second one has it, since that looks right and isn't.
    pub(super) fn new(name: &str) -> Self {
        if !name.is_empty() && change(name, |count| count + 1) == 2 {
            tracing::warn!(
                target: crate::log_targets::BACKGROUND, gateway = name,
                "two gateways of this process have the same name, so each overwrites the gauges \
                 of the other; give each a name of its own, by `Builder::name`",
            );
        }
        Self(name.to_owned())
    }
}

impl Drop for Named {
    fn drop(&mut self) {
        change(&self.0, |count| count.saturating_sub(1));
    }
}

fn change(name: &str, to: impl FnOnce(usize) -> usize) -> usize {
    let mut names = NAMES.lock().unwrap_or_else(PoisonError::into_inner);
    let count = to(names.get(name).copied().unwrap_or(0));
    match count {
        0 => names.remove(name),
        count => names.insert(name.to_owned(), count),
    };
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_free_again_once_nobody_has_it() {
        let count = || change("of this test", |count| count);
        let (one, two) = (Named::new("of this test"), Named::new("of this test"));
        assert_eq!(count(), 2);
        drop(one);
        assert_eq!(count(), 1);
        drop(two);
        assert_eq!(count(), 0);
    }
}
