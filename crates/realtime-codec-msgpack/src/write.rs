//! Writing MessagePack into a frame.

use bytes::{BufMut, BytesMut};
use realtime_core::codec::{CodecError, CodecErrorKind};
use rmp::{Marker, encode};

pub(crate) fn put_nil(out: &mut BytesMut) {
    out.put_u8(Marker::Null.to_u8());
}

pub(crate) fn put_bool(out: &mut BytesMut, value: bool) {
    let marker = if value { Marker::True } else { Marker::False };
    out.put_u8(marker.to_u8());
}

pub(crate) fn put_unsigned(out: &mut BytesMut, number: u64) -> Result<(), CodecError> {
    written(encode::write_uint(&mut out.writer(), number))
}

pub(crate) fn put_signed(out: &mut BytesMut, number: i64) -> Result<(), CodecError> {
    written(encode::write_sint(&mut out.writer(), number))
}

pub(crate) fn put_float(out: &mut BytesMut, number: f64) -> Result<(), CodecError> {
    written(encode::write_f64(&mut out.writer(), number))
}

pub(crate) fn put_text(out: &mut BytesMut, text: &str) -> Result<(), CodecError> {
    let length = counted(text.len())?;
    written(encode::write_str_len(&mut out.writer(), length))?;
    out.put_slice(text.as_bytes());
    Ok(())
}

pub(crate) fn put_binary(out: &mut BytesMut, bytes: &[u8]) -> Result<(), CodecError> {
    let length = counted(bytes.len())?;
    written(encode::write_bin_len(&mut out.writer(), length))?;
    out.put_slice(bytes);
    Ok(())
}

pub(crate) fn put_array(out: &mut BytesMut, values: usize) -> Result<(), CodecError> {
    written(encode::write_array_len(&mut out.writer(), counted(values)?))
}

pub(crate) fn put_map(out: &mut BytesMut, pairs: usize) -> Result<(), CodecError> {
    written(encode::write_map_len(&mut out.writer(), counted(pairs)?))
}

/// As many as the header of one byte can say.
const FEW: u8 = 15;

/// Which of the two holds others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Holds {
    Pairs,
    Values,
}

/// The header of an array or a map, written once it is known how many values are in it. Nearly
/// always its place is large enough; else what follows is moved.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Header {
    at: usize,
    holds: Holds,
}

impl Header {
    pub(crate) fn begin(out: &mut BytesMut, holds: Holds) -> Self {
        let at = out.len();
        out.put_u8(0);
        Self { at, holds }
    }

    pub(crate) fn end(self, out: &mut BytesMut, count: usize) -> Result<(), CodecError> {
        if let Some(few) = u8::try_from(count).ok().filter(|count| *count <= FEW) {
            let marker = match self.holds {
                Holds::Pairs => Marker::FixMap(few),
                Holds::Values => Marker::FixArray(few),
            };
            if let Some(place) = out.get_mut(self.at) {
                *place = marker.to_u8();
            }
            return Ok(());
        }
        let mut header = BytesMut::new();
        match self.holds {
            Holds::Pairs => put_map(&mut header, count)?,
            Holds::Values => put_array(&mut header, count)?,
        }
        let (behind, more) = (self.at + 1, header.len().saturating_sub(1));
        if more > 0 {
            let end = out.len();
            out.put_bytes(0, more);
            out.copy_within(behind..end, behind + more);
        }
        if let Some(place) = out.get_mut(self.at..self.at + header.len()) {
            place.copy_from_slice(&header);
        }
        Ok(())
    }
}

fn counted(count: usize) -> Result<u32, CodecError> {
    u32::try_from(count).map_err(|_| {
        let context = "expected strings, binary data, arrays and maps of at most 4,294,967,295 \
                       bytes or values; got more";
        CodecError::new(CodecErrorKind::Encode, context)
    })
}

/// A buffer takes all that there is memory for.
fn written<T, E>(result: Result<T, E>) -> Result<(), CodecError>
where
    E: std::error::Error + Send + Sync + 'static,
{
    result.map(drop).map_err(|e| {
        let context = "the envelope can't be written as MessagePack";
        CodecError::new(CodecErrorKind::Encode, context).with_source(e)
    })
}
