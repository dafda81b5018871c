//! Reading MessagePack: one item after the other, out of the frame, without a copy and without
//! room for what a header only claims.

use rmp::Marker;

/// An extension of one byte, its type and that: how JavaScript's `undefined` is often written.
const UNDEFINED: [u8; 2] = [0, 0];

/// What of a frame is still to be read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reader<'f> {
    rest: &'f [u8],
}

/// A value without others in it, or how many others follow.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Item<'f> {
    /// So many values follow.
    Array(u32),
    Binary(&'f [u8]),
    Bool(bool),
    Extension,
    Float(f64),
    /// So many pairs of values follow.
    Map(u32),
    /// Below zero.
    Negative(i64),
    /// Or JavaScript's `undefined`.
    Nil,
    /// It may not be UTF-8.
    Text(&'f [u8]),
    Unsigned(u64),
}

/// Why no item could be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Broken {
    /// It ends before the item does.
    Short,
    /// A byte that MessagePack has no meaning for.
    Reserved,
}

impl<'f> Reader<'f> {
    pub(crate) const fn new(rest: &'f [u8]) -> Self {
        Self { rest }
    }

    pub(crate) const fn rest(&self) -> &'f [u8] {
        self.rest
    }

    /// The next item.
    pub(crate) fn item(&mut self) -> Result<Item<'f>, Broken> {
        let [marker] = self.array()?;
        Ok(match Marker::from_u8(marker) {
            Marker::FixPos(number) => Item::Unsigned(number.into()),
            Marker::FixNeg(number) => signed(number.into()),
            Marker::FixMap(pairs) => Item::Map(pairs.into()),
            Marker::FixArray(values) => Item::Array(values.into()),
            Marker::FixStr(bytes) => Item::Text(self.take(bytes.into())?),
            Marker::Null => Item::Nil,
            Marker::Reserved => return Err(Broken::Reserved),
            Marker::False => Item::Bool(false),
            Marker::True => Item::Bool(true),
            Marker::Bin8 => Item::Binary(self.counted_by_1()?),
            Marker::Bin16 => Item::Binary(self.counted_by_2()?),
            Marker::Bin32 => Item::Binary(self.counted_by_4()?),
            Marker::Ext8 => self.extension_of(|reader| reader.counted_by_1())?,
            Marker::Ext16 => self.extension_of(|reader| reader.counted_by_2())?,
            Marker::Ext32 => self.extension_of(|reader| reader.counted_by_4())?,
            Marker::F32 => Item::Float(f32::from_be_bytes(self.array()?).into()),
            Marker::F64 => Item::Float(f64::from_be_bytes(self.array()?)),
            Marker::U8 => Item::Unsigned(u8::from_be_bytes(self.array()?).into()),
            Marker::U16 => Item::Unsigned(u16::from_be_bytes(self.array()?).into()),
            Marker::U32 => Item::Unsigned(u32::from_be_bytes(self.array()?).into()),
            Marker::U64 => Item::Unsigned(u64::from_be_bytes(self.array()?)),
            Marker::I8 => signed(i8::from_be_bytes(self.array()?).into()),
            Marker::I16 => signed(i16::from_be_bytes(self.array()?).into()),
            Marker::I32 => signed(i32::from_be_bytes(self.array()?).into()),
            Marker::I64 => signed(i64::from_be_bytes(self.array()?)),
            Marker::FixExt1 => match self.array()? {
                UNDEFINED => Item::Nil,
                _ => Item::Extension,
            },
            Marker::FixExt2 => self.extension_of(|reader| reader.take(2))?,
            Marker::FixExt4 => self.extension_of(|reader| reader.take(4))?,
            Marker::FixExt8 => self.extension_of(|reader| reader.take(8))?,
            Marker::FixExt16 => self.extension_of(|reader| reader.take(16))?,
            Marker::Str8 => Item::Text(self.counted_by_1()?),
            Marker::Str16 => Item::Text(self.counted_by_2()?),
            Marker::Str32 => Item::Text(self.counted_by_4()?),
            Marker::Array16 => Item::Array(u16::from_be_bytes(self.array()?).into()),
            Marker::Array32 => Item::Array(u32::from_be_bytes(self.array()?)),
            Marker::Map16 => Item::Map(u16::from_be_bytes(self.array()?).into()),
            Marker::Map32 => Item::Map(u32::from_be_bytes(self.array()?)),
        })
    }

    /// The next value with all that is in it, as it is written. Any depth is read without a stack.
    pub(crate) fn value(&mut self) -> Result<&'f [u8], Broken> {
        let whole = self.rest;
        let mut left = 1_u64;
        while left > 0 {
            left -= 1;
            left += match self.item()? {
                Item::Array(values) => values.into(),
                Item::Map(pairs) => u64::from(pairs) * 2,
                _ => 0,
            };
            // Each has a byte at least, so what claims more than there is needs no look.
            if left > self.rest.len() as u64 {
                return Err(Broken::Short);
            }
        }
        let length = whole.len() - self.rest.len();
        whole.get(..length).ok_or(Broken::Short)
    }

    fn take(&mut self, bytes: usize) -> Result<&'f [u8], Broken> {
        let (taken, rest) = self.rest.split_at_checked(bytes).ok_or(Broken::Short)?;
        self.rest = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Broken> {
        let (taken, rest) = self.rest.split_first_chunk().ok_or(Broken::Short)?;
        self.rest = rest;
        Ok(*taken)
    }

    fn counted_by_1(&mut self) -> Result<&'f [u8], Broken> {
        let [bytes] = self.array()?;
        self.take(bytes.into())
    }

    fn counted_by_2(&mut self) -> Result<&'f [u8], Broken> {
        let bytes = u16::from_be_bytes(self.array()?);
        self.take(bytes.into())
    }

    fn counted_by_4(&mut self) -> Result<&'f [u8], Broken> {
        let bytes = u32::from_be_bytes(self.array()?);
        self.take(usize::try_from(bytes).map_err(|_| Broken::Short)?)
    }

    /// Nobody looks at it, so that its type, of one byte, may as well stand behind its data.
    fn extension_of(
        &mut self,
        data: impl FnOnce(&mut Self) -> Result<&'f [u8], Broken>,
    ) -> Result<Item<'f>, Broken> {
        data(self)?;
        self.take(1)?;
        Ok(Item::Extension)
    }
}

const fn signed<'f>(number: i64) -> Item<'f> {
    if number < 0 {
        Item::Negative(number)
    } else {
        Item::Unsigned(number.unsigned_abs())
    }
}

impl Item<'_> {
    /// What it is, without a word of what is in it.
    pub(crate) const fn what(&self) -> &'static str {
        match self {
            Self::Array(_) => "an array",
            Self::Binary(_) => "binary data",
            Self::Bool(_) => "true or false",
            Self::Extension => "an extension type",
            Self::Float(_) => "a floating-point number",
            Self::Map(_) => "another map",
            Self::Negative(_) | Self::Unsigned(_) => "another integer",
            Self::Nil => "nil",
            Self::Text(_) => "another string",
        }
    }
}

impl Broken {
    pub(crate) const fn what(self) -> &'static str {
        match self {
            Self::Short => "ends too early",
            Self::Reserved => "is no MessagePack",
        }
    }
}
