//! What has happened so far, in numbers.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use serde::Serialize;

#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self, n: u64) {
        self.0.fetch_add(n, Relaxed);
    }

    fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

macro_rules! stats {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        #[derive(Debug, Default)]
        pub(crate) struct Counters {
            $(pub(crate) $name: Counter,)*
        }

        /// Counts since the gateway was built, and what is held at present: each field says whether it
        /// is a counter, which only grows, or a gauge.
        ///
        /// Export it to the metrics system of your choice; it is cheap to read.
        #[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
        #[non_exhaustive]
        pub struct Stats {
            $($(#[$doc])*
            #[doc = "\n\nA counter."]
            pub $name: u64,)*
            /// Requests that are authenticating now, and connections that have not shown yet who they
            /// are: see [`Config::token_in_message`](crate::Config::token_in_message).
            ///
            /// A gauge.
            pub authenticating: u64,
            /// Sessions that have ended, and whose removal from presence is tried again or under way
            /// now.
            ///
            /// A gauge.
            pub departures_waiting: u64,
            /// Identities, tenants and addresses of which a [limit](crate::Limits) keeps something now:
            /// those that are there, and those that have gone and still count. One that is limited in
            /// two ways is two.
            ///
            /// A gauge.
            pub limits_kept: u64,
            /// Sessions that are open now.
            ///
            /// A gauge.
            pub open: u64,
            /// Sessions whose connection is gone, and of which a handler or a hook still runs now.
            ///
            /// A gauge.
            pub outlived: u64,
            /// Open sessions that presence may not know now: they could not be registered or renewed,
            /// and are tried again. The others don't suffer for it, and a store that is up for
            /// them counts as up.
            ///
            /// A gauge.
            pub presence_unsettled: u64,
            /// Memory of what waits in the queues of all sessions now, in bytes: what sockets have
            /// not accepted, also of frames that they have accepted in part, and some 100 bytes for
            /// each frame that waits whole.
            ///
            /// A gauge.
            pub queued_bytes: u64,
            /// Memory of messages that are held now, in bytes: unfinished or waiting for their
            /// handlers, decoded or as they were read.
            ///
            /// A gauge.
            pub assembling_bytes: u64,
        }

        impl Counters {
            pub(crate) fn snapshot(&self) -> Stats {
                Stats { $($name: self.$name.get(),)* ..Stats::default() }
            }
        }
    };
}

