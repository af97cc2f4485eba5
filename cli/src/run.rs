//! Runs the command of the command line, and turns its result into an exit code.

use std::fmt::Display;
use std::io::{IsTerminal as _, Write as _};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use tidegate_edge::Control;
use tidegate_edge::check::Problem;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

use crate::args::{Args, Command, Part};
use crate::cert;
use crate::demo;

/// `EX_CONFIG` of sysexits: the configuration is invalid, and a restart will not help.
const EXIT_CONFIG: u8 = 78;

/// The cause of a failure.
enum Fault {
    /// An invalid configuration file.
    Config(String),
    /// Anything else.
    Runtime(anyhow::Error),
}

impl From<anyhow::Error> for Fault {
    fn from(error: anyhow::Error) -> Self {
        Self::Runtime(error)
    }
}

/// Runs one command to its end.
pub(crate) fn command(args: Args) -> ExitCode {
    match start(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Fault::Config(problem)) => {
            complain(&problem);
            ExitCode::from(EXIT_CONFIG)
        }
        Err(Fault::Runtime(error)) => {
            complain(&format!("{error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn start(args: Args) -> Result<(), Fault> {
    log_to_stderr(args.log())?;
    if let Command::Check { config, tier } = &args.command {
        check(config, *tier)?;
        writeln!(std::io::stdout().lock(), "{}: OK", config.display())
            .context("standard output is closed")?;
        return Ok(());
    }
    if let Command::Cert { command } = &args.command {
        return Ok(cert::run(command)?);
    }
    if let Command::Token(command) = &args.command {
        return token(command);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_name("tidegate")
        .build()
        .context("cannot start the runtime")?;
    runtime.block_on(serve(args.command))
}

async fn serve(command: Command) -> Result<(), Fault> {
    match command {
        Command::Demo(options) => Ok(demo::run(options).await?),
        Command::Edge(file) => {
            let config = read(file.config.as_deref(), tidegate_edge::Config::parse)?;
            let edge = tidegate_edge::Edge::load_from(config, file.config.as_deref()).await?;
            let reloader = Arc::clone(edge.node().reloader());
            on_hangup(move || drop(reloader.reload()))?;
            say_where("edge", &edge.addr()?, &edge.admin_addr()?);
            Ok(edge.run(shutdown_signal()?).await?)
        }
        Command::Shield(file) => {
            let config = read(file.config.as_deref(), tidegate_shield::Config::parse)?;
            let shield = tidegate_shield::Shield::load_from(config, file.config.as_deref()).await?;
            let reloader = Arc::clone(shield.node().reloader());
            on_hangup(move || drop(reloader.reload()))?;
            say_where("shield", &shield.addr()?, &shield.admin_addr()?);
            Ok(shield.run(shutdown_signal()?).await?)
        }
        Command::OriginStub(file) => {
            let config = read(file.config.as_deref(), parse_stub)?;
            let stub = tidegate_origin_stub::OriginStub::load(config).await?;
            say_where("origin-stub", &stub.addr(), &stub.admin_addr());
            Ok(stub.run(shutdown_signal()?).await?)
        }
        Command::Purge(options) => purge(&options).await,
        // Done in `start`, without a runtime.
        Command::Check { .. } | Command::Cert { .. } | Command::Token(_) => Ok(()),
    }
}

async fn purge(options: &crate::purge::Options) -> Result<(), Fault> {
    let file = options.config.as_deref().map(control).transpose()?;
    Ok(crate::purge::run(options, file, |line| {
        writeln!(std::io::stdout().lock(), "{line}").context("standard output is closed")
    })
    .await?)
}

/// The nodes of a fleet in the configuration of one of them, and the file of its operators' token.
fn control(file: &Path) -> Result<(Control, Option<String>), Fault> {
    let (name, text) = (file.display().to_string(), text(file)?);
    let parsed = match Part::guess(&name, &text) {
        Part::Shield => tidegate_shield::Config::parse(&name, &text)
            .map(|config| (config.control, config.listen.operators_token)),
        Part::Edge | Part::OriginStub => tidegate_edge::Config::parse(&name, &text)
            .map(|config| (config.control, config.listen.operators_token)),
    };
    parsed.map_err(|problem| Fault::Config(problem.to_string()))
}

fn token(command: &crate::token::Command) -> Result<(), Fault> {
    let file = command.config();
    let config = tidegate_edge::Config::parse(&file.display().to_string(), &text(file)?)
        .map_err(|problem| Fault::Config(problem.to_string()))?;
    let line = crate::token::run(command, &config)?;
    writeln!(std::io::stdout().lock(), "{line}").context("standard output is closed")?;
    Ok(())
}

fn check(file: &Path, part: Option<Part>) -> Result<(), Fault> {
    let text = text(file)?;
    let name = file.display().to_string();
    let read_as = part.unwrap_or_else(|| Part::guess(&name, &text));
    let checked = match read_as {
        Part::Edge => tidegate_edge::Config::parse(&name, &text).map(drop),
        Part::Shield => tidegate_shield::Config::parse(&name, &text).map(drop),
        Part::OriginStub => parse_stub(&name, &text).map(drop),
    };
    checked.map_err(|problem| {
        let guessed = if part.is_none() {
            format!(" (checked as {}; choose another part with --tier)", read_as.name())
        } else {
            String::new()
        };
        Fault::Config(format!("{problem}{guessed}"))
    })
}

/// Reports the stub's errors in the form of the tiers' errors.
fn parse_stub(file: &str, text: &str) -> Result<tidegate_origin_stub::Config, Problem> {
    tidegate_edge::check::read(file, text, |_| Ok(()))
}

fn read<T: Default>(
    file: Option<&Path>,
    parse: impl Fn(&str, &str) -> Result<T, Problem>,
) -> Result<T, Fault> {
    let Some(file) = file else { return Ok(T::default()) };
    parse(&file.display().to_string(), &text(file)?).map_err(|error| Fault::Config(error.to_string()))
}

/// An unreadable file is a configuration error, too.
fn text(file: &Path) -> Result<String, Fault> {
    std::fs::read_to_string(file).map_err(|error| Fault::Config(format!("{}: {error}", file.display())))
}

/// Cancelled by SIGTERM or Ctrl-C. A second signal ends the process immediately.
fn shutdown_signal() -> anyhow::Result<CancellationToken> {
    let shutdown = CancellationToken::new();
    let mut terminate = signal(SignalKind::terminate()).context("cannot install the SIGTERM handler")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot install the SIGINT handler")?;
    let token = shutdown.clone();
    // The task lives as long as the process, and nothing waits for its end.
    let _listener = tokio::runtime::Handle::current().spawn(async move {
        let mut times = 0;
        loop {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            times += 1;
            if times > 1 {
                std::process::exit(1);
            }
            token.cancel();
        }
    });
    Ok(shutdown)
}

/// Calls `reload` for each SIGHUP, on a thread for blocking work. It logs its result.
fn on_hangup(reload: impl Fn() + Send + Sync + 'static) -> anyhow::Result<()> {
    let mut hangup = signal(SignalKind::hangup()).context("cannot install the SIGHUP handler")?;
    let reload = Arc::new(reload);
    // The task lives as long as the process, and nothing waits for its end.
    let _listener = tokio::runtime::Handle::current().spawn(async move {
        while hangup.recv().await.is_some() {
            let reload = Arc::clone(&reload);
            // It fails only when the runtime shuts down.
            let _reloaded = tokio::task::spawn_blocking(move || reload()).await;
        }
    });
    Ok(())
}

fn say_where(part: &str, serving: &impl Display, operators: &impl Display) {
    tracing::info!(%serving, %operators, "{part} listening");
}

fn log_to_stderr(filter: &str) -> Result<(), Fault> {
    let filter =
        EnvFilter::try_new(filter).map_err(|error| Fault::Config(format!("--log {filter:?}: {error}")))?;
    // Colours are for terminals: in a file or a journal they are noise.
    let colours = std::io::stderr().is_terminal();
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_ansi(colours);
    log.with_writer(std::io::stderr).init();
    Ok(())
}

fn complain(problem: &str) {
    // If standard error is closed, the message is dropped.
    let _unheard = writeln!(std::io::stderr().lock(), "tidegate: {problem}");
}
