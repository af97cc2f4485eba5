//! Files that lie in memory, and that the system sends by itself: without copying their bytes into the socket.
//!
//! Only Linux is asked for it; elsewhere there are no such files.

use std::fs::File;
use std::io::{Result, Write as _};
use std::ops::Range;

use bytes::Bytes;
use tokio::net::TcpStream;

/// Makes a file of these pieces. It has no name, and is gone when nobody holds it any more.
///
/// # Errors
/// When the system has no room, or no more files to give.
pub(crate) fn file_of(pieces: &[Bytes]) -> Result<File> {
    let mut file = system::file()?;
    for piece in pieces {
        file.write_all(piece)?;
    }
    Ok(file)
}

pub(crate) use system::{send, send_ahead};

#[cfg(target_os = "linux")]
mod system {
    use std::os::fd::AsRawFd as _;

    use nix::libc;
    use nix::sys::memfd::{MFdFlags, memfd_create};
    use nix::sys::sendfile::sendfile64;
    use nix::sys::socket::{MsgFlags, send as send_flagged};

    use super::{File, Range, Result, TcpStream};

    pub(super) fn file() -> Result<File> {
        Ok(memfd_create(c"tidegate-body", MFdFlags::MFD_CLOEXEC)?.into())
    }

    /// Sends bytes behind which more will follow at once: the system waits for that before it sends a packet that is
    /// not full. Tells how many were taken.
    pub(crate) fn send_ahead(stream: &TcpStream, bytes: &[u8]) -> Result<usize> {
        // nix has no name for the first of them.
        let flags = MsgFlags::from_bits_retain(libc::MSG_MORE | libc::MSG_NOSIGNAL);
        Ok(send_flagged(stream.as_raw_fd(), bytes, flags)?)
    }

    /// Sends what is taken of this part of the file, from its beginning on; tells how many bytes that were.
    pub(crate) fn send(stream: &TcpStream, file: &File, part: Range<u64>) -> Result<usize> {
        let mut offset = i64::try_from(part.start).unwrap_or(i64::MAX);
        let len = usize::try_from(part.end.saturating_sub(part.start)).unwrap_or(usize::MAX);
        Ok(sendfile64(stream, file, Some(&mut offset), len)?)
    }
}

#[cfg(not(target_os = "linux"))]
mod system {
    use std::io::ErrorKind;

    use super::{File, Range, Result, TcpStream};

    pub(super) fn file() -> Result<File> {
        Err(ErrorKind::Unsupported.into())
    }

    pub(crate) fn send_ahead(_: &TcpStream, _: &[u8]) -> Result<usize> {
        Err(ErrorKind::Unsupported.into())
    }

    pub(crate) fn send(_: &TcpStream, _: &File, _: Range<u64>) -> Result<usize> {
        Err(ErrorKind::Unsupported.into())
    }
}
