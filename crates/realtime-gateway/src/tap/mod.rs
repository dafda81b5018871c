//! What one identity's sessions are sent and say, copied for somebody who looks, while somebody does.
//!
//! Without the feature `admin` all of this has no size and does nothing, so that who has no admin page
//! doesn't pay. With it, a session has a pointer that is empty, and a flag that is false; what is
//! copied is bounded for each tap, and what doesn't fit is counted.

#[cfg(not(feature = "admin"))]
mod off;
#[cfg(feature = "admin")]
mod on;

#[cfg(not(feature = "admin"))]
pub(crate) use off::*;
#[cfg(feature = "admin")]
pub(crate) use on::*;
