//! A scan of an edge's TLS with sslyze: which protocols and cipher suites it accepts, and whether it has a
//! known weakness.

use std::collections::BTreeSet;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::node::Node;
use crate::repository::Repository;
use crate::tally::Tally;
use crate::{needs, shell};

/// The protocols that must be refused.
const REFUSED: [&str; 4] = ["ssl_2_0", "ssl_3_0", "tls_1_0", "tls_1_1"];
/// The cipher suites of TLS 1.2 and 1.3 that are accepted: all have forward secrecy and authenticated
/// encryption. There is no CBC, no RC4, no export suite, and no key exchange by RSA.
const ACCEPTED: [&str; 6] = [
    "TLS_AES_128_GCM_SHA256",
    "TLS_AES_256_GCM_SHA384",
    "TLS_CHACHA20_POLY1305_SHA256",
    "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
    "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
    "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
];

/// Runs the scan, which is one test.
pub(crate) fn run(repository: &Repository) -> Tally {
    let found = scan(repository).and_then(|report| faults(&report));
    let faults = found.unwrap_or_else(|error| vec![format!("{error:#}")]);
    for fault in &faults {
        eprintln!("TLS scan: {fault}");
    }
    let word = if faults.is_empty() { "ok" } else { "FAILED" };
    println!("test a scanner finds only safe protocols and cipher suites ... {word}");
    Tally::one(faults.is_empty())
}

/// The report of sslyze about an edge with the default configuration.
fn scan(repository: &Repository) -> Result<Value> {
    let folder = repository.target().join("scanner");
    std::fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
    let tidegate = repository.tidegate();
    let mut certificate = Command::new(&tidegate);
    certificate.args(["cert", "dev", "--force", "--out"]).arg(&folder);
    ensure!(shell::succeeds(&mut certificate)?, "no certificate: {}", shell::describe(&certificate));
    // A node says where it listens without TLS only.
    let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let write = |viewers, operators| configuration(&folder, viewers, operators, address);
    let _edge = Node::start(&[tidegate.into_os_string()], &folder, "edge", "edge", write)?;
    let report = folder.join("report.json");
    let mut sslyze = Command::new("python3");
    sslyze.env("PYTHONPATH", needs::sslyze_folder(repository)).args(["-m", "sslyze", "--quiet"]);
    // Its check of the certificate is of no use: that is self-signed. Its check of resumption takes a session
    // with a new ticket for one that was not resumed.
    sslyze.args(["--sslv2", "--sslv3", "--tlsv1", "--tlsv1_1", "--tlsv1_2", "--tlsv1_3"]);
    sslyze.args(["--heartbleed", "--openssl_ccs", "--robot", "--reneg", "--compression"]);
    sslyze.args(["--fallback", "--mozilla_config=disable", "--json_out"]).arg(&report);
    sslyze.arg(address.to_string());
    ensure!(shell::succeeds(&mut sslyze)?, "no scan: {}", shell::describe(&sslyze));
    let text = std::fs::read_to_string(&report).with_context(|| report.display().to_string())?;
    serde_json::from_str(&text).context("the report")
}

fn configuration(folder: &Path, viewers: SocketAddr, operators: SocketAddr, tls: SocketAddr) -> String {
    let (certificate, key) = (folder.join("dev.pem"), folder.join("dev.key"));
    format!(
        "shields = []\n[listen]\nviewers = \"{viewers}\"\noperators = \"{operators}\"\n\
         [listen.tls]\naddress = \"{tls}\"\ncertificate = \"{}\"\nkey = \"{}\"\n\
         [upstream.probe]\nkind = \"off\"\n[log]\naccess = \"off\"\n\
         [[site]]\norigins = [\"http://127.0.0.1:9\"]\n",
        certificate.display(),
        key.display()
    )
}

