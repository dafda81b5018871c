//! The runtime that the client library's sockets end on, made before it is needed.
//!
//! lapin ends its sockets on threads of its own. There the crate that wraps them makes a runtime for
//! the whole process, at the first socket, and panics where it can't: when descriptors have run out,
//! say. It panics at each later socket, too. So the runtime is made before the first connection,
//! where a failure is an error.

use std::{
    io,
    panic::catch_unwind,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    thread,
};

use async_compat::Compat;
use tokio::{runtime::Builder, sync::oneshot};

static IS_MADE: AtomicBool = AtomicBool::new(false);

/// Makes the runtime, unless it is there.
pub(crate) async fn make() -> io::Result<()> {
    if IS_MADE.load(Relaxed) {
        return Ok(());
    }
    let (made, outcome) = oneshot::channel();
    // A thread outside of any runtime, as lapin's are.
    thread::Builder::new().spawn(move || {
        // One that fails to be made can never be made again, so another one shows whether it would.
        let would = Builder::new_current_thread().enable_all().build();
        let is_made = would.map(|another| {
            drop(another);
            catch_unwind(|| drop(Compat::new(()))).is_ok()
        });
        let _nobody_waits = made.send(is_made);
    })?;
    if outcome.await.unwrap_or(Ok(false))? {
        IS_MADE.store(true, Relaxed);
        return Ok(());
    }
    let expected = "the runtime of the client library could not be made, and can't be made any more \
                    in this process; start it anew, with more descriptors";
    Err(io::Error::other(expected))
}
