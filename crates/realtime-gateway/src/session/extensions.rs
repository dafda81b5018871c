//! What the application keeps with a session: at most one value of each type.

use std::{
    fmt,
    sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
};

use once_cell::race::OnceBox;

use crate::quiet::drop_quietly;

/// Typed state of one session: a value of each type, set by a hook or a handler and read by any
/// other, also by the extractor [`Extension<T>`](crate::extract::Extension).
///
/// Values are cloned when they are read: keep an `Arc` where that costs, or a lock within it where
/// the value changes. A session that keeps nothing needs no memory for it. What is kept is dropped
/// with the last clone of the [`Session`](crate::Session). The `Clone` of a value must not use
/// the extensions of its session.
///
/// ```
/// # use realtime::Session;
/// #[derive(Clone)]
/// struct Locale(String);
///
/// async fn greet(session: Session) {
///     session.extensions().insert(Locale("en".to_owned()));
/// }
///
/// async fn later(session: Session) {
///     let locale = session.extensions().get::<Locale>();
///     assert_eq!(locale.map(|l| l.0), Some("en".to_owned()));
/// }
/// ```
#[derive(Default)]
pub struct Extensions(OnceBox<RwLock<http::Extensions>>);

/// A value, of which whoever held the session last must not pay for a panic in its drop: it may be
/// the one who delivers everybody's broadcasts. Nor must the other values.
#[derive(Clone)]
struct Kept<T>(Option<T>);

impl<T> Drop for Kept<T> {
    fn drop(&mut self) {
        drop_quietly(self.0.take());
    }
}

impl Extensions {
    fn read(&self) -> Option<RwLockReadGuard<'_, http::Extensions>> {
        let kept = self.0.get()?;
        Some(kept.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn write(&self) -> RwLockWriteGuard<'_, http::Extensions> {
        let kept = self.0.get_or_init(Box::default);
        kept.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps a value. Returns the one of this type that it replaces.
    pub fn insert<T: Clone + Send + Sync + 'static>(&self, value: T) -> Option<T> {
        let mut before = self.write().insert(Kept(Some(value)))?;
        before.0.take()
    }

    /// A clone of the value of this type.
    #[must_use]
    pub fn get<T: Clone + Send + Sync + 'static>(&self) -> Option<T> {
        self.read()?.get::<Kept<T>>()?.0.clone()
    }

    /// A clone of the value of this type, which is made where there is none.
    pub(crate) fn get_or_default<T: Clone + Default + Send + Sync + 'static>(&self) -> T {
        if let Some(value) = self.get() {
            return value;
        }
        let mut kept = self.write();
        let kept = kept.get_or_insert_with(|| Kept(Some(T::default())));
        kept.0.clone().unwrap_or_default()
    }

    /// Removes the value of this type, and returns it.
    pub fn remove<T: Clone + Send + Sync + 'static>(&self) -> Option<T> {
        self.0.get()?;
        let mut kept = self.write().remove::<Kept<T>>()?;
        kept.0.take()
    }
}

impl fmt::Debug for Extensions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kept = self.read().map_or(0, |kept| kept.len());
        f.debug_struct("Extensions").field("len", &kept).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    struct PanicsInDrop;

    impl Drop for PanicsInDrop {
        fn drop(&mut self) {
            std::panic::panic_any("on purpose");
        }
    }

    #[test]
    fn a_panic_in_the_drop_of_a_value_ends_there() {
        let (extensions, other) = (Extensions::default(), Arc::new("other"));
        extensions.insert(Arc::new(PanicsInDrop));
        extensions.insert(Arc::clone(&other));
        drop(extensions);
        assert_eq!(Arc::strong_count(&other), 1);
    }
}
