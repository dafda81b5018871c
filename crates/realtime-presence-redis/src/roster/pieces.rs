//! Long lists, cut into what one script deals with: a bounded number of words about groups of one
//! shard.

use std::collections::{BTreeMap, HashMap};

use fred::types::Value;
use realtime_core::presence::Group;

use super::shards::{SHARDS, group_name, shard_of};

/// How many words a script takes; it blocks the server meanwhile.
const WORDS: usize = 100;

/// What goes in one call.
#[derive(Debug, Default)]
pub(crate) struct Piece {
    pub(crate) shard: usize,
    pub(crate) groups: Vec<Words>,
}

/// Words about one group, each with its places in the question.
#[derive(Debug, Default)]
pub(crate) struct Words {
    pub(crate) group: String,
    pub(crate) words: Vec<(String, Vec<usize>)>,
}

impl Piece {
    /// Each group with the number of its words, and these, as the scripts want them.
    pub(crate) fn arguments(&self) -> impl Iterator<Item = Value> {
        self.groups.iter().flat_map(|of| {
            let count = i64::try_from(of.words.len()).unwrap_or(i64::MAX);
            let words = of.words.iter().map(|(word, _)| Value::from(word.as_str()));
            [Value::from(of.group.as_str()), count.into()]
                .into_iter()
                .chain(words)
        })
    }

    /// The places of the word at this position among all of them, from 1.
    pub(crate) fn places_of(&self, position: usize) -> Option<&[usize]> {
        let mut words = self.groups.iter().flat_map(|of| &of.words);
        let (_, places) = words.nth(position.checked_sub(1)?)?;
        Some(places)
    }
}

impl Words {
    pub(crate) fn places(&self) -> Vec<usize> {
        let places = self.words.iter().flat_map(|(_, places)| places);
        places.copied().collect()
    }
}

/// Puts words about groups together, in their order. A word that comes again is named once.
///
/// A group that this version doesn't know the name of is left out.
pub(crate) fn pieces<'g>(words: impl Iterator<Item = (&'g Group, String)>) -> Vec<Piece> {
    let mut groups: HashMap<&Group, Option<usize>> = HashMap::new();
    let mut all: Vec<(Words, HashMap<String, usize>)> = Vec::new();
    for (place, (group, word)) in words.enumerate() {
        let number = *groups.entry(group).or_insert_with(|| {
            let words = Words {
                group: group_name(group)?,
                words: Vec::new(),
            };
            all.push((words, HashMap::new()));
            Some(all.len() - 1)
        });
        let Some((of, known)) = number.and_then(|number| all.get_mut(number)) else {
            continue;
        };
        let next = of.words.len();
        match of.words.get_mut(*known.entry(word.clone()).or_insert(next)) {
            Some((_, places)) => places.push(place),
            None => of.words.push((word, vec![place])),
        }
    }
    let mut open: BTreeMap<usize, Piece> = BTreeMap::new();
    let mut full = Vec::new();
    for (of, _) in all {
        let shard = shard_of(&of.group);
        let mut left = of.words.into_iter().peekable();
        while left.peek().is_some() {
            let piece = open.entry(shard).or_default();
            piece.shard = shard;
            let count: usize = piece.groups.iter().map(|of| of.words.len()).sum();
            let words: Vec<_> = left.by_ref().take(WORDS - count).collect();
            let is_full = count + words.len() == WORDS;
            piece.groups.push(Words {
                group: of.group.clone(),
                words,
            });
            if is_full {
                full.extend(open.remove(&shard));
            }
        }
    }
    debug_assert!(open.len() <= SHARDS, "one piece for each shard is open");
    full.extend(open.into_values());
    full
}

#[cfg(test)]
mod tests {
    use super::*;

    fn room(n: usize) -> Group {
        Group::Room(format!("r{n}").parse().unwrap())
    }

    #[test]
    fn a_list_is_cut_by_shard_and_size() {
        let rooms: Vec<_> = (0..40).map(room).collect();
        let words = (0..2_000).map(|n| (&rooms[n * n % 40], n.to_string()));
        let pieces = pieces(words);
        let mut seen = vec![0; 2_000];
        for piece in &pieces {
            let count: usize = piece.groups.iter().map(|of| of.words.len()).sum();
            assert!((1..=WORDS).contains(&count), "{count}");
            let mut position = 0;
            for of in &piece.groups {
                assert_eq!(shard_of(&of.group), piece.shard);
                assert!(of.places().is_sorted());
                for (word, places) in &of.words {
                    position += 1;
                    assert_eq!(piece.places_of(position), Some(&**places));
                    assert_eq!(*word, places[0].to_string());
                    seen[places[0]] += 1;
                }
            }
            assert_eq!(piece.places_of(position + 1), None);
            assert_eq!(piece.places_of(0), None);
        }
        assert!(seen.iter().all(|times| *times == 1));
        assert!(pieces.len() <= 2_000 / WORDS + SHARDS);
    }

    #[test]
    fn a_word_that_comes_twice_has_two_places() {
        let (one, other) = (room(1), room(2));
        let words = [(&one, "a"), (&other, "a"), (&one, "b"), (&one, "a")];
        let pieces = pieces(
            words
                .into_iter()
                .map(|(group, word)| (group, word.to_owned())),
        );
        let groups = pieces.iter().flat_map(|piece| &piece.groups);
        let mut places: Vec<_> = groups.map(|of| (of.words.len(), of.places())).collect();
        places.sort();
        assert_eq!(places, [(1, vec![1]), (2, vec![0, 3, 2])]);
    }
}
