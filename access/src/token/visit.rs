//! A request, as far as tokens restrict it.

use std::net::IpAddr;

/// A request that needs a grant.
#[derive(Debug, Clone, Copy)]
pub struct Visit<'a> {
    /// The method.
    pub method: &'a str,
    /// The host in its normal form, without port.
    pub host: &'a str,
    /// The path in its normal form, without the token.
    pub path: &'a str,
    /// The query, without the token.
    pub query: Option<&'a str>,
    /// The client's address.
    pub address: IpAddr,
    /// The client's country (ISO 3166), if it is known and the grant needs it.
    pub country: Option<&'a str>,
}
