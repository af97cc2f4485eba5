//! Files in memory that the kernel sends by sendfile, without a copy of their bytes into the socket.
//!
//! Linux only; on other systems, every function here fails.

use std::fs::File;
use std::io::{Result, Write as _};
use std::ops::Range;

use bytes::Bytes;
use tokio::net::TcpStream;

/// Makes a file of these chunks. It has no name, and the kernel frees it when its last descriptor is closed.
///
/// # Errors
/// When the system has no memory or no descriptor left.
pub(crate) fn file_of(chunks: &[Bytes]) -> Result<File> {
    let mut file = system::file()?;
    for chunk in chunks {
        file.write_all(chunk)?;
    }
    Ok(file)
}

pub(crate) use system::{send, send_more};

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

    /// Sends bytes that more will follow directly: the kernel waits for those before it sends a packet that
    /// is not full. Returns how many bytes it took.
    pub(crate) fn send_more(stream: &TcpStream, bytes: &[u8]) -> Result<usize> {
        // nix does not define MSG_MORE.
        let flags = MsgFlags::from_bits_retain(libc::MSG_MORE | libc::MSG_NOSIGNAL);
        Ok(send_flagged(stream.as_raw_fd(), bytes, flags)?)
    }

    /// Sends this range of the file, or the beginning of it. Returns how many bytes the kernel took.
    pub(crate) fn send(stream: &TcpStream, file: &File, range: Range<u64>) -> Result<usize> {
        let mut offset = i64::try_from(range.start).unwrap_or(i64::MAX);
        let len = usize::try_from(range.end.saturating_sub(range.start)).unwrap_or(usize::MAX);
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

    pub(crate) fn send_more(_: &TcpStream, _: &[u8]) -> Result<usize> {
        Err(ErrorKind::Unsupported.into())
    }

    pub(crate) fn send(_: &TcpStream, _: &File, _: Range<u64>) -> Result<usize> {
        Err(ErrorKind::Unsupported.into())
    }
}
