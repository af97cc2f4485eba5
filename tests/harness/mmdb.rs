//! A small `MaxMind` database of countries: a binary tree of networks, its data and its metadata (`MaxMind`
//! DB file format 2.0).

use std::net::Ipv4Addr;

/// A child of a node of the tree.
#[derive(Debug, Clone, Copy)]
enum Record {
    Empty,
    Node(usize),
    /// The index of a network.
    Data(usize),
}

/// The file that says in which country each of these IPv4 networks is, by address, length of the prefix and
/// code.
pub fn countries(networks: &[([u8; 4], u32, &str)]) -> Vec<u8> {
    let mut nodes = vec![[Record::Empty; 2]];
    for (index, (address, prefix, _)) in networks.iter().enumerate() {
        let bits = Ipv4Addr::from(*address).to_bits();
        let mut at = 0;
        for depth in 0..*prefix {
            let side = usize::from(bits >> (31 - depth) & 1 == 1);
            if depth + 1 == *prefix {
                nodes[at][side] = Record::Data(index);
            } else if let Record::Node(next) = nodes[at][side] {
                at = next;
            } else {
                nodes.push([Record::Empty; 2]);
                nodes[at][side] = Record::Node(nodes.len() - 1);
                at = nodes.len() - 1;
            }
        }
    }
    let (mut data, mut offsets) = (Vec::new(), Vec::new());
    for (_, _, code) in networks {
        offsets.push(data.len());
        data.extend(map(&[("country", map(&[("iso_code", text(code))]))]));
    }
    let mut file = Vec::new();
    for record in nodes.iter().flatten() {
        let value = match record {
            Record::Empty => nodes.len(),
            Record::Node(index) => *index,
            Record::Data(index) => nodes.len() + SEPARATOR + offsets[*index],
        };
        file.extend_from_slice(&u32::try_from(value).expect("a small tree").to_be_bytes()[1..]);
    }
    file.extend_from_slice(&[0; SEPARATOR]);
    file.extend(data);
    file.extend_from_slice(b"\xab\xcd\xefMaxMind.com");
    file.extend(metadata(nodes.len()));
    file
}

fn metadata(nodes: usize) -> Vec<u8> {
    map(&[
        ("node_count", number(UINT32, nodes)),
        ("record_size", number(UINT16, 24)),
        ("ip_version", number(UINT16, 4)),
        ("database_type", text("Test-Country")),
        // An array without entries, which has an extended type.
        ("languages", vec![0, 4]),
        ("binary_format_major_version", number(UINT16, 2)),
        ("binary_format_minor_version", number(UINT16, 0)),
        // 64 bits, also an extended type.
        ("build_epoch", vec![1, 2, 1]),
        ("description", map(&[])),
    ])
}

fn map(fields: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let mut bytes = vec![MAP << 5 | u8::try_from(fields.len()).expect("a small map")];
    for (name, value) in fields {
        bytes.extend(text(name));
        bytes.extend(value);
    }
    bytes
}

fn text(text: &str) -> Vec<u8> {
    let mut bytes = vec![TEXT << 5 | u8::try_from(text.len()).expect("a short text")];
    bytes.extend_from_slice(text.as_bytes());
    bytes
}

fn number(kind: u8, number: usize) -> Vec<u8> {
    let number = u16::try_from(number).expect("a small number").to_be_bytes();
    vec![kind << 5 | 2, number[0], number[1]]
}

const TEXT: u8 = 2;
const UINT16: u8 = 5;
const UINT32: u8 = 6;
const MAP: u8 = 7;
/// Zeros between the tree and its data.
const SEPARATOR: usize = 16;
