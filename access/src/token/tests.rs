//! Tokens from signing to admission, and 40 forgeries.

use proptest::prelude::*;

use super::base64url::encode;
use super::*;

const SECRET: &str = "0123456789abcdef0123456789abcdef";
const OLD: &str = "fedcba9876543210fedcba9876543210";
const FOREIGN: &str = "00000000000000000000000000000000";
const NOW: u64 = 1_800_000_000;

fn keys() -> Keys {
    Keys::new(vec![Key::parse("old", OLD).unwrap(), Key::parse("new", SECRET).unwrap()], None)
}

fn claims(path: &str) -> Claims {
    Claims { exp: NOW + 60, path: path.to_owned(), ..Claims::default() }
}

fn signed(claims: &Claims) -> String {
    sign(claims, keys().signer().unwrap()).unwrap()
}

/// A token with this payload, signed with `secret`.
fn made(payload: &str, secret: &str) -> String {
    let signed = format!("tg1.{}", encode(payload.as_bytes()));
    let mac = Key::parse("k", secret).unwrap().mac(signed.as_bytes()).unwrap();
    format!("{signed}.{}", encode(&mac))
}

fn visit(path: &str) -> Visit<'_> {
    let address = "192.0.2.1".parse().unwrap();
    Visit { method: "GET", host: "live.example", path, query: None, address, country: None }
}

fn admitted(token: &str, visit: &Visit<'_>, now: u64) -> Result<(), Refusal> {
    let revoked = Revoked::parse("stolen-1\nclass-3-*\n");
    verify(token, &keys(), &revoked)?.admits(visit, now)
}

fn at(token: &str, path: &str) -> Result<(), Refusal> {
    admitted(token, &visit(path), NOW)
}

#[test]
fn a_token_admits_what_it_grants() {
    let all = Claims {
        nbf: Some(NOW),
        id: Some("viewer-17".to_owned()),
        ip: Some("192.0.2.0/24".to_owned()),
        cc: vec!["DE".to_owned(), "AT".to_owned()],
        ..claims("/live/")
    };
    let token = signed(&all);
    assert!(token.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte)));
    let austrian = Visit { country: Some("at"), ..visit("/live/1.ts") };
    assert_eq!(admitted(&token, &austrian, NOW), Ok(()));
    assert_eq!(admitted(&token, &austrian, NOW + 59), Ok(()));
    let grant = verify(&token, &keys(), &Revoked::default()).unwrap();
    assert_eq!((grant.id(), grant.expires()), (Some("viewer-17"), NOW + 60));
    // A signer in another language needs two claims, in any order, with blanks, and no name of a key.
    assert_eq!(at(&made("{ \"path\": \"/live\", \"exp\": 1800000060 }", SECRET), "/live/1.ts"), Ok(()));
    assert_eq!(at(&made("{\"exp\":1800000060,\"path\":\"/\"}", OLD), "/live/1.ts"), Ok(()));
    // Keys of both ages are valid while they rotate.
    let old = sign(&claims("/live/"), &keys().all()[0]).unwrap();
    assert_eq!(at(&old, "/live/1.ts"), Ok(()));
}

#[test]
fn the_format_stays_as_it_is() {
    let token = made("{\"kid\":\"new\",\"exp\":1800000060,\"path\":\"/live/\"}", SECRET);
    assert_eq!(token, signed(&claims("/live/")));
    let payload = "eyJraWQiOiJuZXciLCJleHAiOjE4MDAwMDAwNjAsInBhdGgiOiIvbGl2ZS8ifQ";
    assert!(token.starts_with(&format!("tg1.{payload}.")) && token.len() == 4 + payload.len() + 1 + 43);
}

/// A forgery, where it is sent, and the refusal that it gets.
type Forgery = (&'static str, String, &'static str, Refusal);

/// A token for `/live1` with one claim changed.
fn with(change: fn(&mut Claims)) -> String {
    let mut claims = claims("/live1");
    change(&mut claims);
    signed(&claims)
}

