//! Tokens of other formats: JWT with the claims of RFC 9246, and CTA-5007-B.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::base64url::encode;
use super::*;

const SECRET: &str = "0123456789abcdef0123456789abcdef";
const NOW: u64 = 1_800_000_000;

/// A service with a secret `s` and a public key `p`, and the private half of `p`.
struct Signers {
    keys: Keys,
    pair: EcdsaKeyPair,
}

impl Signers {
    fn new() -> Self {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        let mut der = vec![
            0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a,
            0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
        ];
        der.extend_from_slice(pair.public_key().as_ref());
        let pem = format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", STANDARD.encode(der));
        let keys = vec![Key::parse("s", SECRET).unwrap(), Key::parse("p", &pem).unwrap()];
        Self { keys: Keys::new(keys, Some("cdn.example")), pair }
    }

    fn mac(&self, message: &[u8]) -> Vec<u8> {
        self.keys.all()[0].mac(message).unwrap()
    }

    fn signature(&self, message: &[u8]) -> Vec<u8> {
        self.pair.sign(&SystemRandom::new(), message).unwrap().as_ref().to_vec()
    }

    fn jwt(&self, header: &str, claims: &str) -> String {
        let signed = format!("{}.{}", encode(header.as_bytes()), encode(claims.as_bytes()));
        let is_es = header.contains("ES256");
        let signature = if is_es { self.signature(signed.as_bytes()) } else { self.mac(signed.as_bytes()) };
        format!("{signed}.{}", encode(&signature))
    }

    /// A token of these claims, in CBOR.
    fn cat(&self, is_es: bool, claims: &[u8]) -> String {
        let protected: &[u8] = if is_es { &[0xA1, 1, 0x26] } else { &[0xA1, 1, 5] };
        let kid = [&[0xA1, 4][..], &bytes(if is_es { b"p" } else { b"s" })].concat();
        let tags: &[u8] = if is_es { &[0xD8, 61, 0xD2] } else { &[0xD8, 61, 0xD1] };
        self.cose(tags, protected, &kid, claims)
    }

    /// A message of COSE with these headers.
    fn cose(&self, tags: &[u8], protected: &[u8], unprotected: &[u8], claims: &[u8]) -> String {
        let is_es = protected.ends_with(&[0x26]);
        let context = if is_es { "Signature1" } else { "MAC0" };
        let signed = [&[0x84][..], &text(context), &bytes(protected), &bytes(&[]), &bytes(claims)].concat();
        let signature = if is_es { self.signature(&signed) } else { self.mac(&signed) };
        encode(&[tags, &[0x84], &bytes(protected), unprotected, &bytes(claims), &bytes(&signature)].concat())
    }

    fn admitted(&self, token: &str, path: &str) -> Result<(), Refusal> {
        let visit = Visit {
            method: "GET",
            host: "live.example",
            path,
            query: None,
            address: "192.0.2.1".parse().unwrap(),
            country: Some("DE"),
        };
        verify(token, &self.keys, &Revoked::parse("stolen\n"))?.admits(&visit, NOW)
    }
}

fn bytes(bytes: &[u8]) -> Vec<u8> {
    let length = u8::try_from(bytes.len()).unwrap();
    let head = if length < 24 { vec![0x40 | length] } else { vec![0x58, length] };
    [&head, bytes].concat()
}

fn text(text: &str) -> Vec<u8> {
    let mut encoded = bytes(text.as_bytes());
    encoded[0] |= 0x20;
    encoded
}

fn uint(number: u32) -> Vec<u8> {
    [&[0x1A][..], &number.to_be_bytes()].concat()
}

/// A map of claims with small keys or keys of two bytes.
fn claims(pairs: &[(u16, Vec<u8>)]) -> Vec<u8> {
    let mut map = vec![0xA0 | u8::try_from(pairs.len()).unwrap()];
    for (key, value) in pairs {
        match u8::try_from(*key) {
            Ok(key) if key < 24 => map.push(key),
            _ => map.extend([&[0x19][..], &key.to_be_bytes()].concat()),
        }
        map.extend(value);
    }
    map
}

