//! Holds what the compiler says about functions that don't fit: the tests are all there is.
//!
//! A crate of its own because they compile the library and all that this crate depends on once
//! more, and the facade's tests depend on much.
