//! The address of a viewer, for all rules about addresses.

use std::net::{IpAddr, SocketAddr};

/// The viewer's address: that of its end of the connection.
pub(crate) fn of(peer: SocketAddr) -> IpAddr {
    peer.ip().to_canonical()
}

/// The viewer's country (ISO 3166), if it is known.
pub(crate) fn country(_address: IpAddr) -> Option<&'static str> {
    None
}
