//! What a handler has returned, or never will, and what the client gets for it.

use realtime_core::{BoxError, Message, MessageId, codec::Notice};

use super::Open;
use crate::{
    ErrorStage,
    clock::{Millis, NEVER},
    handling::client_error,
    session::{EndCause, Unanswered, too_late, unanswered},
    session_task::handling::Done,
};

impl Open {
    #[inline(always)]
    pub(super) fn answer(&mut self, done: Done) {
        match self.handling.is_traced() {
            true => self.answer_traced(done),
            false => self.answer_untraced(done),
        }
    }

    #[cold]
    fn answer_traced(&mut self, done: Done) {
        let traced = self.handling.take_traced();
        if let Err(error) = &done.result {
            traced.failed(|| client_error::for_trace(error, done.panicked));
        }
        // Entering it costs something, and most answers say nothing of it.
        match done.result.is_ok() && !self.node.tracer().tells_clients() {
            true => self.answer_untraced(done),
            false => traced.within(|| self.answer_untraced(done)),
        }
    }

    pub(super) fn answer_untraced(&mut self, done: Done) {
        let Done {
            request,
            result,
            panicked,
            timing,
        } = done;
        self.node
            .metrics()
            .handled(&timing, || client_error::outcome(&result));
        match result {
            Ok(reply) => {
                if let (Some(request), Some(data)) = (request, reply.into_payload()) {
                    let message = Message::plain(Some(request.id), request.route, data);
                    match self.session.reply(&message) {
                        Ok(full) => self.full_of_replies = full,
                        Err(error) => self.unanswerable(message.message_id(), error.into()),
                    }
                }
            }
            Err(error) => {
                self.node.stats().failed.add(1);
                // A replier may have been faster than the failure.
                if let Some(request) = request
                    && !self.session.has_answered(&request.id)
                {
                    self.answer_error(Some(&request.id), &error);
                }
                if panicked {
                    self.session.end(EndCause::HandlerPanicked);
                    // The answer is written, and nothing else is handled.
                    self.finish_by = NEVER;
                }
                if client_error::is_mistake(&error) {
                    self.mistaken(error);
                } else if client_error::is_clients(&error) {
                    self.report_client(error);
                } else {
                    self.report(ErrorStage::Message, error);
                }
            }
        }
    }

    /// There is no answer of the handler's, or none that has a form in the codec: the client learns
    /// that.
    fn unanswerable(&mut self, id: Option<&MessageId>, error: BoxError) {
        self.node.stats().failed.add(1);
        self.answer_error(id, &error);
        self.report(ErrorStage::Message, error);
    }

    /// Requests whose handlers took repliers, which were dropped later, or have had their time.
    /// Returns whether there was one, and when to look again.
    pub(super) fn answer_for_repliers(&mut self) -> (bool, Option<Millis>) {
        let Unanswered {
            dropped,
            late,
            next,
        } = self.session.take_unanswered();
        for id in &dropped {
            self.unanswerable(Some(id), unanswered().into());
        }
        for id in &late {
            self.unanswerable(Some(id), too_late().into());
        }
        (!dropped.is_empty() || !late.is_empty(), next)
    }

    #[cold]
    pub(super) fn answer_error(&mut self, id: Option<&MessageId>, error: &BoxError) {
        let error = &match self.node.config.decode_details {
            true => client_error::for_client_in_detail(error),
            false => client_error::for_client(error),
        };
        let notice = Notice::Error { id, error };
        if !error.__has_data() {
            return self.notify(&notice);
        }
        // The application's data is foreign: where it has no form, the error goes without.
        match self.session.reply_notice(&notice) {
            Ok(full) => self.full_of_replies = full,
            Err(wrong) => {
                self.report(ErrorStage::Message, wrong);
                let error = &error.clone().without_data();
                self.notify(&Notice::Error { id, error });
            }
        }
    }

    pub(super) fn notify(&mut self, notice: &Notice<'_>) {
        match self.session.reply_notice(notice) {
            Ok(full) => self.full_of_replies = full,
            Err(error) => self.report(ErrorStage::Message, error),
        }
    }
}
