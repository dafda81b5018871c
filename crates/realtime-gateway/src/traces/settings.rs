//! What the application says of its traces.

use std::{fmt, sync::Arc};

use realtime_core::traces::TraceBridge;

/// How a gateway takes part in traces: see [docs/traces.md] for its spans and a whole program.
///
/// What continues a trace is traced where that is sampled. Of what continues none, connections and
/// clients' messages, a [share](Self::ratio) begins one. What is sent is traced where it is sent from
/// something that is.
///
/// ```
/// use realtime::traces::{OpenTelemetry, Traces};
///
/// let traces = Traces::new(OpenTelemetry::new()).ratio(0.01).ignore_clients();
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
    pub(super) follows_clients: bool,
    pub(super) tells_clients: bool,
}

impl Traces {
    /// Traces over this bridge. Everything is traced, clients' traces are continued, and clients are
    /// told nothing of them.
    pub fn new(bridge: impl TraceBridge) -> Self {
        Self {
            bridge: Arc::new(bridge),
            ratio: 1.0,
            follows_clients: true,
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

    /// Ignores the `traceparent` of clients, in the request's headers and in the metadata of their
    /// messages: each begins a trace of its own, or none, by the [share](Self::ratio).
    ///
    /// Otherwise a client's trace goes on here, and its flag says whether it is recorded: whoever may
    /// connect may so make all that he sends be recorded, and choose the trace's id. Where a proxy
    /// that you trust sets the header, and clients can't, their messages are still theirs.
    pub fn ignore_clients(mut self) -> Self {
        self.follows_clients = false;
        self
    }

    /// Tells clients where a trace is: what is sent to them while one is under way, answers among it,
    /// has a `traceparent` in its metadata. Default: they are told nothing, since their messages would
    /// have 80 bytes more, and ids of your traces.
    ///
    /// A message that has one already keeps it. What a room's history keeps has it, too.
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
            .field("follows_clients", &self.follows_clients)
            .field("tells_clients", &self.tells_clients)
            .finish_non_exhaustive()
    }
}