/// Tokens that the key has signed, and that grant something else.
fn misused() -> Vec<Forgery> {
    use Refusal::{Address, Country, Expired, NotYetValid, Path, Revoked};
    let good = || signed(&claims("/live1"));
    vec![
        ("expired", with(|claims| claims.exp = NOW), "/live1/a.ts", Expired),
        ("expired long ago", with(|claims| claims.exp = 0), "/live1/a.ts", Expired),
        ("not yet valid", with(|claims| claims.nbf = Some(NOW + 1)), "/live1/a.ts", NotYetValid),
        ("another path", good(), "/live2/a.ts", Path),
        ("a longer name", good(), "/live10/a.ts", Path),
        ("a shorter name", good(), "/live/a.ts", Path),
        ("the folder above", good(), "/", Path),
        ("another case", good(), "/LIVE1/a.ts", Path),
        ("an escaped slash", good(), "/live1%2Fa.ts", Path),
        ("a doubled slash", good(), "//live1/a.ts", Path),
        ("another extension", good(), "/live1.m3u8", Path),
        ("the path as a suffix", good(), "/x/live1/a.ts", Path),
        ("revoked", with(|claims| claims.id = Some("stolen-1".to_owned())), "/live1/a.ts", Revoked),
        (
            "revoked by prefix",
            with(|claims| claims.id = Some("class-3-b".to_owned())),
            "/live1/a.ts",
            Revoked,
        ),
        ("another address", with(|claims| claims.ip = Some("192.0.2.2".to_owned())), "/live1/a.ts", Address),
        (
            "another network",
            with(|claims| claims.ip = Some("192.0.3.0/24".to_owned())),
            "/live1/a.ts",
            Address,
        ),
        ("an unknown country", with(|claims| claims.cc = vec!["DE".to_owned()]), "/live1/a.ts", Country),
    ]
}

/// Texts that are no tokens, though some of them have a valid MAC.
fn malformed() -> Vec<Forgery> {
    let good = signed(&claims("/live1"));
    let (head, mac) = good.rsplit_once('.').unwrap();
    let last = good.len() - 1;
    let rows = [
        ("nothing", String::new()),
        ("a path with dot segments", with(|claims| claims.path = "/a/../".to_owned())),
        ("an encoded dot segment", with(|claims| claims.path = "/a/%2e%2e/".to_owned())),
        ("an empty path", with(|claims| claims.path = String::new())),
        ("a relative path", with(|claims| claims.path = "live1".to_owned())),
        ("the last byte cut off", good[..last].to_owned()),
        ("the MAC cut in half", good[..good.len() - 20].to_owned()),
        ("no dot", good.replace('.', "")),
        ("an empty payload", format!("tg1..{mac}")),
        ("another version", good.replace("tg1.", "tg2.")),
        ("padding", format!("{good}=")),
        ("a blank", format!("{good} ")),
        ("the standard alphabet", format!("{head}.{}", mac.replace(['-', '_'], "+") + "+")),
        ("escaped", good.replace('.', "%2E")),
        ("a claim that is not known", made("{\"exp\":1800000060,\"path\":\"/\",\"x\":1}", SECRET)),
        ("a repeated claim", made("{\"exp\":1800000060,\"exp\":9,\"path\":\"/\"}", SECRET)),
        ("no expiry", made("{\"path\":\"/\"}", SECRET)),
        ("a negative expiry", made("{\"exp\":-1,\"path\":\"/\"}", SECRET)),
        ("text after the payload", made("{\"exp\":1800000060,\"path\":\"/\"}x", SECRET)),
        ("no address", with(|claims| claims.ip = Some("any".to_owned()))),
        ("a very long one", format!("tg1.{}.{mac}", "A".repeat(BYTES_MAX))),
    ];
    rows.map(|(name, token)| (name, token, "/live1/a.ts", Refusal::Malformed)).into()
}

