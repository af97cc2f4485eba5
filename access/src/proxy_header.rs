//! The header of the PROXY protocol, versions 1 and 2, by which a load balancer reports the address of the
//! client before the first byte of the connection (haproxy.org, "The PROXY protocol").

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::address::ClientAddress;

/// A header that has arrived whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Its length in bytes.
    pub len: usize,
    /// The client, if the header names one. If not, the load balancer itself is the client: of a health check
    /// (`LOCAL`), or of a protocol without addresses (`UNKNOWN`, `UNSPEC`).
    pub client: Option<ClientAddress>,
}

/// Why bytes are no header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HeaderError {
    /// They begin with neither signature.
    #[error("no PROXY header")]
    Missing,
    /// A line of version 1 is longer than 107 bytes, or a header of version 2 is longer than
    /// [`LEN_MAX`].
    #[error("the PROXY header is too long")]
    TooLong,
    /// A line of version 1 is not as specified.
    #[error("the PROXY line is malformed")]
    Line,
    /// The version is not 2, or the command is unknown.
    #[error("the version or the command of the PROXY header is unknown")]
    Command,
    /// The address family or the transport is unknown, or the addresses are cut short.
    #[error("the addresses of the PROXY header are malformed")]
    Addresses,
    /// A TLV exceeds the header.
    #[error("a TLV of the PROXY header is malformed")]
    Tlv,
    /// The checksum is wrong.
    #[error("the checksum of the PROXY header is wrong")]
    Checksum,
}

/// The longest header that is read, in bytes. Real ones have at most a few hundred.
pub const LEN_MAX: usize = 4096;

/// Reads the header at the start of a connection; `None` if more bytes are needed.
///
/// # Errors
/// When the bytes are not, and cannot become, a valid header.
pub fn parse(bytes: &[u8]) -> Result<Option<Header>, HeaderError> {
    let begins = |signature: &[u8]| bytes.iter().zip(signature).all(|(byte, expected)| byte == expected);
    if begins(SIGNATURE) {
        if bytes.len() < V2_START { Ok(None) } else { v2(bytes) }
    } else if begins(V1_START) {
        v1(bytes)
    } else {
        Err(HeaderError::Missing)
    }
}

/// Version 1: one line of text.
fn v1(bytes: &[u8]) -> Result<Option<Header>, HeaderError> {
    let searched = bytes.get(..V1_MAX).unwrap_or(bytes);
    let Some(end) = searched.windows(2).position(|two| two == b"\r\n") else {
        let is_cut =
            bytes.len() < V1_MAX && !searched.strip_suffix(b"\r").unwrap_or(searched).contains(&b'\r');
        return if is_cut && !searched.contains(&b'\n') {
            Ok(None)
        } else if bytes.len() < V1_MAX {
            Err(HeaderError::Line)
        } else {
            Err(HeaderError::TooLong)
        };
    };
    let line = bytes.get(V1_START.len()..end).and_then(|line| std::str::from_utf8(line).ok());
    let line = line.filter(|line| !line.contains(['\r', '\n'])).ok_or(HeaderError::Line)?;
    let client = match line.split_once(' ').unwrap_or((line, "")) {
        // The receiver ignores the rest of the line.
        ("UNKNOWN", _) => None,
        (family, rest) => Some(v1_client(family, rest).ok_or(HeaderError::Line)?),
    };
    Ok(Some(Header { len: end + 2, client }))
}

/// The client of a line of version 1; `None` if the words behind the family are malformed.
fn v1_client(family: &str, rest: &str) -> Option<ClientAddress> {
    let mut words = rest.split(' ');
    let mut address = || -> Option<IpAddr> {
        let word = words.next()?;
        match family {
            "TCP4" => word.parse::<Ipv4Addr>().ok().map(IpAddr::from),
            "TCP6" => word.parse::<Ipv6Addr>().ok().map(IpAddr::from),
            _ => None,
        }
    };
    let (source, _destination) = (address()?, address()?);
    let mut port = || {
        let word = words.next()?;
        word.parse::<u16>().ok().filter(|_| word.bytes().all(|byte| byte.is_ascii_digit()))
    };
    let (_source_port, _destination_port) = (port()?, port()?);
    words.next().is_none().then(|| source.into())
}

