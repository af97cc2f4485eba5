//! CBOR (RFC 8949) as signed tokens use it: definite lengths, and no more depth than they need.

use super::Refusal;

/// A value.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value<'a> {
    /// An integer.
    Int(i64),
    /// A string of bytes.
    Bytes(&'a [u8]),
    /// A text.
    Text(&'a str),
    /// A list.
    Array(Vec<Self>),
    /// Pairs in the order in which they were sent.
    Map(Vec<(Self, Self)>),
    /// A tag and its value.
    Tag(u64, Box<Self>),
    /// A boolean, null, or a number that is no integer: their values do not matter here.
    Other,
}

/// Decodes one value that fills `bytes`.
pub(super) fn decode(bytes: &[u8]) -> Result<Value<'_>, Refusal> {
    let mut rest = bytes;
    let value = value(&mut rest, DEPTH_MAX)?;
    if rest.is_empty() { Ok(value) } else { Err(Refusal::Malformed) }
}

impl<'a> Value<'a> {
    /// The value inside all tags.
    pub(super) fn untagged(self) -> Self {
        match self {
            Self::Tag(_, inner) => inner.untagged(),
            value => value,
        }
    }

    pub(super) fn as_bytes(&self) -> Option<&'a [u8]> {
        match self {
            Self::Bytes(bytes) => Some(bytes),
            _ => None,
        }
    }

    pub(super) fn as_text(&self) -> Option<&'a str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The value of a key of a map.
    pub(super) fn get(&self, key: i64) -> Option<&Self> {
        let Self::Map(pairs) = self else { return None };
        pairs.iter().find(|(name, _)| *name == Value::Int(key)).map(|(_, value)| value)
    }
}

fn value<'a>(rest: &mut &'a [u8], depth: usize) -> Result<Value<'a>, Refusal> {
    let depth = depth.checked_sub(1).ok_or(Refusal::Malformed)?;
    let (major, argument) = head(rest)?;
    let length = || usize::try_from(argument).map_err(|_error| Refusal::Malformed);
    Ok(match major {
        0 => Value::Int(i64::try_from(argument).map_err(|_error| Refusal::Malformed)?),
        1 => Value::Int(-1 - i64::try_from(argument).map_err(|_error| Refusal::Malformed)?),
        2 => Value::Bytes(take(rest, length()?)?),
        3 => Value::Text(std::str::from_utf8(take(rest, length()?)?).map_err(|_error| Refusal::Malformed)?),
        4 => {
            // Each element has at least one byte.
            let length = length()?.min(rest.len() + 1);
            Value::Array((0..length).map(|_| value(rest, depth)).collect::<Result<_, _>>()?)
        }
        5 => {
            let length = length()?.min(rest.len() + 1);
            let pair = |_| Ok::<_, Refusal>((value(rest, depth)?, value(rest, depth)?));
            let pairs: Vec<_> = (0..length).map(pair).collect::<Result<_, _>>()?;
            if pairs
                .iter()
                .enumerate()
                .any(|(at, (key, _))| pairs.iter().take(at).any(|(other, _)| other == key))
            {
                return Err(Refusal::Malformed);
            }
            Value::Map(pairs)
        }
        6 => Value::Tag(argument, Box::new(value(rest, depth)?)),
        _ => Value::Other,
    })
}

/// The major type and the argument of the next value.
fn head(rest: &mut &[u8]) -> Result<(u8, u64), Refusal> {
    let first = take(rest, 1)?.first().copied().unwrap_or_default();
    let (major, short) = (first >> 5, first & 0x1F);
    let more = match short {
        0..=23 => return Ok((major, u64::from(short))),
        24 => 1,
        25 => 2,
        26 => 4,
        27 => 8,
        // Indefinite lengths and reserved values.
        _ => return Err(Refusal::Malformed),
    };
    let argument = take(rest, more)?.iter().fold(0, |argument, byte| argument << 8 | u64::from(*byte));
    Ok((major, argument))
}

fn take<'a>(rest: &mut &'a [u8], length: usize) -> Result<&'a [u8], Refusal> {
    let (taken, after) = rest.split_at_checked(length).ok_or(Refusal::Malformed)?;
    *rest = after;
    Ok(taken)
}

/// Encodes the head of a text or of a string of bytes, in its shortest form.
pub(super) fn write_head(out: &mut Vec<u8>, major: u8, length: u16) {
    let major = major << 5;
    match u8::try_from(length) {
        Ok(length) if length < 24 => out.push(major | length),
        Ok(length) => out.extend([major | 0x18, length]),
        Err(_) => {
            out.push(major | 0x19);
            out.extend(length.to_be_bytes());
        }
    }
}

const DEPTH_MAX: usize = 12;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn values_are_decoded_and_broken_ones_are_refused() {
        for (bytes, decoded) in [
            (&[0x18, 0x64][..], Value::Int(100)),
            (&[0x26], Value::Int(-7)),
            (&[0x42, 1, 2], Value::Bytes(&[1, 2])),
            (&[0x62, b'a', b'b'], Value::Text("ab")),
            (&[0x82, 1, 0x80], Value::Array(vec![Value::Int(1), Value::Array(vec![])])),
            (&[0xA1, 4, 0x41, 9], Value::Map(vec![(Value::Int(4), Value::Bytes(&[9]))])),
            (&[0xD8, 0x3D, 1], Value::Tag(61, Box::new(Value::Int(1)))),
            (&[0xF6], Value::Other),
        ] {
            assert_eq!(decode(bytes), Ok(decoded), "{bytes:?}");
        }
        let deep = [0x81; 40];
        for bytes in [
            &[][..],
            &[0x42, 1],
            &[0x5F, 0xFF],
            &[0x62, 0xFF, 0xFF],
            &[1, 1],
            &[0xA2, 1, 1, 1, 2],
            &deep,
            &[0x9B, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF],
            &[0x1B, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF],
        ] {
            assert_eq!(decode(bytes), Err(Refusal::Malformed), "{bytes:?}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_decode_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _decoded = decode(&bytes);
        }
    }
}
