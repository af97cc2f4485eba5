//! The configurations of the demo's tiers: the defaults, on free loopback ports, with a small cache, a short
//! drain and no access log.

use tidegate_edge::Edge;
use tidegate_shield::Shield;

/// A shield in front of `origins`, the primary first.
pub(crate) async fn shield(name: &str, origins: &[String]) -> anyhow::Result<Shield> {
    let text = format!("node = {name:?}\n{COMMON}[[site]]\norigins = {origins:?}\n");
    Shield::load(tidegate_shield::Config::parse(name, &text)?).await
}

/// An edge in front of `shields`.
pub(crate) async fn edge(name: &str, shields: &[String]) -> anyhow::Result<Edge> {
    let text = format!("node = {name:?}\nshields = {shields:?}\n{COMMON}{LIMITS}");
    Edge::load(tidegate_edge::Config::parse(name, &text)?).await
}

/// All viewers of the demo come from one address.
const LIMITS: &str = "[limits]\nexempt = [\"127.0.0.0/8\"]\n";

/// The common part of both configurations.
const COMMON: &str = r#"
[listen]
viewers = "127.0.0.1:0"
operators = "127.0.0.1:0"
[cache]
memory = "256MiB"
[log]
access = "off"
[drain]
timeout = "1s"
"#;