/// Version 2: a binary header. `bytes` has its fixed part at least.
fn v2(bytes: &[u8]) -> Result<Option<Header>, HeaderError> {
    let byte = |index: usize| bytes.get(index).copied().unwrap_or_default();
    let is_local = match byte(12) {
        0x20 => true,
        0x21 => false,
        _ => return Err(HeaderError::Command),
    };
    let len = V2_START + usize::from(u16::from_be_bytes([byte(14), byte(15)]));
    if len > LEN_MAX {
        return Err(HeaderError::TooLong);
    }
    let Some(header) = bytes.get(..len) else { return Ok(None) };
    let rest = header.get(V2_START..).unwrap_or_default();
    // The transport does not matter: the connection is one of TCP already.
    let (family, transport) = (byte(13) >> 4, byte(13) & 0x0f);
    let addresses_len = match (family, transport) {
        _ if is_local => return Ok(Some(Header { len, client: None })),
        (0, _) => 0,
        (1, 1 | 2) => 12,
        (2, 1 | 2) => 36,
        (3, 1 | 2) => 216,
        _ => return Err(HeaderError::Addresses),
    };
    let (addresses, tlvs) = rest.split_at_checked(addresses_len).ok_or(HeaderError::Addresses)?;
    check_tlvs(header, tlvs)?;
    let client = match family {
        1 => addresses.first_chunk::<4>().map(|source| IpAddr::from(*source)),
        2 => addresses.first_chunk::<16>().map(|source| IpAddr::from(*source)),
        _ => None,
    };
    Ok(Some(Header { len, client: client.map(ClientAddress::from) }))
}

/// Checks the frames of the TLVs, and the checksum if one of them has it. The others are not used.
fn check_tlvs(header: &[u8], mut tlvs: &[u8]) -> Result<(), HeaderError> {
    while let [kind, high, low, rest @ ..] = tlvs {
        let len = usize::from(u16::from_be_bytes([*high, *low]));
        let (value, behind) = rest.split_at_checked(len).ok_or(HeaderError::Tlv)?;
        if *kind == CRC32C {
            let expected = value.first_chunk::<4>().filter(|_| len == 4).ok_or(HeaderError::Tlv)?;
            let at = header.len() - behind.len() - len;
            if checksum(header, at) != u32::from_be_bytes(*expected) {
                return Err(HeaderError::Checksum);
            }
        }
        tlvs = behind;
    }
    if tlvs.is_empty() { Ok(()) } else { Err(HeaderError::Tlv) }
}

/// The CRC-32C (RFC 4960 appendix B) of a header whose checksum, four bytes at `at`, counts as zeros.
fn checksum(header: &[u8], at: usize) -> u32 {
    let bytes = header.iter().enumerate();
    let bytes = bytes.map(|(index, byte)| if (at..at + 4).contains(&index) { 0 } else { *byte });
    !bytes.fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| {
            (crc >> 1) ^ if crc & 1 == 1 { CRC32C_POLYNOMIAL } else { 0 }
        })
    })
}

/// The first bytes of version 1.
const V1_START: &[u8] = b"PROXY ";
/// The longest line of version 1, with its end.
const V1_MAX: usize = 107;
/// The first bytes of version 2.
const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
/// The length of the fixed part of version 2.
const V2_START: usize = 16;
/// The type of the TLV that has a checksum (`PP2_TYPE_CRC32C`).
const CRC32C: u8 = 3;
/// The reversed polynomial of CRC-32C.
const CRC32C_POLYNOMIAL: u32 = 0x82f6_3b78;

#[cfg(test)]
mod tests {
    use super::*;

    fn client(address: &str) -> ClientAddress {
        address.parse::<IpAddr>().unwrap().into()
    }

    /// A header of version 2.
    fn binary(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let len = u16::try_from(rest.len()).unwrap().to_be_bytes();
        [SIGNATURE, &[command, family], &len, rest].concat()
    }

    const V4: [u8; 12] = [192, 0, 2, 1, 198, 51, 100, 1, 0x12, 0x34, 0, 80];

    #[test]
    fn a_line_of_version_1_names_the_client() {
        let longest = format!("PROXY TCP6 {0} {0} 65535 65535\r\n", ["ffff"; 8].join(":"));
        assert_eq!(longest.len(), 104);
        for (line, expected) in [
            ("PROXY TCP4 192.0.2.1 198.51.100.1 4711 443\r\n", Some(client("192.0.2.1"))),
            ("PROXY TCP6 2001:db8::1 2001:db8::2 4711 443\r\n", Some(client("2001:db8::1"))),
            (&longest, Some(client("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"))),
            ("PROXY UNKNOWN\r\n", None),
            ("PROXY UNKNOWN whatever 1 2 3\r\n", None),
        ] {
            let header = Header { len: line.len(), client: expected };
            let sent = format!("{line}GET / HTTP/1.1\r\n");
            assert_eq!(parse(sent.as_bytes()), Ok(Some(header)), "{line}");
            for len in 0..line.len() {
                assert_eq!(parse(&line.as_bytes()[..len]), Ok(None), "{line} {len}");
            }
        }
    }

