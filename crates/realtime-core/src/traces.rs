//! The seam to traces: what ties a span of `tracing` to a trace that crosses processes.
//!
//! The gateway knows spans of `tracing`, and of a trace nothing but its [`TraceParent`]. What lies
//! between them is a [`TraceBridge`]; `realtime-opentelemetry` has one over `tracing-opentelemetry`.

use std::{fmt, str::FromStr};

use thiserror::Error;
use tracing::Span;

/// What ties spans of `tracing` to traces.
///
/// It is asked only about what may be traced: where nothing is, it costs nothing. Where one of its
/// methods panics, what it was asked about isn't traced, and nothing else follows.
///
/// ```
/// use realtime::traces::{TraceBridge, TraceParent};
///
/// /// Follows no trace, and begins none.
/// struct Nothing;
///
/// impl TraceBridge for Nothing {
///     fn current(&self) -> Option<TraceParent> {
///         None
///     }
///
///     fn context_of(&self, _: &tracing::Span) -> Option<TraceParent> {
///         None
///     }
///
///     fn set_parent(&self, _: &tracing::Span, _: TraceParent) -> bool {
///         false
///     }
///
///     fn add_link(&self, _: &tracing::Span, _: TraceParent) {}
/// }
///
/// let traces = realtime::traces::Traces::new(Nothing);
/// let gateway = realtime::builder().traces(traces).build()?;
/// # Ok::<(), realtime::error::BuildError>(())
/// ```
pub trait TraceBridge: Send + Sync + 'static {
    /// The context that is current on this thread, for what is sent from here.
    ///
    /// # Behavior
    /// - `None` where no trace is under way. One that isn't sampled is given with its flag: what is asked
    ///   for within it isn't traced either.
    fn current(&self) -> Option<TraceParent>;

    /// The context of a span, for what it is to be the parent of.
    ///
    /// # Behavior
    /// - `None` where the span is disabled, or seen by nobody who traces.
    /// - The span may begin with this call: its parent is set before.
    fn context_of(&self, span: &Span) -> Option<TraceParent>;

    /// Makes something that came from elsewhere the parent of a span, which has just been made and
    /// was not entered yet.
    ///
    /// # Behavior
    /// - `false` where that can't be done: then the span is dropped, and its work isn't traced.
    fn set_parent(&self, span: &Span, parent: TraceParent) -> bool;

    /// Links a span to another one that it belongs to and isn't a child of.
    ///
    /// # Behavior
    /// - Where that can't be done, the span stays what it is.
    fn add_link(&self, span: &Span, to: TraceParent);
}

/// A place in a trace, as the W3C's `traceparent` says it: the ids of the trace and of a span, and
/// whether the trace is sampled.
///
/// ```
/// use realtime::traces::TraceParent;
///
/// let said = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
/// let parent: TraceParent = said.parse()?;
/// assert!(parent.is_sampled());
/// assert_eq!(parent.span_id(), 0xb7ad_6b71_6920_3331_u64.to_be_bytes());
/// assert_eq!(parent.to_string(), said);
/// assert!("00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01".parse::<TraceParent>().is_err());
/// # Ok::<(), realtime::traces::InvalidTraceParent>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TraceParent {
    trace_id: [u8; 16],
    span_id: [u8; 8],
    is_sampled: bool,
}

/// What is no `traceparent` of version 00.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error(
    "expected a W3C traceparent of version 00: `00-`, 32 hexadecimal digits, `-`, 16, `-`, 2, all \
     in lower case, and neither id all zeros"
)]
pub struct InvalidTraceParent(());

impl TraceParent {
    /// How many bytes one has as text.
    pub const BYTES: usize = 55;
    /// The name under which it travels: of a header, and of a message's metadata.
    pub const NAME: &'static str = "traceparent";

