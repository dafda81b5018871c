//! A panic in a task, whose owner starts it again.

use std::{any::Any, panic::AssertUnwindSafe};

use futures::FutureExt;

/// What a part of a task came to, or what it said as it panicked: a layer of `tracing` that belongs
/// to the program may do so in the middle of a line of the log.
///
/// What the part works on has to be true at every point at which it may end, as it has for one that
/// is cancelled.
///
/// # Errors
/// When it panicked, with its words where it had any.
///
/// # Cancel safety
/// As that of the part.
pub async fn caught<T>(part: impl Future<Output = T>) -> Result<T, String> {
    let caught = AssertUnwindSafe(part).catch_unwind().await;
    caught.map_err(|panic| format!("a task panicked: {}", words(&*panic)))
}

fn words(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("without a word")
}

#[cfg(test)]
mod tests {
    use futures::executor::block_on;

    use super::*;

    #[test]
    fn a_panic_is_an_error_with_its_words() {
        let part = |panics: bool| async move {
            assert!(!panics, "no {}", "more");
            7
        };
        assert_eq!(block_on(caught(part(false))), Ok(7));
        let panicked = block_on(caught(part(true)));
        assert_eq!(panicked, Err("a task panicked: no more".to_owned()));
    }
}