const HS256: &str = r#"{"alg":"HS256","typ":"JWT","kid":"s"}"#;
const ES256: &str = r#"{"alg":"ES256","kid":"p"}"#;

#[test]
fn a_jwt_of_rfc_9246_admits_the_uris_of_its_container() {
    let signers = Signers::new();
    let regex = r#""cdniuc":"regex:https?://live\\.example/live1/[^?]*(\\?.*)?""#;
    // The SHA-256 of https://live.example/live1/a.ts.
    let hash = encode(
        aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, b"https://live.example/live1/a.ts").as_ref(),
    );
    for (header, rest) in [
        (HS256, format!(r#""exp":1800000060,{regex}"#)),
        (ES256, format!(r#""exp":1800000060.5,"nbf":1800000000,{regex}"#)),
        (r#"{"alg":"HS256"}"#, format!(r#""exp":1800000060,"aud":["x","cdn.example"],{regex}"#)),
        (HS256, format!(r#""exp":1800000060,"cdniv":1,"cdnicrit":"exp,cdniuc",{regex},"x":1"#)),
        (HS256, format!(r#""exp":1800000060,"cdniuc":"hash:sha-256;{hash}""#)),
    ] {
        let token = signers.jwt(header, &format!("{{{rest}}}"));
        assert_eq!(signers.admitted(&token, "/live1/a.ts"), Ok(()), "{header} {rest}");
        for path in ["/live10/a.ts", "/live/a.ts", "/x/live1/a.ts"] {
            assert_eq!(signers.admitted(&token, path), Err(Refusal::Path), "{header} {rest} {path}");
        }
    }
}

#[test]
fn a_forged_jwt_is_refused() {
    use Refusal::{Algorithm, Audience, Expired, Malformed, Revoked, Signature, UnknownKey, Unsupported};
    let signers = Signers::new();
    let all = r#""cdniuc":"regex:.*""#;
    let good = format!(r#"{{"exp":1800000060,{all}}}"#);
    let with = |more: &str| format!(r#"{{"exp":1800000060,{more},{all}}}"#);
    let none = format!("{}.{}.", encode(br#"{"alg":"none"}"#), encode(good.as_bytes()));
    let cut = signers.jwt(ES256, &good);
    let rows = [
        (none, Algorithm),
        (signers.jwt(r#"{"alg":"None","kid":"s"}"#, &good), Algorithm),
        (signers.jwt(r#"{"alg":"HS512","kid":"s"}"#, &good), Algorithm),
        (signers.jwt(r#"{"alg":"HS256","kid":"p"}"#, &good), Algorithm),
        (signers.jwt(r#"{"alg":"ES256","kid":"s"}"#, &good), Algorithm),
        (signers.jwt(r#"{"alg":"HS256","kid":"x"}"#, &good), UnknownKey),
        (signers.jwt(r#"{"alg":"HS256","kid":"s","crit":["b64"],"b64":false}"#, &good), Unsupported("crit")),
        (signers.jwt(r#"{"kid":"s"}"#, &good), Malformed),
        (cut[..cut.len() - 2].to_owned(), Signature),
        (signers.jwt(HS256, &format!(r#"{{"exp":1800000000,{all}}}"#)), Expired),
        (signers.jwt(HS256, &format!(r"{{{all}}}")), Malformed),
        (signers.jwt(HS256, r#"{"exp":1800000060}"#), Malformed),
        (signers.jwt(HS256, &format!(r#"{{"exp":"1800000060",{all}}}"#)), Malformed),
        (signers.jwt(HS256, &with(r#""aud":"other""#)), Audience),
        (signers.jwt(HS256, &with(r#""jti":"stolen""#)), Revoked),
        (signers.jwt(HS256, &with(r#""cdniv":2"#)), Unsupported("another version of cdniv")),
        (signers.jwt(HS256, &with(r#""cdniip":"eyJ""#)), Unsupported("cdniip")),
        (signers.jwt(HS256, &with(r#""cdnistt":1"#)), Unsupported("cdnistt")),
        (signers.jwt(HS256, &with(r#""cdnicrit":"exp, x""#)), Unsupported("a critical claim")),
        (signers.jwt(HS256, r#"{"exp":1800000060,"cdniuc":"regex:("}"#), Malformed),
        (signers.jwt(HS256, r#"{"exp":1800000060,"cdniuc":"regex:((a{1000}){1000})"}"#), Malformed),
    ];
    assert_eq!(signers.admitted(&signers.jwt(HS256, &good), "/a"), Ok(()));
    for (row, (token, refusal)) in rows.into_iter().enumerate() {
        assert_eq!(signers.admitted(&token, "/a"), Err(refusal), "row {row}: {token}");
    }
}

#[test]
fn a_common_access_token_admits_what_all_its_claims_admit() {
    let signers = Signers::new();
    // catu: host exactly live.example, path with the prefix /live1/, extension .ts.
    let catu = [
        &[0xA3, 1, 0xA1, 0][..],
        &text("live.example"),
        &[3, 0xA1, 1],
        &text("/live1/"),
        &[8, 0xA1, 0],
        &text(".ts"),
    ]
    .concat();
    let catnip = [&[0x81, 0xD8, 52, 0x82, 0x18, 24][..], &bytes(&[192, 0, 2])].concat();
    let all = claims(&[
        (1, text("issuer")),
        (3, text("cdn.example")),
        (4, uint(1_800_000_060)),
        (5, uint(1_800_000_000)),
        (7, bytes(b"viewer-17")),
        (308, vec![0]),
        (310, vec![1]),
        (311, catnip),
        (312, catu),
        (313, [&[0x82][..], &text("GET"), &text("HEAD")].concat()),
        (316, [&[0x81][..], &text("DE")].concat()),
        (323, vec![0xA0]),
    ]);
    for is_es in [false, true] {
        let token = signers.cat(is_es, &all);
        assert_eq!(signers.admitted(&token, "/live1/a.ts"), Ok(()));
        for path in ["/live10/a.ts", "/live1/a.m3u8", "/a.ts"] {
            assert_eq!(signers.admitted(&token, path), Err(Refusal::Path), "{path}");
        }
    }
}

#[test]
fn a_forged_common_access_token_is_refused() {
    use Refusal::{
        Address, Algorithm, Audience, Country, Expired, Malformed, Method, Revoked, Signature, Unsupported,
    };
    let signers = Signers::new();
    let exp = || (4, uint(1_800_000_060));
    let with = |key: u16, value: Vec<u8>| signers.cat(false, &claims(&[exp(), (key, value)]));
    let good = signers.cat(false, &claims(&[exp()]));
    assert_eq!(signers.admitted(&good, "/a"), Ok(()));
    let decoded = base64url::decode(&good).unwrap();
    let changed = |from: &[u8], to: &[u8]| {
        let at = decoded.windows(from.len()).position(|window| window == from).unwrap();
        encode(&[&decoded[..at], to, &decoded[at + from.len()..]].concat())
    };
    let list = |value: &[u8]| [&[0x81], value].concat();
    let rows = [
        (good[..good.len() - 4].to_owned(), Malformed),
        (changed(&uint(1_800_000_060), &uint(1_900_000_060)), Signature),
        // The tag of a signature on a MAC, and another algorithm.
        (changed(&[0xD1], &[0xD2]), Algorithm),
        (changed(&[0xA1, 1, 5], &[0xA1, 1, 0x26]), Algorithm),
        (changed(&[0xA1, 1, 5], &[0xA1, 1, 6]), Algorithm),
        (changed(&[0xA1, 1, 5], &[0xA0, 1, 5]), Malformed),
        (signers.cat(false, &claims(&[])), Malformed),
        (signers.cat(false, &claims(&[(4, uint(1_800_000_000))])), Expired),
        (with(7, bytes(b"stolen")), Revoked),
        (with(3, text("other")), Audience),
        (with(308, vec![1]), Unsupported("catreplay")),
        (with(308, vec![2]), Unsupported("catreplay")),
        (with(310, vec![2]), Unsupported("another version of catv")),
        (with(8, vec![0xA0]), Unsupported("an unknown claim")),
        (with(321, vec![0xA0]), Unsupported("an unknown claim")),
        (with(309, vec![1]), Unsupported("an unknown claim")),
        (with(313, list(&text("POST"))), Method),
        (with(313, vec![0x80]), Malformed),
        (with(316, list(&text("FR"))), Country),
        (with(311, list(&[&[0xD8, 52][..], &bytes(&[192, 0, 2, 2])].concat())), Address),
        (
            with(311, list(&[&[0xD8, 54, 0x82, 0x18, 32][..], &bytes(&[0x20, 1, 0x0D, 0xB8])].concat())),
            Address,
        ),
        (with(311, list(&uint(64_512))), Unsupported("catnip with a number of a network")),
        (with(312, [&[0xA1, 2, 0xA1, 0][..], &text("80")].concat()), Unsupported("this part of catu")),
    ];
    for (row, (token, refusal)) in rows.into_iter().enumerate() {
        assert_eq!(signers.admitted(&token, "/a"), Err(refusal), "row {row}");
    }
}

#[test]
fn the_headers_of_a_common_access_token_name_its_key() {
    let signers = Signers::new();
    let claims = claims(&[(4, uint(1_800_000_060))]);
    let kid = |value: &[u8]| [&[0xA1, 4], value].concat();
    let admitted = |tags: &[u8], protected: &[u8], unprotected: &[u8]| {
        signers.admitted(&signers.cose(tags, protected, unprotected, &claims), "/a")
    };
    let hs256 = [0xA1, 1, 5];
    // A header may name the key, in bytes or in text; the tags and the name may be absent.
    assert_eq!(admitted(&[], &hs256, &kid(&bytes(b"s"))), Ok(()));
    assert_eq!(admitted(&[0xD1], &hs256, &kid(&text("s"))), Ok(()));
    assert_eq!(admitted(&[], &[0xA1, 1, 0x26], &[0xA0]), Ok(()));
    // A header in a form that is not the shortest is signed as it was sent.
    assert_eq!(admitted(&[], &[0xA2, 4, 0x61, b's', 0x18, 1, 0x18, 5], &[0xA0]), Ok(()));
    // A content type, a private header and an algorithm of the unprotected header do not matter.
    assert_eq!(admitted(&[], &[0xA3, 1, 5, 3, 0x61, b'x', 0x39, 1, 0, 0xF6], &[0xA1, 1, 6]), Ok(()));

    assert_eq!(admitted(&[], &hs256, &kid(&text("x"))), Err(Refusal::UnknownKey));
    assert_eq!(admitted(&[], &hs256, &kid(&[1])), Err(Refusal::Malformed));
    assert_eq!(admitted(&[], &[0xA2, 1, 5, 2, 0x81, 1], &[0xA0]), Err(Refusal::Unsupported("crit")));
    assert_eq!(admitted(&[], &[0xA2, 1, 5, 1, 5], &[0xA0]), Err(Refusal::Malformed));
    assert_eq!(admitted(&[], &[0xA1, 1, 0x39, 0xFF, 0xFE], &[0xA0]), Err(Refusal::Algorithm));
    assert_eq!(admitted(&[0xC6], &hs256, &[0xA0]), Err(Refusal::Malformed));
}
