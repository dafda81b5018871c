//! How much of everything but its data a message may have: one check for all who write and read it.

use super::{Exchange, Message, Rare};
use crate::codec::{CodecError, CodecErrorKind};

impl Message {
    /// The longest route or id, in bytes, received and sent; also of the id of a request of the
    /// server, and of the code of a refusal.
    pub const MAX_NAME_BYTES: usize = 256;
    /// The most entries of metadata, received and sent.
    pub const MAX_METADATA: usize = 64;

    /// Checks that it has no more than anybody accepts: for codecs, which refuse what is larger with
    /// an error of this kind.
    ///
    /// Its data, and the data of a refusal, have bounds of their own.
    ///
    /// ```
    /// use realtime::{Message, codec::CodecErrorKind};
    ///
    /// let message = Message::new("r".repeat(300), ())?;
    /// let error = message.check_bounds(CodecErrorKind::Encode).unwrap_err();
    /// assert_eq!(error.kind(), CodecErrorKind::Encode);
    /// assert_eq!(error.to_string(), "expected a route and an id of at most 256 bytes; got 300");
    /// # Ok::<(), realtime::codec::CodecError>(())
    /// ```
    ///
    /// # Errors
    /// That kind, for a name of more than [`MAX_NAME_BYTES`](Self::MAX_NAME_BYTES), or more than
    /// [`MAX_METADATA`](Self::MAX_METADATA) entries of metadata.
    #[inline]
    pub fn check_bounds(&self, kind: CodecErrorKind) -> Result<(), CodecError> {
        let longest = self
            .route
            .len()
            .max(self.id.as_ref().map_or(0, |id| id.len()));
        if longest > Self::MAX_NAME_BYTES {
            return Err(too_long("a route and an id", longest, kind));
        }
        match &self.rare {
            None => Ok(()),
            Some(rare) => rare.check_bounds(kind),
        }
    }
}

impl Rare {
    fn check_bounds(&self, kind: CodecErrorKind) -> Result<(), CodecError> {
        let (entries, most) = (self.metadata.len(), Message::MAX_METADATA);
        if entries > most {
            let context = format!("expected at most {most} entries of metadata; got {entries}");
            return Err(CodecError::new(kind, context));
        }
        let longest = match &self.exchange {
            None => 0,
            Some(Exchange::Request(id) | Exchange::Reply(id)) => id.len(),
            Some(Exchange::Refusal(id, error)) => id.len().max(error.code().len()),
        };
        if longest > Message::MAX_NAME_BYTES {
            let what = "an id of a request and the code of a refusal";
            return Err(too_long(what, longest, kind));
        }
        Ok(())
    }
}

#[cold]
fn too_long(what: &str, got: usize, kind: CodecErrorKind) -> CodecError {
    let most = Message::MAX_NAME_BYTES;
    CodecError::new(
        kind,
        format!("expected {what} of at most {most} bytes; got {got}"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ClientError;

    fn names(bytes: usize) -> [Message; 5] {
        let name = || "é".repeat(bytes / 2) + &"n".repeat(bytes % 2);
        let plain = || Message::new("r", ()).unwrap();
        let refusal =
            |id: String, code: String| Exchange::Refusal(id.into(), ClientError::new(code, ""));
        [
            Message::new(name(), ()).unwrap(),
            plain().with_id(name()),
            plain().with_exchange(Exchange::Request(name().into())),
            plain().with_exchange(refusal(name(), "no".into())),
            plain().with_exchange(refusal("7".into(), name())),
        ]
    }

    #[test]
    fn names_are_counted_in_bytes_wherever_they_stand() {
        for message in names(Message::MAX_NAME_BYTES) {
            message.check_bounds(CodecErrorKind::Encode).unwrap();
        }
        for message in names(Message::MAX_NAME_BYTES + 1) {
            let error = message.check_bounds(CodecErrorKind::Malformed).unwrap_err();
            assert_eq!(error.kind(), CodecErrorKind::Malformed);
            assert!(error.to_string().ends_with("256 bytes; got 257"), "{error}");
        }
    }

    #[test]
    fn entries_of_metadata_are_counted() {
        let with = |entries: usize| {
            let message = Message::new("r", ()).unwrap();
            let entries = (0..entries).map(|n| n.to_string());
            entries.fold(message, |message, name| message.with_metadata(name, ""))
        };
        let check = |entries| with(entries).check_bounds(CodecErrorKind::Encode);
        check(Message::MAX_METADATA).unwrap();
        let error = check(Message::MAX_METADATA + 1).unwrap_err();
        let expected = "expected at most 64 entries of metadata; got 65";
        assert_eq!(error.to_string(), expected);
    }
}
