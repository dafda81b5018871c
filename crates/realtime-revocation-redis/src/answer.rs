//! What Redis answers: what is known of a revocation, and lines of the log.

use std::time::SystemTime;

use fred::types::Value;
use realtime_core::revocation::{PAGE, Page, Revocation};

use crate::{keys, moment};

/// What is known of a revocation, as it is stored: its time and its end, which the log has, too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Known {
    text: String,
    issued_before: SystemTime,
    /// In ms, by the server's clock.
    ends: u64,
}

impl Known {
    fn read(text: String) -> Option<Self> {
        let (issued_before, ends) = text.split_once(' ')?;
        Some(Self {
            issued_before: moment::read(issued_before)?,
            ends: ends.parse().ok()?,
            text,
        })
    }

    pub(crate) fn issued_before(&self) -> SystemTime {
        self.issued_before
    }

    pub(crate) fn ends(&self) -> u64 {
        self.ends
    }

    /// What the log says of it.
    pub(crate) fn line(&self, name: &str) -> String {
        format!("{} {name}", self.text)
    }
}

/// What `GET` answers; `Err` where something else lies there.
pub(crate) fn known(answer: Value) -> Result<Option<Known>, ()> {
    match answer {
        Value::Null => Ok(None),
        answer => {
            let known = answer.into_string().and_then(Known::read);
            known.map(Some).ok_or(())
        }
    }
}

/// What was known before, where something was, and what is known now.
pub(crate) fn revoked(answer: Value) -> Option<(Option<Known>, Known)> {
    let Value::Array(answer) = answer else {
        return None;
    };
    let mut answer = answer.into_iter();
    let before = Known::read(answer.next()?.into_string()?);
    Some((before, Known::read(answer.next()?.into_string()?)?))
}

/// Lines of the log, one more than a page where there are more. Those that can't be read are left out.
pub(crate) fn since(answer: Value, after: u64) -> Option<Page> {
    let Value::Array(answer) = answer else {
        return None;
    };
    let more = answer.len() > 2 * PAGE;
    let (mut next, mut revocations) = (after, Vec::new());
    let mut answer = answer.into_iter().take(2 * PAGE);
    while let Some(line) = answer.next() {
        let number = answer.next()?.into_string()?;
        next = next.max(number.parse().ok()?);
        revocations.extend(revocation(line));
    }
    Some(Page::new(revocations, next, more))
}

fn revocation(line: Value) -> Option<Revocation> {
    let line = line.into_bytes()?;
    let mut parts = str::from_utf8(&line).ok()?.splitn(3, ' ');
    let issued_before = moment::read(parts.next()?)?;
    let scope = keys::scope(parts.nth(1)?)?;
    // Whatever its scope, it is made as its owner made it.
    let mut revocation = Revocation::everybody(issued_before);
    revocation.scope = scope;
    Some(revocation)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<i64>().prop_map(Value::Integer),
            any::<f64>().prop_map(Value::Double),
            "[0-9 ]{0,40}".prop_map(Value::from),
            any::<Vec<u8>>().prop_map(|bytes| Value::Bytes(bytes.into())),
        ];
        leaf.prop_recursive(2, 12, 6, |inner| {
            prop::collection::vec(inner, 0..6).prop_map(Value::Array)
        })
    }

    proptest! {
        #[test]
        fn garbage_is_no_answer_and_no_panic(answer in value(), after in any::<u64>()) {
            let _known = known(answer.clone());
            let _revoked = revoked(answer.clone());
            if let Some(told) = since(answer, after) {
                prop_assert!(told.next >= after && told.revocations.is_empty());
            }
        }
    }

    #[test]
    fn a_line_says_what_was_revoked() {
        let at = SystemTime::now();
        let text = format!("{} 17", moment::write(at));
        let known = known(text.into()).unwrap().unwrap();
        assert_eq!((known.issued_before(), known.ends()), (at, 17));
        let line = known.line("tenant:a b ");
        let answer = Value::Array(vec![
            line.into(),
            "7".into(),
            "somebody else's".into(),
            "9".into(),
        ]);
        let told = since(answer, 3).unwrap();
        let revocations = vec![Revocation::tenant("a b ", at)];
        assert_eq!(told, Page::new(revocations, 9, false));
    }
}
