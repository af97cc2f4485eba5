//! Any text as a token: verification never panics, and only a text that a key has signed is accepted.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tidegate_access::token::{Claims, Key, Keys, Prefix, Revoked, Visit, sign, verify};

const SECRET: &str = "0123456789abcdef0123456789abcdef";
const ADDRESS: std::net::IpAddr = std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

fuzz_target!(|text: &str| {
    let key = Key::parse("k", SECRET).unwrap();
    let keys = Keys::new(vec![key.clone()], None);
    let revoked = Revoked::parse(text);
    // The seeds are signed with this key; all other texts are refused.
    if let Ok(grant) = verify(text, &keys, &Revoked::default()) {
        let visit =
            Visit { method: "GET", host: "a", path: "/a", query: None, address: ADDRESS, country: None };
        assert!(grant.admits(&visit, grant.expires()).is_err());
        assert!(text.is_ascii());
    }
    if let Ok(prefix) = Prefix::parse(text) {
        assert!(prefix.matches(prefix.as_str()));
        assert_eq!(Prefix::parse(prefix.as_str()), Ok(prefix.clone()));
        let claims = Claims { exp: 10, path: text.to_owned(), ..Claims::default() };
        let token = sign(&claims, &key).unwrap();
        if token.len() <= tidegate_access::token::BYTES_MAX && !revoked.contains("k") {
            let grant = verify(&token, &keys, &revoked).unwrap();
            let visit = Visit {
                method: "GET",
                host: "a",
                path: prefix.as_str(),
                query: None,
                address: ADDRESS,
                country: None,
            };
            assert_eq!(grant.admits(&visit, 9), Ok(()));
        }
    }
});
