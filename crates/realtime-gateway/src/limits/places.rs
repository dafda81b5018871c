//! How many there may be of each at once: of an identity, or from an address.

use std::{collections::HashMap, hash::Hash, sync::Arc};

use super::shrink::shrink_map;
use crate::sync::Mutex;

/// Counts them. Only those that are there take memory.
#[derive(Debug)]
pub(crate) struct Places<K> {
    most: usize,
    taken: Mutex<HashMap<K, usize>>,
}

/// A place among those of one key. It is free again when this is dropped.
#[derive(Debug)]
pub(crate) struct Place<K: Hash + Eq> {
    places: Arc<Places<K>>,
    key: K,
    /// How many there were with it.
    pub(crate) count: usize,
}

impl<K: Hash + Eq + Clone> Places<K> {
    pub(crate) fn new(most: usize) -> Arc<Self> {
        Arc::new(Self {
            most,
            taken: Mutex::new(HashMap::new()),
        })
    }

    /// A place, where there is one.
    pub(crate) fn enter(self: &Arc<Self>, key: K) -> Option<Place<K>> {
        let mut taken = self.taken.lock();
        let count = taken.get(&key).copied().unwrap_or_default() + 1;
        if count > self.most {
            return None;
        }
        taken.insert(key.clone(), count);
        drop(taken);
        Some(Place {
            places: Arc::clone(self),
            key,
            count,
        })
    }
}

impl<K: Hash + Eq> Places<K> {
    /// How many keys have any.
    pub(super) fn len(&self) -> usize {
        self.taken.lock().len()
    }

    fn free(&self, key: &K) {
        let mut taken = self.taken.lock();
        match taken.get_mut(key) {
            Some(count) if *count > 1 => *count -= 1,
            _ => {
                taken.remove(key);
                shrink_map(&mut taken);
            }
        }
    }
}

impl<K: Hash + Eq> Drop for Place<K> {
    fn drop(&mut self) {
        self.places.free(&self.key);
    }
}

#[cfg(all(test, not(realtime_loom)))]
mod tests {
    use super::*;

    #[test]
    fn each_has_so_many_and_what_is_free_is_not_kept() {
        let places = Places::new(2);
        let (first, second) = (places.enter("a").unwrap(), places.enter("a").unwrap());
        assert_eq!((first.count, second.count), (1, 2));
        assert!(places.enter("a").is_none());
        let other = places.enter("b").unwrap();
        drop(first);
        let third = places.enter("a").unwrap();
        assert_eq!(third.count, 2);
        drop((second, third, other));
        assert!(places.taken.lock().is_empty());
    }
}
