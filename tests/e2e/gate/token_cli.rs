//! `tidegate token`, and the signing samples of docs/tokens.md.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use tidegate_tests::{tidegate, viewer};

use super::token::{Gated, PLAYLIST, SECRET};

/// A configuration file with the keys of the gate.
fn config(gated: &Gated) -> PathBuf {
    let path = gated.files.path().join("edge.toml");
    let keys = gated.files.path().join("keys");
    std::fs::write(
        &path,
        format!("[[site]]\nname = \"school\"\n[site.token]\nkeys = [\"{}\"]\n", keys.display()),
    )
    .unwrap();
    path
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signed_line_is_what_the_edge_accepts() {
    let gated = Gated::new().await;
    let file = config(&gated).display().to_string();
    let sign = async |more: &[&str]| {
        let arguments = [
            "token",
            "sign",
            "--config",
            &file,
            "--site",
            "school",
            "--path",
            "/vod/film/",
            "--expires",
            "2h",
        ];
        let finished = tidegate(&[&arguments[..], more].concat()).await;
        assert_eq!(finished.code, Some(0), "{}", finished.stderr);
        finished.stdout.trim_end().to_owned()
    };
    let path = sign(&[]).await;
    let rest = PLAYLIST.strip_prefix("/vod/film/").unwrap();
    assert_eq!(gated.get(&format!("{path}{rest}")).await.status, 200, "{path}");
    let query = sign(&["--carrier", "query", "--address", "127.0.0.0/8"]).await;
    assert_eq!(gated.get(&format!("{PLAYLIST}?{query}")).await.status, 200, "{query}");
    let cookie = sign(&["--carrier", "cookie", "--id", "viewer-17"]).await;
    assert_eq!(viewer(gated.edge.addr()).header("cookie", &cookie).get(PLAYLIST).await.status, 200);
    let elsewhere = sign(&["--carrier", "query", "--address", "192.0.2.1"]).await;
    assert_eq!(
        gated.get(&format!("{PLAYLIST}?{elsewhere}")).await.header("tidegate-refusal"),
        "token-address"
    );

    let token = cookie.strip_prefix("token=").unwrap();
    let verify =
        async |path: &str| tidegate(&["token", "verify", "--config", &file, token, "--path", path]).await;
    let good = verify(PLAYLIST).await;
    assert_eq!(good.code, Some(0), "{}", good.stderr);
    assert!(good.stdout.starts_with("valid for 7") && good.stdout.contains("viewer-17"), "{}", good.stdout);
    let bad = verify("/vod/film2/").await;
    assert_eq!(bad.code, Some(1));
    assert!(bad.stderr.contains("token-path: the token is for another path"), "{}", bad.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_key_file_stops_the_start_and_names_the_field() {
    let gated = Gated::new().await;
    let file = config(&gated);
    std::fs::write(gated.files.path().join("keys/a.key"), "short").unwrap();
    let finished = tidegate(&["check", "--config", &file.display().to_string()]).await;
    assert_eq!(finished.code, Some(78));
    assert!(
        finished.stderr.contains(":4:1: site.token.keys: ")
            && finished.stderr.contains("a.key: a secret needs"),
        "{}",
        finished.stderr
    );
}

/// The samples as docs/tokens.md shows them. An interpreter that is not installed is left out, and the test
/// names it.
#[tokio::test(flavor = "multi_thread")]
#[expect(clippy::print_stderr, reason = "a reader of the test sees which samples have run")]
async fn the_samples_of_the_documentation_sign_tokens_that_the_edge_accepts() {
    let gated = Gated::new().await;
    let documentation =
        std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/tokens.md")).unwrap();
    let mut ran = 0;
    for (language, name, program, arguments) in [
        ("js", "sign.mjs", "node", &[][..]),
        ("python", "sign.py", "python3", &[]),
        ("php", "sign.php", "php", &[]),
        ("go", "sign.go", "go", &["run"]),
    ] {
        let sample = sample(&documentation, language);
        let file = gated.files.path().join(name);
        std::fs::write(&file, sample).unwrap();
        std::fs::write(gated.files.path().join("a.key"), format!("{SECRET}\n")).unwrap();
        let command = tokio::process::Command::new(program)
            .args(arguments)
            .arg(&file)
            .current_dir(gated.files.path())
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output();
        let output = match tokio::time::timeout(std::time::Duration::from_mins(2), command)
            .await
            .expect("an end in time")
        {
            Ok(output) => output,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                eprintln!("{program} is not installed: the sample for {language} has not run");
                continue;
            }
            Err(error) => panic!("{program}: {error}"),
        };
        let token = String::from_utf8(output.stdout).unwrap().trim().to_owned();
        assert!(output.status.success(), "{language}: {}", String::from_utf8_lossy(&output.stderr));
        let response = gated.get(&format!("/~{token}{PLAYLIST}")).await;
        assert_eq!(response.status, 200, "{language}: {token}: {}", response.text());
        let other = gated.get(&format!("/~{token}/live/ch1/ts/index.m3u8")).await;
        assert_eq!(other.header("tidegate-refusal"), "token-path", "{language}");
        ran += 1;
    }
    assert!(ran > 0, "no interpreter is installed");
}

/// The code block of a language.
fn sample<'a>(documentation: &'a str, language: &str) -> &'a str {
    let (_, rest) = documentation.split_once(&format!("```{language}\n")).expect("a sample");
    rest.split_once("\n```").expect("its end").0
}
