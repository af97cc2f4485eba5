//! A viewer's connection over HTTP/2 with prior knowledge (RFC 9113). As in a browser, after the first
//! request the whole head comes from the dynamic table, except the pseudo-header fields in the static table
//! of HPACK (RFC 7541).
//!
//! The frames of a library depend on its version. This connection sends one frame for each request and no
//! others, with windows that are never exhausted. After some requests it is replaced by a new one, as viewers
//! come and go: the dynamic table of the edge's encoder gets a new `date` each second, and searching it would
//! cost more on a slow machine than on a fast one.

use std::io::{BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};

use anyhow::{Context, Result, bail, ensure};

use super::http1::connect;

/// A viewer's connection, and the address for the next one.
pub(super) struct Http2 {
    edge: SocketAddr,
    connection: Connection,
}

/// A connection, and the path in its dynamic table.
struct Connection {
    stream: BufReader<TcpStream>,
    path: Option<String>,
    next_stream: u32,
}

/// A frame without its payload (RFC 9113 section 4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Frame {
    length: usize,
    kind: u8,
    flags: u8,
    stream: u32,
}

const DATA: u8 = 0x0;
const HEADERS: u8 = 0x1;
const SETTINGS: u8 = 0x4;
const PING: u8 = 0x6;
const WINDOW_UPDATE: u8 = 0x8;
const CONTINUATION: u8 = 0x9;

const ACK: u8 = 0x1;
const END_STREAM: u8 = 0x1;
const END_HEADERS: u8 = 0x4;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// `SETTINGS_INITIAL_WINDOW_SIZE`, 2^31-1.
const GREATEST_WINDOW: [u8; 6] = [0, 4, 0x7f, 0xff, 0xff, 0xff];
/// The increment from the initial 65,535 bytes to 2^31-1.
const OPEN_CONNECTION: [u8; 4] = [0x7f, 0xff, 0, 0];

/// Requests on one connection.
const REQUESTS: u32 = 100;

impl Http2 {
    pub(super) fn connect(edge: SocketAddr) -> Result<Self> {
        Ok(Self { edge, connection: Connection::open(edge)? })
    }

    /// Sends a request and reads the whole response. Returns the length of its body.
    pub(super) fn get(&mut self, path: &str) -> Result<usize> {
        if self.connection.next_stream > 2 * REQUESTS {
            self.connection = Connection::open(self.edge)?;
        }
        self.connection.get(path)
    }
}

impl Connection {
    fn open(edge: SocketAddr) -> Result<Self> {
        let mut stream = connect(edge)?;
        let settings = frame(SETTINGS, 0, 0, &GREATEST_WINDOW);
        let window = frame(WINDOW_UPDATE, 0, 0, &OPEN_CONNECTION);
        stream.write_all(&[PREFACE, &settings, &window].concat())?;
        Ok(Self { stream: BufReader::with_capacity(1 << 20, stream), path: None, next_stream: 1 })
    }

    /// Sends a request. All requests of one connection have the same path.
    fn get(&mut self, path: &str) -> Result<usize> {
        let head = match &self.path {
            None => first_head(path)?,
            Some(known) if known == path => LATER_HEAD.to_vec(),
            Some(known) => bail!("this connection requests {known}"),
        };
        self.path.get_or_insert_with(|| path.to_owned());
        let stream = self.next_stream;
        self.next_stream += 2;
        self.send(HEADERS, END_STREAM | END_HEADERS, stream, &head)?;
        let mut body = 0;
        loop {
            let (frame, payload) = self.read()?;
            if frame.kind == DATA {
                body += frame.length;
            }
            if self.receive(stream, frame, &payload)? {
                return Ok(body);
            }
        }
    }

    /// Acknowledges SETTINGS and PING. Returns whether the frame ends the HTTP/2 stream.
    fn receive(&mut self, stream: u32, frame: Frame, payload: &[u8]) -> Result<bool> {
        match frame.kind {
            DATA | HEADERS => {
                ensure!(frame.stream == stream, "a frame of another stream: {frame:?}");
                // `:status: 200` is entry 8 of the static table.
                ensure!(frame.kind == DATA || payload.first() == Some(&0x88), "the status is not 200");
                return Ok(frame.flags & END_STREAM != 0);
            }
            SETTINGS | PING if frame.flags & ACK == 0 => {
                let payload = if frame.kind == PING { payload } else { &[] };
                self.send(frame.kind, ACK, 0, payload)?;
            }
            SETTINGS | PING | WINDOW_UPDATE | CONTINUATION => {}
            _ => bail!("the edge sends {frame:?}"),
        }
        Ok(false)
    }

    fn send(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Result<()> {
        Ok(self.stream.get_mut().write_all(&frame(kind, flags, stream, payload))?)
    }

    fn read(&mut self) -> Result<(Frame, Vec<u8>)> {
        let mut head = [0; 9];
        self.stream.read_exact(&mut head).context("the connection ends within a response")?;
        let frame = Frame::parse(head);
        let mut payload = vec![0; frame.length];
        self.stream.read_exact(&mut payload)?;
        Ok((frame, payload))
    }
}

impl Frame {
    fn parse(head: [u8; 9]) -> Self {
        let [length @ .., kind, flags, _, _, _, _] = head;
        let [_, _, _, _, _, stream @ ..] = head;
        let length = length.iter().fold(0, |length, byte| length << 8 | usize::from(*byte));
        // The first bit is reserved.
        Self { length, kind, flags, stream: u32::from_be_bytes(stream) & 0x7fff_ffff }
    }
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    // Every payload here is shorter than 255 bytes.
    let length = u8::try_from(payload.len()).unwrap_or(u8::MAX);
    [&[0, 0, length, kind, flags], &stream.to_be_bytes()[..], payload].concat()
}

/// A head with `:method: GET` and `:scheme: http` from the static table, and the other fields as literals for
/// the dynamic table.
fn first_head(path: &str) -> Result<Vec<u8>> {
    let mut head = vec![0x82, 0x86];
    for (name, value) in [(1, "localhost"), (4, path), (58, "xtask"), (19, "*/*")] {
        ensure!(value.len() < 0x7f, "{value} is too long");
        head.extend([0x40 | name, u8::try_from(value.len())?]);
        head.extend(value.bytes());
    }
    Ok(head)
}

/// The same head, when the four literals are entries 65 to 62 of the tables (0x80 + 65 and so on).
const LATER_HEAD: [u8; 6] = [0x82, 0x86, 0xc1, 0xc0, 0xbf, 0xbe];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_read_as_it_is_written() {
        let bytes = frame(HEADERS, END_STREAM, 257, &[1, 2, 3]);
        let head: [u8; 9] = bytes.get(..9).unwrap().try_into().unwrap();
        assert_eq!(Frame::parse(head), Frame { length: 3, kind: HEADERS, flags: END_STREAM, stream: 257 });
        assert_eq!(bytes.get(9..), Some(&[1, 2, 3][..]));
    }

    #[test]
    fn the_first_head_names_its_fields_by_the_static_table() {
        let head = first_head("/a").unwrap();
        assert!(head.starts_with(b"\x82\x86\x41\x09localhost\x44\x02/a\x7a\x05xtask\x53\x03*/*"));
        assert!(first_head(&"/a".repeat(100)).is_err());
    }
}
