//! Something that one task at a time works with, and that outlives the task.

use std::sync::Arc;

use tokio::sync::Notify;

use crate::sync::Mutex;

/// A place for a value that a task borrows. Where the task dies, the value is here for the next.
#[derive(Debug)]
pub(crate) struct Kept<T>(Arc<Place<T>>);

#[derive(Debug)]
struct Place<T> {
    value: Mutex<Option<T>>,
    /// Notified when it is there.
    there: Notify,
}

impl<T> Default for Kept<T> {
    fn default() -> Self {
        Self(Arc::new(Place {
            value: Mutex::new(None),
            there: Notify::new(),
        }))
    }
}

impl<T> Kept<T> {
    /// Puts a value in its place.
    pub(crate) fn put(&self, value: T) {
        let before = self.0.value.lock().replace(value);
        drop(before);
        self.0.there.notify_waiters();
    }

    /// Borrows the value, unless it is lent already or not there yet.
    fn borrow(&self) -> Option<Borrowed<T>> {
        let value = self.0.value.lock().take()?;
        Some(Borrowed {
            value: Some(value),
            kept: Self(Arc::clone(&self.0)),
        })
    }

    /// Borrows the value, as soon as it is there. Cancel safe.
    pub(crate) async fn borrowed(&self) -> Borrowed<T> {
        loop {
            let there = self.0.there.notified();
            tokio::pin!(there);
            there.as_mut().enable();
            match self.borrow() {
                Some(borrowed) => return borrowed,
                None => there.await,
            }
        }
    }
}

/// Goes back to its place when it is dropped.
#[derive(Debug)]
pub(crate) struct Borrowed<T> {
    /// `None` only while it is dropped.
    value: Option<T>,
    kept: Kept<T>,
}

impl<T> Borrowed<T> {
    /// The value. Always there until this is dropped.
    pub(crate) fn value(&mut self) -> Option<&mut T> {
        self.value.as_mut()
    }

    /// Drops the value for good.
    pub(crate) fn forget(mut self) {
        self.value = None;
    }
}

impl<T> Drop for Borrowed<T> {
    fn drop(&mut self) {
        if let Some(value) = self.value.take() {
            self.kept.put(value);
        }
    }
}

#[cfg(all(test, not(realtime_loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_lent_to_one_and_comes_back() {
        let kept = Kept::default();
        kept.put(7);
        let mut borrowed = kept.borrow().unwrap();
        assert!(kept.borrow().is_none());
        if let Some(value) = borrowed.value() {
            *value += 1;
        }
        drop(borrowed);
        let mut again = kept.borrow().unwrap();
        assert_eq!(again.value(), Some(&mut 8));
        again.forget();
        assert!(kept.borrow().is_none());
    }
}
