//! Moves an MPEG transport stream in time: PCR, PTS, DTS (ISO/IEC 13818-1) and continuity counters.

use std::collections::HashMap;

/// Moves `segment` by `loops` times `loop_seconds`. `whole` is the loop that it belongs to: a continuity
/// counter advances across the end of the loop by as many packets as the loop has.
pub(super) fn shift(segment: &mut [u8], whole: &[&'static [u8]], loops: u64, loop_seconds: u64) {
    if loops == 0 {
        return;
    }
    let ticks = loops.wrapping_mul(loop_seconds * TICKS_PER_SECOND) & STAMP_MASK;
    let packets = payload_packets(whole);
    for packet in segment.chunks_exact_mut(PACKET) {
        let Some((header, rest)) = packet.split_first_chunk_mut::<4>() else { continue };
        let turns = packets.get(&pid(*header)).copied().unwrap_or(0).wrapping_mul(loops);
        header[3] = (header[3] & 0xf0) | low_nibble(u64::from(header[3]).wrapping_add(turns));
        if let Some(payload) = shift_pcr(*header, rest, ticks) {
            // payload_unit_start_indicator: a PES packet or a table begins here.
            if header[1] & 0x40 != 0 {
                shift_pes(payload, ticks);
            }
        }
    }
}

const PACKET: usize = 188;
const TICKS_PER_SECOND: u64 = 90_000;
/// Timestamps have 33 bits and wrap.
const STAMP_MASK: u64 = (1 << 33) - 1;

/// The number of packets with a payload for each PID: only these advance the continuity counter (ISO/IEC
/// 13818-1 section 2.4.3.3).
fn payload_packets(whole: &[&'static [u8]]) -> HashMap<u16, u64> {
    let mut packets = HashMap::new();
    for packet in whole.iter().flat_map(|segment| segment.chunks_exact(PACKET)) {
        if let Some((header, _)) = packet.split_first_chunk::<4>()
            && header[3] & 0x10 != 0
        {
            *packets.entry(pid(*header)).or_default() += 1;
        }
    }
    packets
}

fn pid(header: [u8; 4]) -> u16 {
    u16::from_be_bytes([header[1] & 0x1f, header[2]])
}

fn low_nibble(number: u64) -> u8 {
    u8::try_from(number & 0x0f).unwrap_or(0)
}

/// Moves the PCR of the adaptation field (section 2.4.3.5), if there is one, and returns the payload.
fn shift_pcr(header: [u8; 4], rest: &mut [u8], ticks: u64) -> Option<&mut [u8]> {
    let has_payload = header[3] & 0x10 != 0;
    if header[3] & 0x20 == 0 {
        return has_payload.then_some(rest);
    }
    let (length, rest) = rest.split_first_mut()?;
    let (field, payload) = rest.split_at_mut_checked(usize::from(*length))?;
    if let Some((flags, pcr)) = field.split_first_mut()
        && *flags & 0x10 != 0
        && let Some(pcr) = pcr.first_chunk_mut::<6>()
    {
        move_pcr(pcr, ticks);
    }
    has_payload.then_some(payload)
}

/// 33 bits of base (90 kHz), 6 reserved, 9 of extension, which whole ticks do not change.
fn move_pcr(pcr: &mut [u8; 6], ticks: u64) {
    let all = pcr.iter().fold(0, |all, byte| all << 8 | u64::from(*byte));
    let base = (all >> 15).wrapping_add(ticks) & STAMP_MASK;
    let [_, _, moved @ ..] = ((base << 15) | (all & 0x7fff)).to_be_bytes();
    *pcr = moved;
}

/// Moves PTS and DTS in a PES header (section 2.4.3.6). Tables begin differently and stay unchanged.
fn shift_pes(payload: &mut [u8], ticks: u64) {
    let Some((start, stamps)) = payload.split_first_chunk_mut::<9>() else { return };
    let [0, 0, 1, stream, _, _, _, flags, _] = *start else { return };
    let audio_or_video = (0xc0..=0xef).contains(&stream);
    if !audio_or_video {
        return;
    }
    let count = match flags >> 6 {
        0b10 => 1,
        0b11 => 2,
        _ => 0,
    };
    for stamp in stamps.chunks_exact_mut(5).take(count) {
        if let Some(stamp) = stamp.first_chunk_mut::<5>() {
            move_stamp(stamp, ticks);
        }
    }
}

/// `pppp ttt1 tttttttt ttttttt1 tttttttt ttttttt1`: a prefix, 33 bits of time, and marker bits.
fn move_stamp(stamp: &mut [u8; 5], ticks: u64) {
    let all = stamp.iter().fold(0, |all, byte| all << 8 | u64::from(*byte));
    let time = (all >> 33 & 0x7) << 30 | (all >> 17 & 0x7fff) << 15 | (all >> 1 & 0x7fff);
    let moved = time.wrapping_add(ticks) & STAMP_MASK;
    let spread = (moved >> 30) << 33 | (moved >> 15 & 0x7fff) << 17 | (moved & 0x7fff) << 1;
    let [_, _, _, bytes @ ..] = (all & STAMP_MARKS | spread).to_be_bytes();
    *stamp = bytes;
}

/// The prefix and the three marker bits.
const STAMP_MARKS: u64 = 0xf1_0001_0001;

#[cfg(test)]
mod tests {
    use super::*;

    /// Five bytes of a PTS alone, with the prefix 0010.
    fn stamp(ticks: u64) -> [u8; 5] {
        let mut stamp = [0x21, 0, 1, 0, 1];
        move_stamp(&mut stamp, ticks);
        stamp
    }

    #[test]
    fn a_stamp_keeps_its_prefix_and_marker_bits() {
        // 126000 is the first PTS that ffmpeg writes: 0x1ec30.
        assert_eq!(stamp(126_000), [0x21, 0x00, 0x07, 0xd8, 0x61]);
    }

    #[test]
    fn stamps_wrap_at_33_bits() {
        let mut wrapped = stamp(STAMP_MASK);
        move_stamp(&mut wrapped, 1);
        assert_eq!(wrapped, stamp(0));
    }

    #[test]
    fn a_pcr_moves_its_base_and_keeps_its_extension() {
        let mut pcr = [0, 0, 0, 0, 0x7e, 0x07];
        move_pcr(&mut pcr, 90_000);
        assert_eq!(pcr, [0, 0, 0xaf, 0xc8, 0x7e, 0x07]);
    }

    #[test]
    fn pictures_are_equally_spaced_across_the_end_of_the_loop_and_across_the_wrap() {
        use crate::media::Packing;
        let rendition = Packing::Ts.rendition("240p").unwrap();
        // 2^33 ticks are 11930.46 loops of 8 s.
        for first in [0, 4 * 11_929] {
            let mut last: Option<u64> = None;
            for segment in (first..first + 12).map(|number| rendition.segment(number)) {
                for packet in segment.chunks_exact(PACKET) {
                    let Some(stamp) = picture_stamp(packet) else { continue };
                    if let Some(before) = last.replace(stamp) {
                        assert_eq!(stamp.wrapping_sub(before) & STAMP_MASK, TICKS_PER_SECOND / 25);
                    }
                }
            }
            assert!(last.is_some(), "there were pictures");
        }
    }

    /// The PTS of a packet in which a picture begins.
    fn picture_stamp(packet: &[u8]) -> Option<u64> {
        let at = packet.windows(4).position(|window| window == [0, 0, 1, 0xe0])?;
        let stamp = packet.get(at + 9..at + 14)?;
        let all = stamp.iter().fold(0, |all, byte| all << 8 | u64::from(*byte));
        Some((all >> 33 & 0x7) << 30 | (all >> 17 & 0x7fff) << 15 | (all >> 1 & 0x7fff))
    }

    #[test]
    fn continuity_counters_continue_across_the_end_of_the_loop() {
        use crate::media::Packing;
        for rendition in Packing::Ts.renditions() {
            let mut last: HashMap<u16, u8> = HashMap::new();
            for segment in (0..12).map(|number| rendition.segment(number)) {
                for packet in segment.chunks_exact(PACKET) {
                    let header = *packet.first_chunk::<4>().unwrap();
                    assert_ne!(header[3] & 0x10, 0, "ffmpeg writes no packet without payload");
                    let counter = header[3] & 0x0f;
                    if let Some(before) = last.insert(pid(header), counter) {
                        assert_eq!(counter, (before + 1) & 0x0f, "PID {}", pid(header));
                    }
                }
            }
        }
    }
}
