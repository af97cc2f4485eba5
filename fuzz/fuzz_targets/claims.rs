//! Any bytes as the payload of a token that a key has signed, after a byte with its format: no payload
//! panics, and a grant admits nothing outside the times, addresses and methods that it names.
#![no_main]

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use libfuzzer_sys::fuzz_target;
use tidegate_access::token::{BYTES_MAX, Key, Keys, Revoked, Visit, verify};

const SECRET: &str = "0123456789abcdef0123456789abcdef";

fuzz_target!(|bytes: &[u8]| {
    let Some((format, payload)) = bytes.split_first() else { return };
    let key = Key::parse("k", SECRET).unwrap();
    let token = match format % 4 {
        0 => dotted("tg1", payload, &key),
        1 => dotted(&encode(br#"{"alg":"HS256","kid":"k"}"#), payload, &key),
        2 => cose(payload, &key),
        // A header whose signature is not valid, or a whole token.
        _ => return read_header(payload),
    };
    let keys = Keys::new(vec![key], Some("cdn.example"));
    let Ok(grant) = verify(&token, &keys, &Revoked::default()) else { return };
    assert!(token.len() <= BYTES_MAX);
    let visit = |method, path, country| Visit {
        method,
        host: "live.example",
        path,
        query: Some("a=1"),
        address: "192.0.2.1".parse().unwrap(),
        country,
    };
    for visit in [visit("GET", "/live/1.ts", Some("DE")), visit("HEAD", "/", None)] {
        assert!(grant.admits(&visit, grant.expires()).is_err());
        let _before = grant.admits(&visit, grant.expires().saturating_sub(1));
    }
    let revoked = Revoked::parse(grant.id().unwrap_or_default());
    assert_eq!(verify(&token, &keys, &revoked).is_err(), grant.id().is_some_and(|id| revoked.contains(id)));
});

fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// A token of the own format, or a JWT.
fn dotted(header: &str, payload: &[u8], key: &Key) -> String {
    let signed = format!("{header}.{}", encode(payload));
    let mac = key.mac(signed.as_bytes()).unwrap();
    format!("{signed}.{}", encode(&mac))
}

/// A CWT in `COSE_Mac0` (RFC 9052 section 6.2).
fn cose(payload: &[u8], key: &Key) -> String {
    let (protected, unprotected) = ([0x43, 0xA1, 1, 5], [0xA1, 4, 0x41, b'k']);
    let context = [&[0x84, 0x64][..], b"MAC0", &protected, &[0x40], &string(payload)].concat();
    let mac = key.mac(&context).unwrap();
    let message = [&[0xD8, 61, 0xD1, 0x84][..], &protected, &unprotected, &string(payload), &string(&mac)];
    encode(&message.concat())
}

/// A byte string of CBOR.
fn string(bytes: &[u8]) -> Vec<u8> {
    let len = u16::try_from(bytes.len()).unwrap_or(u16::MAX).to_be_bytes();
    let head = if bytes.len() < 24 { vec![0x40 | len[1]] } else { vec![0x59, len[0], len[1]] };
    [&head[..], bytes].concat()
}

/// Bytes before a signature, which are read before it is checked, and bytes as a whole token.
fn read_header(bytes: &[u8]) {
    let keys = Keys::new(vec![Key::parse("k", SECRET).unwrap()], None);
    let jwt = format!("{}.{}.{}", encode(bytes), encode(b"{}"), encode(&[0; 32]));
    assert!(verify(&jwt, &keys, &Revoked::default()).is_err());
    let _signed_or_not = verify(&encode(bytes), &keys, &Revoked::default());
}
