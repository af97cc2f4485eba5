//! The header fields of a head, as they stand in its bytes.

use std::mem::MaybeUninit;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::error::Error;
use crate::limits::{FIELDS_MAX, Limits};

/// Where the places of a head's fields are kept while it is parsed: on the stack, and not initialised before.
#[derive(Debug)]
pub struct Room<'b> {
    fields: [MaybeUninit<httparse::Header<'b>>; FIELDS_MAX],
}

impl<'b> Room<'b> {
    /// Room for one head.
    #[inline]
    pub const fn new() -> Self {
        Self { fields: [const { MaybeUninit::uninit() }; FIELDS_MAX] }
    }

    pub(crate) fn of(&mut self, limits: Limits) -> &mut [MaybeUninit<httparse::Header<'b>>] {
        let max = limits.fields_max.min(FIELDS_MAX);
        self.fields.get_mut(..max).unwrap_or_default()
    }
}

impl Default for Room<'_> {
    fn default() -> Self {
        Self::new()
    }
}

/// Fields in the order in which they came: names as they were written, values without the whitespace around
/// them.
#[derive(Debug, Clone, Copy)]
pub struct Fields<'a>(pub(crate) &'a [httparse::Header<'a>]);

impl<'a> Fields<'a> {
    /// How many there are.
    pub fn len(self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(self) -> bool {
        self.0.is_empty()
    }

    /// All fields.
    pub fn iter(self) -> impl Iterator<Item = (&'a str, &'a [u8])> + Clone {
        self.0.iter().map(|field| (field.name, field.value))
    }

    /// The values of all lines of one field.
    pub fn all(self, name: &str) -> impl Iterator<Item = &'a [u8]> {
        self.iter().filter(move |(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// The same as a map, whose values are slices of `bytes`: the buffer that was parsed.
    ///
    /// # Errors
    ///
    /// A name is longer than a map can keep.
    ///
    /// # Panics
    ///
    /// `bytes` is another buffer.
    pub fn to_map(self, bytes: &Bytes) -> Result<HeaderMap, Error> {
        self.map(ROOM_FOR_MARKS, |value| HeaderValue::from_maybe_shared(bytes.slice_ref(value)))
    }

    /// The same as a map, whose values are copies.
    ///
    /// # Errors
    ///
    /// A name is longer than a map can keep.
    pub fn copied(self) -> Result<HeaderMap, Error> {
        self.map(0, HeaderValue::from_bytes)
    }

    /// A map with room for `more` fields.
    pub(crate) fn map<E>(
        self,
        more: usize,
        value_of: impl Fn(&'a [u8]) -> Result<HeaderValue, E>,
    ) -> Result<HeaderMap, Error> {
        let mut map = HeaderMap::with_capacity(self.len() + more);
        for (name, value) in self.iter() {
            let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_too_long| Error::FieldLine)?;
            map.append(name, value_of(value).map_err(|_never| Error::FieldLine)?);
        }
        Ok(map)
    }
}

/// Fields that a tier adds to a response and to each copy of it. A map that has to grow is built anew.
const ROOM_FOR_MARKS: usize = 10;

/// What httparse refuses, in the words of this crate. `start_line` is what it says of the first line.
pub(crate) fn refused(error: httparse::Error, start_line: Error, limits: Limits) -> Error {
    match error {
        httparse::Error::HeaderName | httparse::Error::HeaderValue => Error::FieldLine,
        httparse::Error::NewLine => Error::LineEnd,
        httparse::Error::TooManyHeaders => Error::TooManyFields { max: limits.fields_max.min(FIELDS_MAX) },
        httparse::Error::Status | httparse::Error::Token => start_line,
        httparse::Error::Version => Error::Version,
    }
}
