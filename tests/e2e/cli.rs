//! The program as an operator sees it: its output and its exit codes.

use std::path::{Path, PathBuf};

use tidegate_origin_stub::synthetic_bytes;
use tidegate_tests::{Process, Signal, edge, origin, tidegate, until, viewer};

#[tokio::test(flavor = "multi_thread")]
async fn the_files_in_conf_are_valid() {
    for name in ["edge.toml", "shield.toml", "origin-stub.toml"] {
        let file = conf(name);
        let checked = tidegate(&["check", "--config", file.to_str().unwrap()]).await;
        assert_eq!(checked.code, Some(0), "{}", checked.stderr);
        assert_eq!(checked.stdout, format!("{}: OK\n", file.display()));
        assert_eq!(checked.stderr, "");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invalid_file_is_reported_with_line_column_and_field() {
    let folder = tempfile::tempdir().unwrap();
    for (name, text, place, field) in [
        ("edge.toml", "node = \"edge-1\"\nshieldz = []\n", "2:1", "shieldz"),
        ("edge.toml", "[cache]\nmemory = \"8 acres\"\n", "2:10", "memory"),
        ("edge.toml", "[cache]\nmemory = 5\n", "2:10", "cache.memory: 5 is not a size; write \"256MiB\""),
        (
            "edge.toml",
            "[site]\nname = \"a\"\n",
            "1:1",
            "site: a table is not a list of tables; write [[site]]",
        ),
        ("edge.toml", "[cache]\nmemory = \"8MiB\"\nobject_max = \"64MiB\"\n", "3:1", "cache.object_max"),
        ("edge.toml", "[[site]]\nhosts = [\n", "2:10", "unclosed"),
        ("shield.toml", "[[site]]\norigins = [\"ftp://x\"]\n", "2:12", "origins"),
        (
            "shield.toml",
            "[listen]\nviewers = \"nowhere\"\n",
            "2:11",
            "listen.viewers: \"nowhere\" is not an address",
        ),
        (
            "origin-stub.toml",
            "listen = \"8088\"\n",
            "1:10",
            "listen: \"8088\" is not an address; write IP:port",
        ),
        ("origin-stub.toml", "[live]\nwindow = 6\n", "2:1", "window"),
        ("origin-stub.toml", "[live]\nwindow_segments = 0\n", "2:19", "window_segments"),
    ] {
        let file = folder.path().join(name);
        std::fs::write(&file, text).unwrap();
        let file = file.to_str().unwrap();
        let part = name.trim_end_matches(".toml");
        for arguments in [["check", "--config", file], [part, "--config", file]] {
            let ended = tidegate(&arguments).await;
            assert_eq!(ended.code, Some(78), "{arguments:?}: {}", ended.stderr);
            let begin = format!("tidegate: {file}:{place}: ");
            assert!(ended.stderr.starts_with(&begin), "{begin} {}", ended.stderr);
            assert!(ended.stderr.contains(field), "{}", ended.stderr);
            assert_eq!(ended.stdout, "");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_guesses_the_tier_from_the_keys_and_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("mine.toml");
    let file = file.to_str().unwrap();
    for text in ["listen = \"127.0.0.1:0\"\nadmin = \"127.0.0.1:0\"\n", "[event]\nsegments_max = 20\n"] {
        std::fs::write(file, text).unwrap();
        let checked = tidegate(&["check", "--config", file]).await;
        assert_eq!((checked.code, checked.stderr.as_str()), (Some(0), ""), "{text}");
    }

    std::fs::write(file, "[unknown]\n").unwrap();
    let guessed = tidegate(&["check", "--config", file]).await;
    assert_eq!(guessed.code, Some(78));
    let end = " (checked as an edge; choose another part with --tier)\n";
    assert!(guessed.stderr.ends_with(end), "{}", guessed.stderr);
    let forced = tidegate(&["check", "--config", file, "--tier", "shield"]).await;
    assert_eq!((forced.code, forced.stderr.contains("--tier")), (Some(78), false), "{}", forced.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_file_is_a_configuration_error() {
    for arguments in [["check", "--config", "/nonexistent.toml"], ["edge", "--config", "/nonexistent.toml"]] {
        let ended = tidegate(&arguments).await;
        assert_eq!(ended.code, Some(78));
        assert!(ended.stderr.starts_with("tidegate: /nonexistent.toml: "), "{}", ended.stderr);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_usage_exits_with_code_two() {
    for arguments in
        [&["edge", "--no-such-flag"][..], &["no-such-command"], &["check"], &["edge", "--config"], &[]]
    {
        let ended = tidegate(arguments).await;
        assert_eq!(ended.code, Some(2), "{arguments:?}: {}", ended.stderr);
        assert!(ended.stderr.contains("--help"), "{arguments:?}: {}", ended.stderr);
        assert_eq!(ended.stdout, "");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn help_and_version_exit_with_code_zero() {
    let help = tidegate(&["--help"]).await;
    assert_eq!(help.code, Some(0));
    for command in ["edge", "shield", "origin-stub", "check", "demo"] {
        assert!(help.stdout.contains(command), "{}", help.stdout);
        let more = tidegate(&[command, "--help"]).await;
        assert_eq!(more.code, Some(0), "{command}");
        assert!(more.stdout.contains("Usage: tidegate "), "{}", more.stdout);
    }
    let version = tidegate(&["--version"]).await;
    assert_eq!(
        (version.code, version.stdout),
        (Some(0), format!("tidegate {}\n", env!("CARGO_PKG_VERSION")))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_in_use_is_named_and_exits_with_code_one() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let folder = tempfile::tempdir().unwrap();
    for (part, text) in [
        ("edge", format!("[listen]\nviewers = \"{address}\"\noperators = \"127.0.0.1:0\"\n")),
        ("edge", format!("[listen]\nviewers = \"127.0.0.1:0\"\noperators = \"{address}\"\n")),
        ("origin-stub", format!("listen = \"{address}\"\nadmin = \"127.0.0.1:0\"\n")),
    ] {
        let file = folder.path().join(format!("{part}.toml"));
        std::fs::write(&file, text).unwrap();
        let ended = tidegate(&[part, "--config", file.to_str().unwrap()]).await;
        assert_eq!(ended.code, Some(1), "{}", ended.stderr);
        assert!(ended.stderr.contains(&address.to_string()), "{}", ended.stderr);
        assert!(ended.stderr.contains("in use"), "{}", ended.stderr);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn three_processes_serve_their_configuration_and_end_on_ctrl_c() {
    let stub = "listen = \"127.0.0.1:0\"\nadmin = \"127.0.0.1:0\"\n";
    let mut stub = Process::start("origin-stub", stub).await;
    let listen = "[listen]\nviewers = \"127.0.0.1:0\"\noperators = \"127.0.0.1:0\"\n";
    let shield = format!("{listen}[[site]]\norigins = [\"http://{}\"]\n", stub.addr());
    let mut shield = Process::start("shield", &shield).await;
    let edge = format!("shields = [\"http://{}\"]\n{listen}", shield.addr());
    let mut edge = Process::start("edge", &edge).await;

    viewer(edge.addr()).get("/bytes/1000").await.is(200, &synthetic_bytes("/bytes/1000", 0..1000));
    let playlist = viewer(edge.addr()).get("/live/ch1/ts/index.m3u8").await;
    assert!(playlist.text().starts_with("#EXTM3U\n"), "{}", playlist.text());

    for process in [&mut edge, &mut shield, &mut stub] {
        process.signal(Signal::Interrupt).await;
        assert_eq!(process.ended().await.code(), Some(0), "{}", process.log_output());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_is_plain_text_when_standard_error_is_not_a_terminal() {
    let origin = origin().run().await;
    let edge = edge().origin(&origin).spawn().await;
    until("it has said that it is ready", async || edge.log_output().contains("ready")).await;
    assert!(!edge.log_output().contains('\u{1b}'), "{}", edge.log_output());
}

fn conf(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("conf").join(name)
}
