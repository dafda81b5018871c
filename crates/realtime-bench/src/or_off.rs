//! A number, or `off`: how an option is switched off, as in a gateway's configuration.

use std::str::FromStr;

/// A number that isn't 0, or nothing where `off` is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct OrOff<N>(pub(crate) Option<N>);

impl<N: FromStr + PartialOrd + Default> FromStr for OrOff<N> {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "off" {
            return Ok(Self(None));
        }
        let number = text.parse().ok().filter(|number| *number > N::default());
        number
            .map(|number| Self(Some(number)))
            .ok_or("expected a number above 0, or `off`")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn off_is_a_word_and_nothing_else() {
        assert_eq!("off".parse(), Ok(OrOff::<usize>(None)));
        assert_eq!("7".parse(), Ok(OrOff(Some(7_usize))));
        assert_eq!("0.5".parse(), Ok(OrOff(Some(0.5))));
        for text in ["0", "-1", "", "none", "x"] {
            assert!(text.parse::<OrOff<f64>>().is_err(), "{text}");
        }
        assert!("0".parse::<OrOff<usize>>().is_err());
    }
}
