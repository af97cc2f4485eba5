//! The rate of a connection, which the kernel keeps: it spaces the packets instead of sending them in bursts.
//!
//! Linux only; on other systems there is no limit.

use tokio::net::TcpStream;

/// Limits the rate at which the kernel sends, in bytes per second; 0 is no limit. An error is a kernel that
/// cannot do it, and the connection is served without a limit.
pub(super) fn limit(stream: &TcpStream, bytes_per_second: u64) {
    if bytes_per_second > 0 {
        system::limit(stream, bytes_per_second);
    }
}

#[cfg(target_os = "linux")]
mod system {
    use nix::libc;
    use nix::sys::socket::setsockopt;
    use tokio::net::TcpStream;

    #[derive(Debug, Clone, Copy)]
    struct MaxPacingRate;

    nix::setsockopt_impl!(
        MaxPacingRate,
        libc::SOL_SOCKET,
        libc::SO_MAX_PACING_RATE,
        u32,
        nix::sys::socket::sockopt::SetStruct<'_, u32>
    );

    pub(super) fn limit(stream: &TcpStream, bytes_per_second: u64) {
        let rate = u32::try_from(bytes_per_second).unwrap_or(u32::MAX);
        if let Err(error) = setsockopt(stream, MaxPacingRate, &rate) {
            tracing::debug!(%error, "the kernel does not limit the rate of a connection");
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod system {
    pub(super) fn limit(_stream: &tokio::net::TcpStream, _bytes_per_second: u64) {}
}
