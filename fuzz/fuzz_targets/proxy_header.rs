//! Any bytes at the start of a connection as a PROXY header: no panic, a header's length is within the bytes,
//! and the result does not depend on how the bytes arrive.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tidegate_access::proxy_header::{LEN_MAX, parse};

fuzz_target!(|bytes: &[u8]| {
    let whole = parse(bytes);
    match whole {
        Ok(None) => assert!(bytes.len() <= LEN_MAX),
        Ok(Some(header)) => {
            assert!(header.len <= bytes.len() && header.len <= LEN_MAX);
            // Bytes behind the header do not count, and every part of it needs more.
            assert_eq!(parse(&bytes[..header.len]), whole);
            for len in 0..header.len {
                assert_eq!(parse(&bytes[..len]), Ok(None));
            }
        }
        Err(_) => {}
    }
});
