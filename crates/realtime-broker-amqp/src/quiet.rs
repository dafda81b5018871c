//! The client library's own thread says nothing in the program's log.
//!
//! There it warns of each message that is returned to it, with all of its properties, and that is how
//! this crate [asks](crate::routes) who is there. What else it says there, of sockets that break, is
//! an event here, and the gateway says it.

use std::cell::RefCell;

use tracing::{
    Event, Metadata, Subscriber,
    dispatcher::{DefaultGuard, Dispatch, set_default},
    level_filters::LevelFilter,
    span::{Attributes, Id, Record},
    subscriber::Interest,
};

thread_local! {
    /// Ends with the thread: until then `tracing` looks for such a default wherever something is said.
    static QUIET: RefCell<Option<DefaultGuard>> = const { RefCell::new(None) };
}

/// From now on, until the thread ends: it is the library's, and does nothing else.
pub(crate) fn this_thread() {
    QUIET.with_borrow_mut(|quiet| {
        quiet.get_or_insert_with(|| set_default(&Dispatch::new(Nobody)));
    });
}

/// Listens to nothing. [`Dispatch::none`] isn't enough: `tracing` doesn't know of it, and takes the
/// answer that it gets here for that of all threads. Of this one it knows, so it asks the others' too.
struct Nobody;

impl Subscriber for Nobody {
    fn register_callsite(&self, _: &'static Metadata<'static>) -> Interest {
        Interest::never()
    }

    /// Nor does what others don't listen to cost more by it.
    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(LevelFilter::OFF)
    }

    fn enabled(&self, _: &Metadata<'_>) -> bool {
        false
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        // Of a span that nobody has asked for. It can't be zero.
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, _: &Event<'_>) {}

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

#[cfg(test)]
mod tests {
    use std::{
        io::{self, Write},
        sync::{Arc, Mutex},
        thread,
    };

    use tracing::Level;

    use super::*;

    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);

    impl Write for Log {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Log {
        fn lines(&self) -> usize {
            let bytes = self.0.lock().unwrap();
            bytes.iter().filter(|byte| **byte == b'\n').count()
        }

        fn dispatch(&self) -> Dispatch {
            let log = self.clone();
            let subscriber = tracing_subscriber::fmt()
                .with_max_level(Level::INFO)
                .with_writer(move || log.clone());
            Dispatch::new(subscriber.finish())
        }
    }

    /// The one place where this is said.
    fn say(text: &str) {
        tracing::info!("{text}");
    }

    #[test]
    fn what_is_first_said_on_a_quiet_thread_is_heard_from_others() {
        let log = Log::default();
        let dispatch = log.dispatch();
        let on_a_quiet_thread = dispatch.clone();
        thread::spawn(move || {
            // As where it is the program's, which is the default of every thread.
            let _program = set_default(&on_a_quiet_thread);
            this_thread();
            this_thread();
            say("nobody hears this");
        })
        .join()
        .unwrap();
        assert_eq!(log.lines(), 0);
        assert_eq!(LevelFilter::current(), LevelFilter::INFO);
        let _program = set_default(&dispatch);
        say("this is heard");
        assert_eq!(log.lines(), 1);
    }
}