stats! {
    /// Sessions that the shutdown deadline cut off.
    aborted,
    /// Answers of clients to requests of the server, also those that nobody waits for, where these
    /// aren't in `rate_limited`.
    answered,
    /// Answers of clients to an audience's request that were too long, or found no room, since the
    /// one who asked read too slowly: see [`Answers`](crate::Answers).
    answers_dropped,
    /// Answers of clients that nobody waits for: too late, or to what they were never asked.
    answers_unmatched,
    /// How often a client has shown a fresh token, and it was right.
    authenticated_again,
    /// Requests that were refused, and tokens in messages that weren't looked at, before anybody was
    /// asked whose they are, since that has failed too often for their address:
    /// [`Limits::failed_authentications_per_minute`](crate::Limits::failed_authentications_per_minute).
    authentications_limited,
    /// How often a background task died and was started again.
    background_restarts,
    /// How often the link to the broker went down.
    broker_outages,
    /// Sessions that have ended, but for those in `aborted`.
    closed,
    /// Messages that were compressed and have become smaller, each once however many sessions it is
    /// for: see [`Config`](crate::Config), field `compression`.
    compressed,
    /// Bytes of these before it, frame headers included.
    compressed_from_bytes,
    /// Bytes of these after it.
    compressed_to_bytes,
    /// Messages that were compressed in vain and sent plain: they don't shrink, or so much that a client
    /// would take them for a bomb.
    compressed_in_vain,
    /// Connections that were one too many of their identity or address: requests and first messages
    /// that were refused, and sessions that were closed for it.
    connections_limited,
    /// Connections of `serve` that failed before a session: no valid HTTP, a timeout, or no TLS.
    connections_failed,
    /// Sessions that a connect hook refused, or that could not be connected for its failure or
    /// that of presence.
    connects_refused,
    /// Sessions that have ended and that presence may still show until their leases end: more than
    /// 65,536 waited for it to be told. Without leases also those of which it could not be told
    /// for an hour; it shows them for ever.
    departures_given_up,
    /// What other nodes told this one to do and it didn't, because too much of that was under way,
    /// or because this version doesn't know how.
    controls_refused,
    /// Messages that a backpressure policy dropped.
    dropped,
    /// Error reports that were not passed to the error hooks, because too many were under way.
    errors_unreported,
    /// Sessions that were closed because what their client had shown has ended.
    expired,
    /// Messages whose handling failed, also after their session had ended.
    failed,
    /// How often the history of rooms went down.
    history_outages,
    /// Connections that were to show a token in their first message and did not become a session:
    /// they have shown none that is right, or not in time, or they have left, or the gateway drains. See
    /// [`Config::token_in_message`](crate::Config::token_in_message). They are not among `refused`; the
    /// metric of refusals, by their reason, has those of them that were refused.
    first_messages_refused,
    /// Hooks that took too long and were dropped.
    hooks_abandoned,
    /// Messages from other nodes that could not be read.
    invalid_broker_messages,
    /// Sessions whose connection failed, or ended without a close frame.
    lost,
    /// Messages of clients that were not envelopes, but for those in `rate_limited`.
    malformed,
    /// Sessions that were opened.
    opened,
    /// Messages of other nodes that never arrived.
    missed_from_nodes,
    /// Sessions that a panic ended.
    panics,
    /// Sessions whose peer answered no ping.
    pong_timeouts,
    /// How often the presence store went down.
    presence_outages,
    /// Receipts of other nodes that nobody waits for: they came too late, or the one who asked has
    /// gone away. One that comes twice while it is waited for isn't counted.
    receipts_unmatched,
    /// Messages that were not handled because their client sends more than it may. Answers that
    /// somebody waits for aren't among them.
    rate_limited,
    /// Messages that were passed to a handler, or to which the gateway or a dialect has found the
    /// answer itself.
    ///
    /// Each message of a session's client is in this, or in one of `answered`, `malformed`,
    /// `rate_limited` and `unhandled`.
    received,
    /// Requests that were refused.
    refused,
    /// Of these, requests that were answered with 101 and a close frame: see
    /// [`Config::accept_then_close`](crate::Config::accept_then_close).
    refused_by_close,
    /// Of the refused, requests of pages that may not connect: see
    /// [`Config::origin_patterns`](crate::Config::origin_patterns).
    refused_origins,
    /// How often the store of revocations went down.
    revocation_outages,
    /// Sessions that were closed because what their client had shown was revoked.
    revoked,
    /// Messages that were written or queued for a session.
    sent,
    /// Sessions that were closed because their peer read too slowly.
    slow_consumers,
    /// Sessions that were closed because their client has shown something that isn't right.
    unauthorized,
    /// How often somebody was admitted of whom it could not be found out whether what they have shown
    /// was revoked: see [`RevocationsDown`](crate::RevocationsDown).
    unchecked,
    /// Messages among those in `sent` that still waited when their session's connection ended: its
    /// client has gone, or is given up. What a socket had accepted and its peer has not read isn't
    /// known, and not among them.
    unsent,
    /// Messages that were received and not passed to a handler, because their session ended first:
    /// those that waited, and those that came while its close frame was being answered.
    unhandled,
    /// Requests that were refused because too many others waited for an upgrade:
    /// [`Limits::max_upgrades_per_second`](crate::Limits::max_upgrades_per_second).
    upgrades_limited,
    /// Requests that were answered with 101 and then did not become a session.
    upgrades_failed,
    /// Sessions that were closed because their peer broke the protocol, or a limit on what it may
    /// send.
    violations,
    /// Sessions whose peer accepted no byte for the write timeout.
    write_timeouts,
}
