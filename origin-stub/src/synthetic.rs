//! Objects of any size whose every byte is known: a pure function of path, variant and position.
//!
//! The function: an object is a series of blocks of 1 KiB. Block `i` begins with two little-endian 64-bit
//! numbers, the seed and `i`; the other 1008 bytes are a slice of a fixed table of noise, beginning at
//! `mix(seed + i) % 64 KiB`. The seed is `mix(fnv1a(path) + variant)`, the noise `mix(0), mix(1), ...` as
//! little-endian numbers, and `mix` is the finishing step of `SplitMix64`. So no two blocks are alike, no two
//! paths are alike, and bytes are copied rather than computed, which keeps gigabytes cheap.

use std::ops::Range;
use std::sync::LazyLock;

use bytes::{Bytes, BytesMut};

/// The bytes that the stub sends as `range` of `/bytes/{size}...`: `path` is the request's path without its
/// query. `range` must be within the object's size.
///
/// ```
/// let whole = tidegate_origin_stub::synthetic_bytes("/bytes/3000", 0..3000);
/// let part = tidegate_origin_stub::synthetic_bytes("/bytes/3000", 1000..2000);
/// assert_eq!(part, whole.slice(1000..2000));
/// ```
pub fn synthetic_bytes(path: &str, range: Range<u64>) -> Bytes {
    synthetic_variant(path, 0, range)
}

/// The same while a fault with `variant` is in force: a different object at the same path.
pub fn synthetic_variant(path: &str, variant: u64, range: Range<u64>) -> Bytes {
    let seed = mix(fingerprint(path.as_bytes()).wrapping_add(variant));
    let Range { start: mut at, end } = range;
    let mut bytes = BytesMut::with_capacity(usize::try_from(end.saturating_sub(at)).unwrap_or(0));
    while at < end {
        let block = at / BLOCK;
        let from = at % BLOCK;
        let until = (end - block * BLOCK).min(BLOCK);
        append(&mut bytes, seed, block, from..until);
        at = block * BLOCK + until;
    }
    bytes.freeze()
}

/// A 64-bit FNV-1a hash: the same in every build, which an `ETag` needs.
pub(crate) fn fingerprint(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

/// The finishing step of `SplitMix64`: every bit of the input moves half of the bits of the output.
pub(crate) fn mix(number: u64) -> u64 {
    let number = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

const BLOCK: u64 = 1024;
const LABEL: usize = 16;
const NOISE_STARTS: u64 = 64 * 1024;

static NOISE: LazyLock<Vec<u8>> =
    LazyLock::new(|| (0..(NOISE_STARTS + BLOCK) / 8).flat_map(|word| mix(word).to_le_bytes()).collect());

/// Appends a slice of one block.
fn append(bytes: &mut BytesMut, seed: u64, block: u64, slice: Range<u64>) {
    let (Ok(from), Ok(until)) = (usize::try_from(slice.start), usize::try_from(slice.end)) else { return };
    let mut label = [0; LABEL];
    let (first, second) = label.split_at_mut(8);
    first.copy_from_slice(&seed.to_le_bytes());
    second.copy_from_slice(&block.to_le_bytes());
    if let Some(part) = label.get(from.min(LABEL)..until.min(LABEL)) {
        bytes.extend_from_slice(part);
    }
    let start = usize::try_from(mix(seed.wrapping_add(block)) % NOISE_STARTS).unwrap_or(0);
    let noise = (start + from.max(LABEL) - LABEL)..(start + until.max(LABEL) - LABEL);
    if let Some(part) = NOISE.get(noise) {
        bytes.extend_from_slice(part);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_range_is_a_slice_of_the_whole() {
        let whole = synthetic_bytes("/bytes/5000", 0..5000);
        assert_eq!(whole.len(), 5000);
        for (start, end) in
            [(0, 1), (15, 17), (0, 16), (1023, 1025), (1024, 1040), (1030, 4999), (5000, 5000)]
        {
            let part = synthetic_bytes("/bytes/5000", start..end);
            assert_eq!(part, whole[usize::try_from(start).unwrap()..usize::try_from(end).unwrap()]);
        }
    }

    #[test]
    fn paths_and_variants_differ_in_every_block() {
        let one = synthetic_bytes("/bytes/5000", 0..5000);
        let other = synthetic_bytes("/bytes/5000/b", 0..5000);
        let variant = synthetic_variant("/bytes/5000", 1, 0..5000);
        for at in (0..5000).step_by(1024) {
            assert_ne!(one[at..at + 200], other[at..at + 200]);
            assert_ne!(one[at..at + 200], variant[at..at + 200]);
        }
    }

    #[test]
    fn the_function_is_as_documented() {
        let seed = mix(fingerprint(b"/bytes/2048"));
        let block = synthetic_bytes("/bytes/2048", 1024..2048);
        assert_eq!(block[..8], seed.to_le_bytes());
        assert_eq!(block[8..16], 1u64.to_le_bytes());
        let start = usize::try_from(mix(seed.wrapping_add(1)) % 65_536).unwrap();
        assert_eq!(block[16..], NOISE[start..start + 1008]);
    }
}
