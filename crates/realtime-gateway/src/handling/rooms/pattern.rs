//! The names of rooms that a rule is for: text with parameters, such as `order:{id}`.

use realtime_core::RoomName;

use crate::{BuildError, BuildErrorKind};

/// A parsed pattern.
#[derive(Debug, Clone)]
pub(crate) struct RoomPattern {
    text: String,
    parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    /// One character or more, up to the next text.
    Param(String),
}

impl RoomPattern {
    /// Reads a pattern: parameters stand in braces, and two of them don't stand side by side.
    pub(crate) fn parse(text: &str) -> Result<Self, BuildError> {
        let wrong = |got: &str| {
            let got = format!(
                "expected a pattern of room names such as \"order:{{id}}\"; got {text:?}: {got}"
            );
            BuildError::new(BuildErrorKind::InvalidOption, got)
        };
        if !(1..=RoomName::MAX).contains(&text.len()) {
            return Err(wrong("it isn't 1 to 256 bytes long"));
        }
        let (mut parts, mut rest): (Vec<Part>, &str) = (Vec::new(), text);
        while !rest.is_empty() {
            let Some(inside) = rest.strip_prefix('{') else {
                let end = rest.find('{').unwrap_or(rest.len());
                let (literal, behind) = rest.split_at(end);
                if literal.contains('}') {
                    return Err(wrong("a brace is closed that isn't open"));
                }
                parts.push(Part::Text(literal.to_owned()));
                rest = behind;
                continue;
            };
            let Some((name, behind)) = inside.split_once('}') else {
                return Err(wrong("a brace isn't closed"));
            };
            let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
            if name.is_empty() || !name.chars().all(is_name) {
                return Err(wrong(
                    "a parameter is named with ASCII letters, digits and `_`",
                ));
            }
            if parts.contains(&Part::Param(name.to_owned())) {
                return Err(wrong("a parameter is there twice"));
            }
            if matches!(parts.last(), Some(Part::Param(_))) {
                return Err(wrong("there is nothing between two parameters"));
            }
            parts.push(Part::Param(name.to_owned()));
            rest = behind;
        }
        Ok(Self {
            text: text.to_owned(),
            parts,
        })
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether each name that the other one fits is one that this one fits, too.
    ///
    /// It is so where it fits the other one's text with something in place of each parameter that no
    /// text of a pattern has: what stands there is then within a parameter of this one, which takes
    /// anything else as well.
    pub(crate) fn covers(&self, other: &Self) -> bool {
        const ANYTHING: &str = "{";
        let parts = other.parts.iter().map(|part| match part {
            Part::Text(text) => text.as_str(),
            Part::Param(_) => ANYTHING,
        });
        self.fits(&parts.collect::<String>()).is_some()
    }

    /// The values of its parameters in a name that it fits, in their order.
    pub(crate) fn fits<'n>(&self, name: &'n str) -> Option<Vec<&'n str>> {
        let (mut values, mut rest) = (Vec::new(), name);
        for (at, part) in self.parts.iter().enumerate() {
            match part {
                Part::Text(text) => rest = rest.strip_prefix(text.as_str())?,
                Part::Param(_) => {
                    let is_last = at + 2 == self.parts.len();
                    let end = match self.parts.get(at + 1) {
                        // The last text stands at the end, so a parameter before it may hold it.
                        Some(Part::Text(text)) if is_last => rest.len().checked_sub(text.len())?,
                        Some(Part::Text(text)) => {
                            let behind_one = rest.chars().next()?.len_utf8();
                            behind_one + rest.get(behind_one..)?.find(text.as_str())?
                        }
                        _ => rest.len(),
                    };
                    let (value, behind) = rest.split_at_checked(end)?;
                    if value.is_empty() {
                        return None;
                    }
                    values.push(value);
                    rest = behind;
                }
            }
        }
        rest.is_empty().then_some(values)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_taken_apart() {
        let rows: [(&str, &str, Option<&[&str]>); 14] = [
            ("lobby", "lobby", Some(&[])),
            ("lobby", "lobby2", None),
            ("order:{id}", "order:42", Some(&["42"])),
            ("order:{id}", "order:a:b {}", Some(&["a:b {}"])),
            ("order:{id}", "order:", None),
            ("order:{id}", "Order:1", None),
            ("{room}", "ä", Some(&["ä"])),
            ("{team}/{room}", "red/7", Some(&["red", "7"])),
            ("{team}/{room}", "red/7/8", Some(&["red", "7/8"])),
            ("{team}/{room}", "/7", None),
            ("{team}/{room}", "//7", Some(&["/", "7"])),
            ("chat.{id}.log", "chat.1.log.log", Some(&["1.log"])),
            ("chat.{id}.log", "chat..log", None),
            ("a{x}b", "ab", None),
        ];
        for (pattern, name, expected) in rows {
            let parsed = RoomPattern::parse(pattern).unwrap();
            let values = parsed.fits(name);
            assert_eq!(values.as_deref(), expected, "{pattern} {name}");
        }
    }

    #[test]
    fn a_pattern_covers_those_whose_names_it_all_fits() {
        let rows = [
            ("order:{id}", "order:{order}", true),
            ("lobby", "lobby", true),
            ("{any}", "staff", true),
            ("{any}", "order:{id}", true),
            ("{any}", "{a}/{b}", true),
            ("order:{id}", "order:new", true),
            ("order:{id}", "order:{a}:{b}", true),
            ("{a}/{b}", "{x}/{y}/{z}", true),
            ("{a}/{b}", "team/{y}", true),
            ("a{x}b", "a{x}bb", true),
            ("{x}.log", "chat.{id}.log", true),
            ("staff", "{any}", false),
            ("staff", "stuff", false),
            ("order:new", "order:{id}", false),
            ("order:{id}", "order:", false),
            ("order:{id}", "{kind}:{id}", false),
            ("{a}/{b}", "{x}", false),
            ("{a}/{b}", "/{y}", false),
            ("{x}.log", "chat.{id}", false),
            ("a{x}b", "a{x}", false),
        ];
        for (one, other, covers) in rows {
            let parsed = [one, other].map(|text| RoomPattern::parse(text).unwrap());
            assert_eq!(parsed[0].covers(&parsed[1]), covers, "{one} {other}");
        }
    }

    #[test]
    fn what_is_no_pattern_is_refused() {
        for (pattern, words) in [
            ("", "1 to 256"),
            ("order:{id", "isn't closed"),
            ("order:id}", "isn't open"),
            ("order:{}", "is named"),
            ("order:{a b}", "is named"),
            ("{a}{b}", "nothing between"),
            ("{a}/{a}", "twice"),
        ] {
            let error = RoomPattern::parse(pattern).unwrap_err().to_string();
            assert!(error.contains(words), "{pattern}: {error}");
        }
    }
}
