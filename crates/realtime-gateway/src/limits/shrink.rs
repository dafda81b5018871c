//! Tables that have been large once are small again.

use std::{
    collections::{HashMap, VecDeque},
    hash::Hash,
};

/// One that has room for no more than this stays as it is.
const SMALL: usize = 1_024;

/// Gives memory back where less than a quarter of it is used. To be called when something was removed:
/// it is moved so rarely that each removal pays for a part of a move.
pub(super) fn shrink_map<K: Hash + Eq, V>(map: &mut HashMap<K, V>) {
    if is_wide(map.len(), map.capacity()) {
        map.shrink_to(2 * map.len());
    }
}

/// The same of a queue.
pub(super) fn shrink_queue<T>(queue: &mut VecDeque<T>) {
    if is_wide(queue.len(), queue.capacity()) {
        queue.shrink_to(2 * queue.len());
    }
}

const fn is_wide(len: usize, capacity: usize) -> bool {
    capacity > SMALL && len < capacity / 4
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_large_is_small_again_and_is_seldom_moved() {
        let mut map: HashMap<usize, usize> = (0..100_000).map(|n| (n, n)).collect();
        let mut queue: VecDeque<usize> = (0..100_000).collect();
        let mut moves = 0;
        for n in 0..100_000 {
            map.remove(&n);
            queue.pop_front();
            moves += usize::from(is_wide(map.len(), map.capacity()));
            shrink_map(&mut map);
            shrink_queue(&mut queue);
        }
        assert!(map.capacity() <= 2 * SMALL, "{}", map.capacity());
        assert!(queue.capacity() <= 2 * SMALL, "{}", queue.capacity());
        assert!(moves < 50, "{moves}");
    }
}
