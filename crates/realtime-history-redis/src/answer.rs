//! What the scripts answer.

use fred::types::Value;
use realtime_core::history::{Appended, Entry, Page, Position, Since};

fn offset(value: Value) -> Option<u64> {
    value.into_string()?.parse().ok()
}

/// An epoch and an offset, which stand at the head of every answer.
fn position_of(values: &mut impl Iterator<Item = Value>) -> Option<Position> {
    let epoch = values.next()?.into_string()?.parse().ok()?;
    Some(Position::new(epoch, offset(values.next()?)?))
}

fn entries(first: u64, data: Value) -> Option<Vec<Entry>> {
    let Value::Array(data) = data else {
        return None;
    };
    let entry = |(offset, data): (u64, Value)| Some(Entry::new(offset, data.into_bytes()?));
    (first..).zip(data).map(entry).collect()
}

pub(crate) fn position(answer: Value) -> Option<Position> {
    position_of(&mut answer.into_array().into_iter())
}

pub(crate) fn appended(answer: Value) -> Option<Appended> {
    let mut values = answer.into_array().into_iter();
    let position = position_of(&mut values)?;
    match values.next()?.as_i64()? {
        0 => Some(Appended::now(position)),
        1 => Some(Appended::before(position)),
        _ => None,
    }
}

pub(crate) fn since(answer: Value, after: u64) -> Option<Since> {
    let Value::Array(values) = answer else {
        return None;
    };
    if values.is_empty() {
        return Some(Since::Lost { position: None });
    }
    let mut values = values.into_iter();
    let position = position_of(&mut values)?;
    match values.next()?.as_i64()? {
        0 => Some(Since::Lost {
            position: Some(position),
        }),
        1 => {
            let entries = entries(after.checked_add(1)?, values.next()?)?;
            let is_all = after.checked_add(entries.len() as u64) == Some(position.offset);
            is_all.then_some(Since::Complete { entries, position })
        }
        _ => None,
    }
}

pub(crate) fn page(answer: Value) -> Option<Page> {
    let Value::Array(values) = answer else {
        return None;
    };
    if values.is_empty() {
        return Some(Page::default());
    }
    let mut values = values.into_iter();
    let position = position_of(&mut values)?;
    let first = offset(values.next()?)?;
    let before = values.next()?.into_string()?;
    let before = match before.is_empty() {
        true => None,
        false => Some(before.parse().ok()?),
    };
    let entries = entries(first, values.next()?)?;
    Some(Page::new(entries, Some(position), before))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<i64>().prop_map(Value::Integer),
            (0..3_i64).prop_map(Value::Integer),
            any::<f64>().prop_map(Value::Double),
            "[a-f0-9]{0,8}".prop_map(Value::from),
            any::<Vec<u8>>().prop_map(|bytes| Value::Bytes(bytes.into())),
        ];
        leaf.prop_recursive(2, 12, 6, |inner| {
            prop::collection::vec(inner, 0..6).prop_map(Value::Array)
        })
    }

    proptest! {
        #[test]
        fn garbage_is_no_partial_answer(answer in value(), after in any::<u64>()) {
            let _position = position(answer.clone());
            let _appended = appended(answer.clone());
            let _page = page(answer.clone());
            if let Some(Since::Complete { entries, position }) = since(answer, after) {
                prop_assert_eq!(position.offset - after, entries.len() as u64);
            }
        }
    }

    #[test]
    fn a_hole_is_no_answer() {
        let answer = |data: Vec<&str>| {
            let data = data.into_iter().map(Value::from).collect();
            Value::Array(vec!["e".into(), "7".into(), 1.into(), Value::Array(data)])
        };
        assert!(matches!(
            since(answer(vec!["a", "b"]), 5),
            Some(Since::Complete { .. })
        ));
        assert_eq!(since(answer(vec!["a"]), 5), None);
        assert_eq!(since(answer(vec!["a", "b", "c"]), 5), None);
        assert_eq!(since(answer(Vec::new()), u64::MAX), None);
    }
}