/// Tokens that no key has signed.
fn unsigned() -> Vec<Forgery> {
    use Refusal::{Algorithm, Signature, UnknownKey};
    let good = signed(&claims("/live1"));
    let (head, mac) = good.rsplit_once('.').unwrap();
    let (payload, last) = (&head[4..], good.len() - 1);
    let foreign = |id: &str| sign(&claims("/live1"), &Key::parse(id, FOREIGN).unwrap()).unwrap();
    let raised = encode(br#"{"kid":"new","exp":9900000060,"path":"/live1"}"#);
    let wider = encode(br#"{"kid":"new","exp":1800000060,"path":"/"}"#);
    let none = format!("{}.{}.", encode(br#"{"alg":"none"}"#), encode(br#"{"exp":9900000060}"#));
    let hs256 = format!("{}.{payload}.{mac}", encode(br#"{"alg":"none","typ":"JWT"}"#));
    let unnamed = "{\"exp\":1800000060,\"path\":\"/\"}";
    let other_key = "{\"kid\":\"old\",\"exp\":1800000060,\"path\":\"/\"}";
    let gone_key = "{\"kid\":\"older\",\"exp\":1800000060,\"path\":\"/\"}";
    let rows = [
        ("a shorter MAC", format!("{head}.{}", &mac[..40]), Signature),
        ("no MAC", format!("{head}."), Signature),
        ("a later expiry", format!("tg1.{raised}.{mac}"), Signature),
        ("a wider path", format!("tg1.{wider}.{mac}"), Signature),
        ("the MAC of another token", format!("{head}.{}", &signed(&claims("/"))[last - 42..]), Signature),
        ("a foreign key", foreign("new"), Signature),
        ("a foreign key of another name", foreign("other"), UnknownKey),
        ("a foreign key without a name", made(unnamed, FOREIGN), Signature),
        ("the name of the other key", made(other_key, SECRET), Signature),
        ("a key that is gone", made(gone_key, OLD), UnknownKey),
        ("algorithm none", none, Algorithm),
        ("a JWT head before our payload", hs256, Algorithm),
    ];
    rows.map(|(name, token, refusal)| (name, token, "/live1/a.ts", refusal)).into()
}

#[test]
fn forgeries_are_refused() {
    let rows = [misused(), malformed(), unsigned()].concat();
    assert!(rows.len() >= 40);
    assert_eq!(at(&signed(&claims("/live1")), "/live1/a.ts"), Ok(()));
    for (name, token, path, refusal) in rows {
        assert_eq!(at(&token, path), Err(refusal), "{name}");
    }
}

proptest! {
    #[test]
    fn no_text_makes_verify_panic(token in r"(tg1|eyJ[A-Za-z0-9]{0,8})?[A-Za-z0-9_.=%-]{0,80}") {
        prop_assert!(at(&token, "/a").is_err());
    }

    #[test]
    fn one_changed_character_makes_a_token_invalid(place in 0_usize..200, replacement in "[A-Za-z0-9_.-]") {
        let good = signed(&claims("/live1"));
        let place = place % good.len();
        let mut changed = good.clone();
        changed.replace_range(place..=place, &replacement);
        prop_assume!(changed != good);
        prop_assert!(at(&changed, "/live1/a.ts").is_err());
    }

    #[test]
    fn a_token_admits_its_path_and_nothing_beside_it(
        prefix in "(/[a-c]{1,2}){1,3}/?",
        path in "(/[a-c]{1,2}){1,4}",
    ) {
        let admits = at(&signed(&claims(&prefix)), &path).is_ok();
        let components = |text: &str| -> Vec<String> {
            text.split('/').filter(|part| !part.is_empty()).map(str::to_owned).collect()
        };
        let is_below = components(&path).starts_with(&components(&prefix));
        let is_itself = components(&path) == components(&prefix) && prefix.ends_with('/');
        prop_assert_eq!(admits, is_below && !is_itself);
    }
}