/// What a report says against an edge.
fn faults(report: &Value) -> Result<Vec<String>> {
    let results = report.pointer("/server_scan_results/0/scan_result").context("a result")?;
    let result = |command: &str| {
        let found =
            results.get(command).and_then(|found| found.get("result")).filter(|found| !found.is_null());
        found.with_context(|| format!("{command}: no result"))
    };
    let suites = |version: &str| -> Result<BTreeSet<String>> {
        let found = result(&format!("{version}_cipher_suites"))?.get("accepted_cipher_suites");
        let found = found.and_then(Value::as_array).with_context(|| format!("{version}: no suites"))?;
        Ok(found
            .iter()
            .filter_map(|suite| suite.pointer("/cipher_suite/name")?.as_str())
            .map(str::to_owned)
            .collect())
    };
    let mut faults = Vec::new();
    for version in REFUSED {
        let accepted = suites(version)?;
        if !accepted.is_empty() {
            faults.push(format!("{version} is accepted: {accepted:?}"));
        }
    }
    let accepted = suites("tls_1_2")?.into_iter().chain(suites("tls_1_3")?).collect::<BTreeSet<_>>();
    let expected: BTreeSet<_> = ACCEPTED.iter().map(|name| (*name).to_owned()).collect();
    if accepted != expected {
        faults.push(format!("accepted are {accepted:?}"));
    }
    for (command, field, good) in [
        ("heartbleed", "/is_vulnerable_to_heartbleed", Value::from(false)),
        ("openssl_ccs_injection", "/is_vulnerable_to_ccs_injection", Value::from(false)),
        ("robot", "/robot_result", Value::from("NOT_VULNERABLE_RSA_NOT_SUPPORTED")),
        ("session_renegotiation", "/supports_secure_renegotiation", Value::from(true)),
        ("session_renegotiation", "/is_vulnerable_to_client_renegotiation_dos", Value::from(false)),
        ("tls_compression", "/supports_compression", Value::from(false)),
        ("tls_fallback_scsv", "/supports_fallback_scsv", Value::from(true)),
    ] {
        let found = result(command)?.pointer(field);
        if found != Some(&good) {
            faults.push(format!("{command}{field} is {found:?}"));
        }
    }
    Ok(faults)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// A report of a server that accepts these suites of TLS 1.0 and of TLS 1.2.
    fn report(old: &[&str], new: &[&str]) -> Value {
        let suites = |names: &[&str]| {
            let listed = names.iter().map(|name| json!({ "cipher_suite": { "name": name } }));
            json!({ "result": { "accepted_cipher_suites": listed.collect::<Vec<_>>() } })
        };
        let mut result = json!({
            "tls_1_0_cipher_suites": suites(old), "tls_1_2_cipher_suites": suites(new),
            "heartbleed": { "result": { "is_vulnerable_to_heartbleed": false } },
            "openssl_ccs_injection": { "result": { "is_vulnerable_to_ccs_injection": false } },
            "robot": { "result": { "robot_result": "NOT_VULNERABLE_RSA_NOT_SUPPORTED" } },
            "session_renegotiation": { "result": {
                "supports_secure_renegotiation": true, "is_vulnerable_to_client_renegotiation_dos": false } },
            "tls_compression": { "result": { "supports_compression": false } },
            "tls_fallback_scsv": { "result": { "supports_fallback_scsv": true } },
        });
        for version in ["ssl_2_0", "ssl_3_0", "tls_1_1", "tls_1_3"] {
            result[format!("{version}_cipher_suites")] = suites(&[]);
        }
        json!({ "server_scan_results": [{ "scan_result": result }] })
    }

    #[test]
    fn an_old_protocol_and_any_other_list_of_suites_are_faults() {
        assert_eq!(faults(&report(&[], &ACCEPTED)).unwrap(), [""; 0]);
        let old = faults(&report(&["TLS_RSA_WITH_AES_128_CBC_SHA"], &ACCEPTED)).unwrap();
        assert!(old.len() == 1 && old[0].starts_with("tls_1_0 is accepted"), "{old:?}");
        for other in [&ACCEPTED[1..], &[&ACCEPTED[..], &["TLS_RSA_WITH_RC4_128_SHA"]].concat()] {
            assert!(faults(&report(&[], other)).unwrap()[0].starts_with("accepted are"));
        }
    }

    #[test]
    fn a_report_without_a_result_is_an_error() {
        assert!(faults(&json!({ "server_scan_results": [{ "scan_result": {} }] })).is_err());
    }
}
