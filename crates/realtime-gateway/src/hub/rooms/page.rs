//! Some of the rooms, for somebody who looks at them.

use std::sync::Arc;

use realtime_core::RoomName;

use super::Rooms;

/// How many rooms are looked at for one page of them.
const LOOKED_AT: usize = 10_000;

impl Rooms {
    /// Up to `limit` rooms that `pick` chooses, with how many members each has, and whether all rooms
    /// were looked at.
    pub(crate) fn page(
        &self,
        limit: usize,
        pick: impl Fn(&RoomName) -> bool,
    ) -> (Vec<(RoomName, usize)>, bool) {
        let (mut found, mut looked_at, mut all) = (Vec::new(), 0, true);
        for place in &self.by_name {
            if found.len() >= limit || looked_at >= LOOKED_AT {
                all = false;
                break;
            }
            looked_at += 1;
            if pick(place.key()) {
                found.push((place.key().clone(), Arc::clone(place.value())));
            }
        }
        let counted = found
            .into_iter()
            .map(|(name, place)| (name, place.members.lock().by_number.len()));
        (counted.collect(), all)
    }
}
