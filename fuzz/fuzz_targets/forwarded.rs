//! Any bytes as values of `X-Forwarded-For` or `Forwarded`, one per line: the client is the proxy or an
//! address in the lines, what a client writes does not change its address, and the last untrusted address is
//! the client.
#![no_main]

use std::net::IpAddr;

use libfuzzer_sys::fuzz_target;
use tidegate_access::forwarded::{by_forwarded, by_x_forwarded_for};
use tidegate_access::{Cidr, CidrSet, ClientAddress};

fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let proxy = ClientAddress::from(IpAddr::from([10, 0, 0, 1]));
    let networks = ["10.0.0.0/8", "2001:db8::/32"].map(|network| network.parse::<Cidr>().unwrap());
    let trusted: CidrSet = networks.iter().collect();
    let lines: Vec<&str> = text.split('\n').collect();
    for is_forwarded in [false, true] {
        let client_of = |lines: &[&str]| {
            let lines = lines.iter().copied();
            if is_forwarded {
                by_forwarded(proxy, lines, &trusted)
            } else {
                by_x_forwarded_for(proxy, lines, &trusted)
            }
        };
        let client = client_of(&lines);
        assert!(client == proxy || is_in(text, client), "{client} by {lines:?}");
        if !trusted.contains(client) {
            // The proxies append to what the client has written.
            assert_eq!(client_of(&[&lines[..], &lines].concat()), client);
        }
        let last = "for=192.0.2.1,For=\"[2001:db8::1]:80\" ; by=a, for=10.1.1.1:9";
        let last = if is_forwarded { last } else { "192.0.2.1,[2001:db8::1]:80 , 10.1.1.1:9" };
        assert_eq!(client_of(&[&lines[..], &[last]].concat()).to_string(), "192.0.2.1");
    }
});

/// Whether a text has the address in one of its spellings.
fn is_in(text: &str, client: ClientAddress) -> bool {
    let words = text.split(|char: char| !(char.is_ascii_hexdigit() || matches!(char, '.' | ':')));
    let is_client =
        |word: &str| word.parse::<IpAddr>().is_ok_and(|address| ClientAddress::from(address) == client);
    words
        .into_iter()
        .any(|word| is_client(word) || word.rsplit_once(':').is_some_and(|(host, _)| is_client(host)))
}
