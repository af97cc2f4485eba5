//! The host in its one spelling.

use std::net::Ipv6Addr;

use super::ResourceError;

/// Lower-cases the host and removes its port and trailing dot. Names are checked loosely: letters, digits,
/// `-` and `_` in labels that are not empty, which also admits the names of internal networks.
pub(super) fn normalise(host: &str) -> Result<String, ResourceError> {
    if let Some(literal) = host.strip_prefix('[') {
        return ipv6(literal);
    }
    let name = match host.split_once(':') {
        Some((name, port)) => {
            check_port(port)?;
            name
        }
        None => host,
    };
    // `example.com.` is the same host as `example.com` (RFC 1034 section 3.1).
    let name = name.strip_suffix('.').unwrap_or(name);
    if name.is_empty() {
        return Err(ResourceError::EmptyHost);
    }
    if name.len() > NAME_BYTES_MAX {
        return Err(ResourceError::HostTooLong { len: name.len() });
    }
    let mut previous = b'.';
    for (offset, byte) in name.bytes().enumerate() {
        let valid = match byte {
            b'.' => previous != b'.',
            _ => byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'),
        };
        if !valid {
            return Err(ResourceError::BadHost { offset });
        }
        previous = byte;
    }
    if previous == b'.' {
        return Err(ResourceError::BadHost { offset: name.len() });
    }
    Ok(name.to_ascii_lowercase())
}

/// `literal` is the text after the opening bracket. An address has many spellings; the parsed one has one.
fn ipv6(literal: &str) -> Result<String, ResourceError> {
    let (address, after) =
        literal.split_once(']').ok_or(ResourceError::BadHost { offset: literal.len() + 1 })?;
    let address = address.parse::<Ipv6Addr>().ok().ok_or(ResourceError::BadHost { offset: 1 })?;
    match after.strip_prefix(':') {
        Some(port) => check_port(port)?,
        None if after.is_empty() => {}
        None => return Err(ResourceError::BadHost { offset: literal.len() + 1 - after.len() }),
    }
    Ok(format!("[{address}]"))
}

/// RFC 3986 section 3.2.3 allows the empty port.
fn check_port(port: &str) -> Result<(), ResourceError> {
    let digits = port.bytes().all(|byte| byte.is_ascii_digit());
    if port.is_empty() || (digits && port.parse::<u16>().is_ok()) {
        Ok(())
    } else {
        Err(ResourceError::BadPort)
    }
}

/// RFC 1035 section 2.3.4, without the root label.
const NAME_BYTES_MAX: usize = 253;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_has_one_spelling() {
        for (host, normal) in [
            ("Example.COM", "example.com"),
            ("example.com.", "example.com"),
            ("example.com.:8080", "example.com"),
            ("example.com:", "example.com"),
            ("127.0.0.1:80", "127.0.0.1"),
            ("my_host-1", "my_host-1"),
            ("[::1]", "[::1]"),
            ("[0:0::0:1]:8443", "[::1]"),
            ("[2001:DB8::1]", "[2001:db8::1]"),
        ] {
            assert_eq!(normalise(host).as_deref(), Ok(normal), "{host}");
        }
    }

    #[test]
    fn invalid_hosts_are_refused() {
        use ResourceError::{BadHost, BadPort, EmptyHost, HostTooLong};
        let long = "a".repeat(254);
        for (host, error) in [
            ("", EmptyHost),
            (".", EmptyHost),
            (":80", EmptyHost),
            ("a..b", BadHost { offset: 2 }),
            ("a..", BadHost { offset: 2 }),
            (".a", BadHost { offset: 0 }),
            ("a b", BadHost { offset: 1 }),
            ("a%20b", BadHost { offset: 1 }),
            ("user@host", BadHost { offset: 4 }),
            ("münchen", BadHost { offset: 1 }),
            ("a/b", BadHost { offset: 1 }),
            ("a:99999", BadPort),
            ("a:+80", BadPort),
            ("a:80:80", BadPort),
            ("::1", BadPort),
            ("[::1", BadHost { offset: 4 }),
            ("[::g]", BadHost { offset: 1 }),
            ("[fe80::1%25eth0]", BadHost { offset: 1 }),
            ("[::1]x", BadHost { offset: 5 }),
            ("[::1]:x", BadPort),
            (long.as_str(), HostTooLong { len: 254 }),
        ] {
            assert_eq!(normalise(host), Err(error), "{host}");
        }
    }
}
