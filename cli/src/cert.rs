//! `tidegate cert`: certificates for development.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result};
use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose, KeyPair, KeyUsagePurpose, date_time_ymd};

/// What to do with certificates.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Make a self-signed certificate for development: dev.pem and its key, dev.key
    Dev(Dev),
}

/// A certificate for development.
#[derive(Debug, clap::Args)]
pub(crate) struct Dev {
    /// A host name or an address in the certificate; repeat the flag for more [default: localhost and
    /// the loopback addresses]
    #[arg(long = "host", value_name = "HOST")]
    hosts: Vec<String>,
    /// The folder for both files
    #[arg(long, value_name = "FOLDER", default_value = ".")]
    out: PathBuf,
    /// Days until the certificate expires
    #[arg(long, value_name = "DAYS", default_value_t = 90)]
    days: u32,
    /// Replace files that exist
    #[arg(long)]
    force: bool,
}

const DAY: Duration = Duration::from_hours(24);

/// Runs one command.
pub(crate) fn run(command: &Command) -> Result<()> {
    let Command::Dev(dev) = command;
    let (certificate, key) = make(&dev.hosts, dev.days)?;
    let path = |name: &str| dev.out.join(name);
    write(&path("dev.key"), &key, dev.force)?;
    write(&path("dev.pem"), &certificate, dev.force)?;
    let (certificate, key) = (path("dev.pem"), path("dev.key"));
    writeln!(
        std::io::stdout().lock(),
        "[listen.tls]\naddress = \"127.0.0.1:8443\"\ncertificate = {:?}\nkey = {:?}",
        certificate.display().to_string(),
        key.display().to_string()
    )
    .context("standard output is closed")
}

/// A certificate and its key, in PEM.
fn make(hosts: &[String], days: u32) -> Result<(String, String)> {
    let hosts = match hosts {
        [] => ["localhost", "127.0.0.1", "::1"].map(str::to_owned).to_vec(),
        hosts => hosts.to_vec(),
    };
    let mut params = CertificateParams::new(hosts).context("--host: neither a host name nor an address")?;
    params.distinguished_name.push(DnType::CommonName, "Tidegate, for development");
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    #[expect(clippy::disallowed_methods, reason = "a certificate begins now")]
    let now = SystemTime::now().duration_since(UNIX_EPOCH).context("the clock is before 1970")?;
    let at = |since: Duration| date_time_ymd(1970, 1, 1) + since;
    params.not_before = at(now.saturating_sub(DAY));
    params.not_after = at(now + DAY * days);
    let key = KeyPair::generate().context("cannot make a key")?;
    let certificate = params.self_signed(&key).context("cannot make a certificate")?;
    Ok((certificate.pem(), key.serialize_pem()))
}

/// Writes a file that its owner alone can read.
fn write(path: &Path, text: &str, is_forced: bool) -> Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).mode(0o600);
    if is_forced {
        options.create(true).truncate(true)
    } else {
        options.create_new(true)
    };
    let written = options.open(path).and_then(|mut file| file.write_all(text.as_bytes()));
    written.with_context(|| format!("{}: cannot be written (--force replaces it)", path.display()))
}
