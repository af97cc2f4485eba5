//! CBOR (RFC 8949) as signed tokens use it: one value, of bounded depth, with each key of a map once.

use ciborium::Value;
use ciborium::de::from_reader_with_recursion_limit;

use super::Refusal;

/// Decodes one value that fills `bytes`.
pub(super) fn decode(mut bytes: &[u8]) -> Result<Value, Refusal> {
    let value: Value =
        from_reader_with_recursion_limit(&mut bytes, DEPTH_MAX).map_err(|_error| Refusal::Malformed)?;
    if bytes.is_empty() && has_each_key_once(&value) { Ok(value) } else { Err(Refusal::Malformed) }
}

/// The value inside all tags.
pub(super) fn untagged(value: &Value) -> &Value {
    match value {
        Value::Tag(_, inner) => untagged(inner),
        value => value,
    }
}

/// An integer, if the value is one of 64 bits.
pub(super) fn int(value: &Value) -> Option<i64> {
    value.as_integer().and_then(|number| number.try_into().ok())
}

/// The value of an integer key of a map.
pub(super) fn get(map: &Value, key: i64) -> Option<&Value> {
    map.as_map()?.iter().find(|(name, _)| int(name) == Some(key)).map(|(_, value)| value)
}

/// Whether the maps in `value` are short and repeat no key. The decoder keeps repeated keys, and two readers
/// of a token could disagree on which of them counts.
fn has_each_key_once(value: &Value) -> bool {
    match value {
        Value::Array(values) => values.iter().all(has_each_key_once),
        Value::Map(pairs) => {
            let is_repeated = |(at, (key, _)): (usize, &(Value, Value))| {
                pairs.iter().take(at).any(|(earlier, _)| earlier == key)
            };
            pairs.len() <= PAIRS_MAX
                && !pairs.iter().enumerate().any(is_repeated)
                && pairs.iter().all(|(key, value)| has_each_key_once(key) && has_each_key_once(value))
        }
        Value::Tag(_, inner) => has_each_key_once(inner),
        _ => true,
    }
}

/// Lists, maps and tags inside each other. A token needs six.
const DEPTH_MAX: usize = 12;
/// Keys of a map. Each is compared with all others before the signature is checked.
const PAIRS_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn values_are_decoded_and_broken_ones_are_refused() {
        for (bytes, decoded) in [
            (&[0x18, 0x64][..], Value::from(100)),
            (&[0x26], Value::from(-7)),
            (&[0x42, 1, 2], Value::Bytes(vec![1, 2])),
            (&[0x62, b'a', b'b'], Value::from("ab")),
            (&[0x82, 1, 0x80], Value::Array(vec![Value::from(1), Value::Array(vec![])])),
            (&[0xA1, 4, 0x41, 9], Value::Map(vec![(Value::from(4), Value::Bytes(vec![9]))])),
            (&[0xD8, 0x3D, 1], Value::Tag(61, Box::new(Value::from(1)))),
            (&[0xF6], Value::Null),
            // An indefinite length.
            (&[0x9F, 1, 0xFF], Value::Array(vec![Value::from(1)])),
        ] {
            assert_eq!(decode(bytes), Ok(decoded), "{bytes:?}");
        }
        let deep = [0x81; 40];
        let deep_tags = [0xC1; 40];
        let many_keys =
            [&[0xB8, 65][..], &(0..65).flat_map(|key| [0x18, key, 0]).collect::<Vec<u8>>()].concat();
        for bytes in [
            &[][..],
            &[0x42, 1],
            &[0x5F],
            &[0x9F],
            &[0x5F, 0x61, b'a', 0xFF],
            &[0xFF],
            &[0x62, 0xFF, 0xFF],
            &[1, 1],
            &[0xA2, 1, 1, 1, 2],
            // The same key in a longer form, as a big number, and deeper.
            &[0xA2, 1, 1, 0x18, 1, 2],
            &[0xA2, 1, 1, 0xC2, 0x41, 1, 2],
            &[0x81, 0xC1, 0xA1, 1, 0xA2, 1, 1, 1, 2],
            &deep,
            &deep_tags,
            &many_keys,
            &[0x9B, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF],
            &[0x5B, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF],
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
