//! What of a queue goes into one write, and what the socket has accepted of it.

use std::{collections::VecDeque, io::IoSlice};

use bytes::{Buf, Bytes};

use super::{Queue, Queued, WRITE_BYTES, controls::Account};

/// A burst's worth of slots is not kept by a session that has become quiet, but this many.
const KEPT: usize = 4;

impl Queue {
    /// What is to be written next, in order, up to the bounds of one write.
    pub(crate) fn slices<'q>(&'q self, out: &mut [IoSlice<'q>]) -> usize {
        let [before @ .., close] = self.controls().all();
        let data = self.data.iter().map(|q| &q.frame);
        let frames = before.into_iter().chain(data).chain([close]);
        let (mut count, mut bytes) = (0, 0);
        for frame in frames.filter(|f| !f.is_empty()) {
            if count == out.len() || bytes >= WRITE_BYTES {
                break;
            }
            out[count] = IoSlice::new(frame);
            count += 1;
            bytes += frame.len();
        }
        count
    }

    /// Removes what the socket has accepted.
    pub(crate) fn advance(&mut self, taken: usize) {
        let taken = self.advance_controls(taken);
        let taken = self.advance_data(taken);
        if taken > 0 {
            let controls = self.controls_mut();
            let mut close = std::mem::take(&mut controls.close);
            close.advance(taken.min(close.len()));
            controls.set_partial(close, Account::Control);
        }
        if self.controls.is_some() {
            self.drop_empty_controls();
        }
        if self.data.is_empty() && self.data.capacity() > KEPT {
            self.data = VecDeque::new();
        }
    }

    /// Returns what the socket has accepted of what stands behind.
    fn advance_controls(&mut self, mut taken: usize) -> usize {
        let Some(controls) = &mut self.controls else {
            return taken;
        };
        let partial = taken.min(controls.partial.len());
        match controls.account {
            Account::Control => {}
            Account::Policy => self.policy_bytes -= partial,
            Account::Reply => self.reply_bytes -= partial,
        }
        controls.partial.advance(partial);
        taken -= partial;
        if !controls.partial.is_empty() {
            return 0;
        }
        let mut partial = Bytes::new();
        for control in [&mut controls.pong, &mut controls.ping, &mut controls.notice] {
            if control.len() > taken {
                if taken > 0 {
                    partial = std::mem::take(control).split_off(taken);
                }
                taken = 0;
                break;
            }
            taken -= std::mem::take(control).len();
        }
        if !partial.is_empty() {
            controls.set_partial(partial, Account::Control);
        }
        if controls.notice.is_empty() {
            controls.noticed = 0;
        }
        taken
    }

    /// Returns what the socket has accepted of what stands behind.
    fn advance_data(&mut self, mut taken: usize) -> usize {
        while taken > 0 {
            let Some(Queued { mut frame, account }) = self.data.pop_front() else {
                break;
            };
            let written = taken.min(frame.len());
            if account == Account::Policy {
                self.policy_messages -= 1;
                self.policy_bytes -= written;
            } else {
                self.reply_bytes -= written;
            }
            frame.advance(written);
            if !frame.is_empty() {
                self.controls_mut().set_partial(frame, account);
                return 0;
            }
            taken -= written;
        }
        taken
    }
}