    /// A place in a trace.
    ///
    /// # Errors
    /// When one of the ids is all zeros, which means that there is none.
    pub fn new(
        trace_id: [u8; 16],
        span_id: [u8; 8],
        is_sampled: bool,
    ) -> Result<Self, InvalidTraceParent> {
        if trace_id == [0; 16] || span_id == [0; 8] {
            return Err(InvalidTraceParent(()));
        }
        Ok(Self {
            trace_id,
            span_id,
            is_sampled,
        })
    }

    /// Which trace it is.
    #[must_use]
    pub const fn trace_id(&self) -> [u8; 16] {
        self.trace_id
    }

    /// Which span of it.
    #[must_use]
    pub const fn span_id(&self) -> [u8; 8] {
        self.span_id
    }

    /// Whether the trace is recorded, as far as the one knew who said so.
    #[must_use]
    pub const fn is_sampled(&self) -> bool {
        self.is_sampled
    }
}

impl FromStr for TraceParent {
    type Err = InvalidTraceParent;

    /// Strictly: of another version nothing is guessed, since its reader is the one who knows it.
    fn from_str(text: &str) -> Result<Self, InvalidTraceParent> {
        let wrong = InvalidTraceParent(());
        let bytes: &[u8; Self::BYTES] = text.as_bytes().try_into().map_err(|_| wrong)?;
        let dashes = [2, 35, 52].iter().all(|at| bytes[*at] == b'-');
        if &bytes[..2] != b"00" || !dashes {
            return Err(wrong);
        }
        let (mut trace_id, mut span_id, mut flags) = ([0; 16], [0; 8], [0]);
        read(&bytes[3..35], &mut trace_id).ok_or(wrong)?;
        read(&bytes[36..52], &mut span_id).ok_or(wrong)?;
        read(&bytes[53..], &mut flags).ok_or(wrong)?;
        Self::new(trace_id, span_id, flags[0] & 1 == 1)
    }
}

/// Two digits for each byte, in lower case.
fn read(digits: &[u8], into: &mut [u8]) -> Option<()> {
    let value = |digit: u8| match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    };
    for (byte, pair) in into.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = (value(pair[0])? << 4) | value(pair[1])?;
    }
    Some(())
}

impl fmt::Display for TraceParent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let trace = u128::from_be_bytes(self.trace_id);
        let span = u64::from_be_bytes(self.span_id);
        write!(
            f,
            "00-{trace:032x}-{span:016x}-0{}",
            u8::from(self.is_sampled)
        )
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SAID: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    proptest! {
        #[test]
        fn what_is_said_is_read(trace: [u8; 16], span: [u8; 8], sampled: bool) {
            match TraceParent::new(trace, span, sampled) {
                Ok(parent) => {
                    prop_assert_eq!(parent.to_string().len(), TraceParent::BYTES);
                    prop_assert_eq!(parent.to_string().parse(), Ok(parent));
                }
                Err(_) => prop_assert!(trace == [0; 16] || span == [0; 8]),
            }
        }

        #[test]
        fn anything_else_is_no_traceparent(at in 0..TraceParent::BYTES, with: char) {
            let mut said: Vec<char> = SAID.chars().collect();
            said[at] = with;
            let said: String = said.into_iter().collect();
            let fits = said.len() == TraceParent::BYTES && match at {
                0..3 | 35 | 52 => said == SAID,
                _ => matches!(with, '0'..='9' | 'a'..='f'),
            };
            prop_assert_eq!(said.parse::<TraceParent>().is_ok(), fits);
        }
    }

    #[test]
    fn what_is_broken_is_refused() {
        for broken in [
            "",
            "00",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-1",
            " 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0",
        ] {
            assert!(broken.parse::<TraceParent>().is_err(), "{broken:?}");
        }
        let unsampled: TraceParent = SAID.replace("-01", "-fe").parse().unwrap();
        assert!(!unsampled.is_sampled() && unsampled.to_string().ends_with("-00"));
    }
}