    #[test]
    fn a_malformed_line_is_refused() {
        for line in [
            "PROXY TCP4 192.0.2.1 198.51.100.1 4711\r\n",
            "PROXY TCP4 192.0.2.1 198.51.100.1 4711 443 \r\n",
            "PROXY TCP4  192.0.2.1 198.51.100.1 4711 443\r\n",
            "PROXY TCP4 192.0.2.1 198.51.100.1 4711 70000\r\n",
            "PROXY TCP4 192.0.2.1 198.51.100.1 +4711 443\r\n",
            "PROXY TCP4 2001:db8::1 2001:db8::2 4711 443\r\n",
            "PROXY TCP6 192.0.2.1 198.51.100.1 4711 443\r\n",
            "PROXY UDP4 192.0.2.1 198.51.100.1 4711 443\r\n",
            "PROXY \r\n",
            "PROXY TCP4 192.0.2.1 198.51.100.1 4711 443\n",
            "PROXY \rTCP4",
            "PROXY UNKNOWN a\rb\r\n",
            "PROXY \u{e9}\r\n\r\n",
        ] {
            assert_eq!(parse(line.as_bytes()), Err(HeaderError::Line), "{line:?}");
        }
        let long = format!("PROXY UNKNOWN {}\r\n", "a".repeat(100));
        assert_eq!(parse(long.as_bytes()), Err(HeaderError::TooLong));
        for other in [&b"GET / HTTP/1.1"[..], b"PROXy", b"\r\n\r\n\0\r\nQUIX", b"\x16\x03\x01"] {
            assert_eq!(parse(other), Err(HeaderError::Missing));
        }
    }

    #[test]
    fn a_binary_header_names_the_client() {
        let v6: Vec<u8> = [&[0x20, 1, 0xd, 0xb8], &[0; 31][..], &[1]].concat();
        let mut mapped = [0; 36];
        mapped[10..16].copy_from_slice(&[0xff, 0xff, 192, 0, 2, 1]);
        let tlv = [&V4[..], &[2, 0, 1, b'a'], &[4, 0, 0]].concat();
        for (header, expected) in [
            (binary(0x21, 0x11, &V4), Some(client("192.0.2.1"))),
            (binary(0x21, 0x12, &V4), Some(client("192.0.2.1"))),
            (binary(0x21, 0x21, &v6), Some(client("2001:db8::"))),
            (binary(0x21, 0x21, &mapped), Some(client("192.0.2.1"))),
            (binary(0x21, 0x31, &[0; 216]), None),
            (binary(0x21, 0x00, &[]), None),
            (binary(0x20, 0x00, &[]), None),
            (binary(0x20, 0xff, &[1, 2, 3]), None),
            (binary(0x21, 0x11, &tlv), Some(client("192.0.2.1"))),
        ] {
            let sent = [&header[..], b"\x16\x03\x01"].concat();
            assert_eq!(parse(&sent), Ok(Some(Header { len: header.len(), client: expected })));
            for len in 0..header.len() {
                assert_eq!(parse(&header[..len]), Ok(None), "{len}");
            }
        }
    }

    #[test]
    fn a_malformed_binary_header_is_refused() {
        let tlv = |rest: &[u8]| [&V4[..], rest].concat();
        for (header, error) in [
            (binary(0x11, 0x11, &V4), HeaderError::Command),
            (binary(0x22, 0x11, &V4), HeaderError::Command),
            (binary(0x21, 0x13, &V4), HeaderError::Addresses),
            (binary(0x21, 0x41, &V4), HeaderError::Addresses),
            (binary(0x21, 0x11, &V4[..11]), HeaderError::Addresses),
            (binary(0x21, 0x21, &V4), HeaderError::Addresses),
            (binary(0x21, 0x11, &tlv(&[4, 0])), HeaderError::Tlv),
            (binary(0x21, 0x11, &tlv(&[4, 0, 2, 0])), HeaderError::Tlv),
            (binary(0x21, 0x11, &tlv(&[3, 0, 3, 0, 0, 0])), HeaderError::Tlv),
            (binary(0x21, 0x11, &tlv(&[3, 0, 4, 0, 0, 0, 0])), HeaderError::Checksum),
            (binary(0x20, 0x00, &vec![0; LEN_MAX]), HeaderError::TooLong),
        ] {
            assert_eq!(parse(&header), Err(error));
        }
    }

    #[test]
    fn the_checksum_is_crc_32c() {
        // The check value of the algorithm; the range that counts as zeros is behind the text.
        assert_eq!(checksum(b"123456789", 9), 0xe306_9283);
        let mut header = binary(0x21, 0x11, &[&V4[..], &[3, 0, 4, 0, 0, 0, 0], &[4, 0, 1, 0]].concat());
        let at = V2_START + V4.len() + 3;
        let sum = checksum(&header, at).to_be_bytes();
        header[at..at + 4].copy_from_slice(&sum);
        assert!(parse(&header).unwrap().is_some());
        header[16] ^= 1;
        assert_eq!(parse(&header), Err(HeaderError::Checksum));
    }
}
