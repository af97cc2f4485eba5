//! Tokens by hand: `tidegate token sign` and `tidegate token verify`.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use tidegate_access::Cidr;
use tidegate_access::token::{Claims, Prefix, Visit, sign, verify};
use tidegate_edge::{Config, Period, TokenFiles, site};

/// What to do with a token.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Sign a token, and print what a web page puts into the player's URL
    Sign(Sign),
    /// Check a token as an edge does: print what it grants, or why it is refused
    Verify(Verify),
}

/// The site of a token.
#[derive(Debug, clap::Args)]
pub(crate) struct Signer {
    /// The configuration file of an edge
    #[arg(short, long, value_name = "FILE", env = "TIDEGATE_CONFIG")]
    config: PathBuf,
    /// The name of the site [default: the only site with keys]
    #[arg(long, value_name = "NAME")]
    site: Option<String>,
}

/// A token to sign.
#[derive(Debug, clap::Args)]
pub(crate) struct Sign {
    #[command(flatten)]
    signer: Signer,
    /// The path prefix that the token grants, such as `/live/`
    #[arg(long, value_name = "PREFIX")]
    path: String,
    /// When the token expires, from now on, such as `2h`
    #[arg(long, value_name = "PERIOD")]
    expires: Period,
    /// Where the player has the token
    #[arg(long, value_enum, default_value = "path")]
    carrier: Carrier,
    /// The viewer's address, or a prefix such as `192.0.2.0/24`
    #[arg(long, value_name = "ADDRESS")]
    address: Option<String>,
    /// A country that the token is for, such as `DE`; may be repeated
    #[arg(long, value_name = "CODE")]
    country: Vec<String>,
    /// The token's id, by which it can be revoked
    #[arg(long, value_name = "ID")]
    id: Option<String>,
    /// The name of the key [default: the last one that is a secret]
    #[arg(long, value_name = "NAME")]
    key: Option<String>,
}

/// A token to verify.
#[derive(Debug, clap::Args)]
pub(crate) struct Verify {
    #[command(flatten)]
    signer: Signer,
    /// The token
    token: String,
    /// The path of a request
    #[arg(long, value_name = "PATH")]
    path: String,
    /// The address of the viewer
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1")]
    address: IpAddr,
    /// The country of the viewer
    #[arg(long, value_name = "CODE")]
    country: Option<String>,
}

/// Where a player has its token.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Carrier {
    /// `/~TOKEN/live/`: the beginning of the path
    Path,
    /// `token=TOKEN`: for the query
    Query,
    /// `token=TOKEN`: for a cookie
    Cookie,
}

impl Command {
    /// The configuration file.
    pub(crate) fn config(&self) -> &Path {
        match self {
            Self::Sign(sign) => &sign.signer.config,
            Self::Verify(verify) => &verify.signer.config,
        }
    }
}

/// Runs the command, and returns the line to print.
///
/// # Errors
/// When there is no such site or key, and when a token is refused.
pub(crate) fn run(command: &Command, config: &Config) -> anyhow::Result<String> {
    match command {
        Command::Sign(command) => signed(command, config),
        Command::Verify(command) => verified(command, config),
    }
}

fn signed(command: &Sign, config: &Config) -> anyhow::Result<String> {
    let site = site(&command.signer, config)?;
    let files = TokenFiles::load(&site.token).context("site.token")?;
    let key = match &command.key {
        Some(name) => files.keys.all().iter().find(|key| key.id() == name),
        None => files.keys.signer(),
    };
    let key = key.context("the site has no such key; a public key cannot sign")?;
    let prefix = Prefix::parse(&command.path)?;
    if let Some(address) = &command.address {
        let _network: Cidr =
            address.parse().ok().with_context(|| format!("{address:?} is not an address"))?;
    }
    let claims = Claims {
        exp: now() + command.expires.get().as_secs(),
        path: prefix.as_str().to_owned(),
        id: command.id.clone(),
        ip: command.address.clone(),
        cc: command.country.clone(),
        ..Claims::default()
    };
    let token = sign(&claims, key).context("a public key cannot sign")?;
    Ok(match command.carrier {
        Carrier::Path => format!("/~{token}{}", prefix.as_str()),
        Carrier::Query => format!("{}={token}", site.token.parameter),
        Carrier::Cookie => format!("{}={token}", site.token.cookie),
    })
}

fn verified(command: &Verify, config: &Config) -> anyhow::Result<String> {
    let site = site(&command.signer, config)?;
    let files = TokenFiles::load(&site.token).context("site.token")?;
    let path = Prefix::parse(&command.path)?;
    let visit = Visit {
        method: "GET",
        host: "localhost",
        path: path.as_str(),
        query: None,
        address: command.address,
        country: command.country.as_deref(),
    };
    let grant = verify(&command.token, &files.keys, &files.revoked);
    let now = now();
    let admitted = grant.and_then(|grant| grant.admits(&visit, now).map(|()| grant));
    let grant = admitted.map_err(|refusal| anyhow::anyhow!("{}: {refusal}", refusal.code()))?;
    let id = grant.id().map(|id| format!(", id {id}")).unwrap_or_default();
    Ok(format!("valid for {} seconds{id}", grant.expires().saturating_sub(now)))
}

/// The site of the command.
fn site<'a>(signer: &Signer, config: &'a Config) -> anyhow::Result<&'a site::Config> {
    let mut sites = config.site.iter().filter(|site| !site.token.keys.is_empty());
    let Some(name) = &signer.site else {
        let only = sites.next().context("no site has keys under [site.token]")?;
        anyhow::ensure!(sites.next().is_none(), "several sites have keys; choose one with --site");
        return Ok(only);
    };
    sites.find(|site| site.name.as_str() == name).with_context(|| format!("no site {name:?} has keys"))
}

/// Seconds since 1970.
#[expect(clippy::disallowed_methods, reason = "the one place of the command that reads wall time")]
fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
