//! What the application says of its traces.

use std::{fmt, num::NonZeroU32, sync::Arc};

use realtime_core::traces::TraceBridge;

/// How a gateway takes part in traces: see [docs/traces.md] for its spans and a whole program.
///
/// Of connections and clients' messages, a [share](Self::ratio) begins a trace. Where the host has a
/// trace under way, or a client may say so, they continue that instead, if it is sampled. What is sent
/// is traced where it is sent from something that is.
///
/// ```
/// use realtime::traces::{OpenTelemetry, Traces};
///
/// let traces = Traces::new(OpenTelemetry::new()).ratio(0.01);
/// let gateway = realtime::builder().traces(traces).build()?;
/// # Ok::<(), realtime::error::BuildError>(())
/// ```
///
/// [docs/traces.md]: https://github.com/forerunner-space/realtime-rs/blob/main/docs/traces.md
#[derive(Clone)]
#[must_use = "it does nothing until it is given to `Builder::traces`"]
pub struct Traces {
    pub(super) bridge: Arc<dyn TraceBridge>,
    pub(super) ratio: f64,
    /// How many of clients' traces in a second; `None` where they are ignored.
    pub(super) followed: Option<NonZeroU32>,
    pub(super) tells_clients: bool,
}

impl Traces {
    /// Traces over this bridge. Everything is traced, what clients say of traces is ignored, and they are
    /// told nothing of them.
    pub fn new(bridge: impl TraceBridge) -> Self {
        Self {
            bridge: Arc::new(bridge),
            ratio: 1.0,
            followed: None,
            tells_clients: false,
        }
    }

    /// The share of connections and messages that begin a trace where they continue none: from 0, for
    /// none, to 1, for all, which is the default. It is decided before there is a span, so what isn't
    /// traced costs next to nothing. The sampler of the tracer is asked about what is left: let it
    /// keep what it gets.
    ///
    /// Anything else is an error when the gateway is built.
    ///
    /// ```
    /// use realtime::traces::{OpenTelemetry, Traces};
    ///
    /// let traces = Traces::new(OpenTelemetry::new()).ratio(1.5);
    /// let error = realtime::builder().traces(traces).build().unwrap_err();
    /// assert!(error.to_string().contains("ratio"));
    /// ```
    pub fn ratio(mut self, ratio: f64) -> Self {
        self.ratio = ratio;
        self
    }

    /// Follows the `traceparent` of clients and proxies, in the request's headers and in the metadata
    /// of messages: their traces go on here, and their flag says whether that is recorded. Default:
    /// they are ignored, and each request and message begins a trace of its own, or none.
    ///
    /// The flag counts before anybody is authenticated, and whatever the [share](Self::ratio) is:
    /// whoever reaches the port may have what he sends recorded, and choose the trace's id. So no more
    /// than this many in a second, of all clients of this node, are followed for their flag; those
    /// beyond have the luck of the share. Where a proxy that you trust sets the header, and clients
    /// can't, their messages are still theirs.
    ///
    /// ```
    /// use std::num::NonZeroU32;
    ///
    /// use realtime::traces::{OpenTelemetry, Traces};
    ///
    /// let at_most = NonZeroU32::new(10).ok_or("zero")?;
    /// let traces = Traces::new(OpenTelemetry::new()).ratio(0.01).follow_clients(at_most);
    /// # let _ = traces;
    /// # Ok::<(), &str>(())
    /// ```
    pub fn follow_clients(mut self, most_in_a_second: NonZeroU32) -> Self {
        self.followed = Some(most_in_a_second);
        self
    }

    /// Tells clients where a trace is: what is sent to them while one is under way, answers among it,
    /// has a `traceparent` in its metadata. Default: they are told nothing, since their messages would
    /// have 80 bytes more, and ids of your traces.
    ///
    /// A message that has one already keeps it, and one whose metadata is full, with 64 entries, gets
    /// none. What a room's history keeps has it, too.
    pub fn tell_clients(mut self) -> Self {
        self.tells_clients = true;
        self
    }

    /// What is wrong with it, and which setting that is.
    pub(crate) fn check(&self) -> Result<(), String> {
        match (0.0..=1.0).contains(&self.ratio) {
            true => Ok(()),
            false => Err(format!(
                "expected a `ratio` of traces from 0 to 1; got {}",
                self.ratio
            )),
        }
    }
}

impl fmt::Debug for Traces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Traces")
            .field("ratio", &self.ratio)
            .field("followed", &self.followed)
            .field("tells_clients", &self.tells_clients)
            .finish_non_exhaustive()
    }
}
