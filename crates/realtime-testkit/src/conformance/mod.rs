//! What every backend must do, one test for each bullet of a trait's `# Behavior` lists.
//!
//! Run the whole suite on a backend of your own with one macro in a test file. The expression
//! makes, for each test anew, what the suite works on; it may `await`.
//!
//! ```
//! use realtime::{auth::Anonymous, broker::LocalBroker, presence::MemoryPresence};
//!
//! // Members of one new cluster.
//! realtime_testkit::broker_suite!({
//!     let bus = LocalBroker::new();
//!     move || bus.clone()
//! });
//!
//! // Handles on one new store.
//! realtime_testkit::presence_suite!({
//!     let store = MemoryPresence::new();
//!     move || store.clone()
//! });
//! # mod roster {
//! # use realtime::presence::MemoryPresence;
//!
//! // Handles on one new store that has a roster.
//! realtime_testkit::roster_suite!({
//!     let store = MemoryPresence::new();
//!     move || store.clone()
//! });
//! # }
//! # mod history {
//! # use realtime::history::MemoryHistory;
//!
//! // Handles on one new store.
//! realtime_testkit::history_suite!({
//!     let store = MemoryHistory::new();
//!     move || store.clone()
//! });
//! # }
//! # mod revocations {
//! # use realtime::revocation::MemoryRevocations;
//!
//! // Handles on one new store.
//! realtime_testkit::revocations_suite!({
//!     let store = MemoryRevocations::new();
//!     move || store.clone()
//! });
//! # }
//! # fn main() {}
//! ```
//!
//! Codecs and dialects are tried with what they have to carry:
//!
//! ```
//! # mod codec {
//! use realtime::{Message, codec::JsonCodec};
//!
//! // The codec, and messages that have a form in it.
//! realtime_testkit::codec_suite!(JsonCodec, [Message::default().with_id("7")]);
//! # }
//! # mod dialect {
//! # use bytes::BytesMut;
//! # use realtime::{Message, Payload, codec::{CodecError, Frame, FrameKind}};
//! # use realtime::{dialect::{Actions, Client, Dialect, Event}, message::Text};
//! # #[derive(Debug)]
//! # struct Lines;
//! # impl Dialect for Lines {
//! #     fn name(&self) -> &str { "lines" }
//! #     fn read(&self, frame: Frame, _: &Client<'_>, to: &mut Actions) -> Result<(), CodecError> {
//! #         for line in String::from_utf8_lossy(frame.as_bytes()).lines() {
//! #             let data = Payload::json(line)?;
//! #             to.handle(Message::plain(None, Text::from_static("line"), data))?;
//! #         }
//! #         Ok(())
//! #     }
//! #     fn write(&self, _: &Event<'_>, _: &mut BytesMut) -> Result<Option<FrameKind>, CodecError> {
//! #         Ok(None)
//! #     }
//! # }
//! # use realtime::codec::Frame as F;
//!
//! // The dialect, and frames that its clients send, one of each sort.
//! realtime_testkit::dialect_suite!(Lines, [F::Text("a line".into()), F::Text("two\nlines".into())]);
//! # }
//! # fn main() {}
//! ```
//!
//! A server that is slow to start can be started once, for one test that runs the whole suite. The
//! second expression is a function from the server to a new namespace of it:
//!
//! ```
//! # use realtime::broker::LocalBroker;
//! # struct Server;
//! # impl Server { async fn start() -> Self { Self } }
//! # impl Server { fn new_cluster(&self) -> LocalBroker { LocalBroker::new() } }
//! realtime_testkit::broker_suite!(my_server_passes_the_suite, Server::start().await, |server: &Server| {
//!     let bus = server.new_cluster();
//!     move || bus.clone()
//! });
//! # fn main() {}
//! ```
//!
//! A presence store has a second suite, [`presence_faults_suite!`](crate::presence_faults_suite),
//! for what it does where a single key fails, its roster
//! [`roster_faults_suite!`](crate::roster_faults_suite), a history
//! [`history_faults_suite!`](crate::history_faults_suite), and a store of revocations
//! [`revocations_faults_suite!`](crate::revocations_faults_suite). They need a hook that spoils what
//! lies in the store, so they are for those that can.
//!
//! Each test is also a plain function here, for those who want to call it otherwise. What a
//! backend does when its server fails can't be asked of all in the same way: hold it by tests of
//! your own.

pub mod auth;
pub mod broker;
pub mod codec;
pub mod dialect;
pub mod history;
pub mod history_faults;
pub mod presence;
pub mod presence_faults;
pub mod revocations;
pub mod revocations_faults;
pub mod roster;
pub mod roster_faults;

use std::{panic::AssertUnwindSafe, pin::Pin, time::Duration};

use futures::{FutureExt, StreamExt, stream};

/// Runs a test of a suite on a runtime of its own, for at most two minutes.
///
/// # Panics
/// When the test does, or when it takes longer.
pub fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build();
    #[allow(clippy::expect_used, reason = "a test fails by a panic")]
    let runtime = runtime.expect("a runtime for the test");
    let done =
        runtime.block_on(async { tokio::time::timeout(Duration::from_secs(120), test).await });
    assert!(done.is_ok(), "the test took longer than two minutes");
}

/// A test that runs beside others of its suite.
#[doc(hidden)]
pub type Running<'t> = Pin<Box<dyn Future<Output = ()> + 't>>;

/// How many tests of a suite run at the same time where they do: more than that, and the server would
/// have much to do.
const AT_ONCE: usize = 6;

/// Runs tests at the same time, some of them. Where one fails, its name is the last that is printed.
#[doc(hidden)]
pub async fn together(tests: Vec<(&'static str, Running<'_>)>) {
    let tests = tests.into_iter().map(|(name, test)| async move {
        let tested = AssertUnwindSafe(test).catch_unwind().await;
        println!("{name}{}", if tested.is_ok() { "" } else { ": failed" });
        if let Err(panic) = tested {
            std::panic::resume_unwind(panic);
        }
    });
    let tests = stream::iter(tests).buffer_unordered(AT_ONCE);
    tests.for_each(async |()| {}).await;
}

/// Declares one `#[test]` for each function of a suite, or one for all of them.
#[doc(hidden)]
#[macro_export]
macro_rules! __suite {
    (each, $suite:ident, $make:expr, $($test:ident)*) => {
        $(
            #[test]
            fn $test() {
                $crate::conformance::run(async {
                    $crate::conformance::$suite::$test($make).await;
                });
            }
        )*
    };
    (all, $suite:ident, $name:ident, $server:expr, $make:expr, $($test:ident)*) => {
        #[test]
        fn $name() {
            $crate::conformance::run(async {
                let server = $server;
                let make = $make;
                $(
                    println!("{}", stringify!($test));
                    // Each in a frame of its own: together they would fill a thread's stack.
                    let test = || {
                        ::std::boxed::Box::pin($crate::conformance::$suite::$test(make(&server)))
                    };
                    test().await;
                )*
            });
        }
    };
    // At the same time: for those that wait for most of it.
    (together, $suite:ident, $name:ident, $server:expr, $make:expr, $($test:ident)*) => {
        #[test]
        fn $name() {
            $crate::conformance::run(async {
                let server = $server;
                let make = $make;
                let mut tests = ::std::vec::Vec::new();
                $(
                    // Each in a frame of its own, as above.
                    let test = || -> $crate::conformance::Running<'_> {
                        ::std::boxed::Box::pin($crate::conformance::$suite::$test(make(&server)))
                    };
                    tests.push((stringify!($test), test()));
                )*
                $crate::conformance::together(tests).await;
            });
        }
    };
}
