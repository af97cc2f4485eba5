//! The addresses of the demo: one JSON line for programs, the tier map for people.

use std::collections::BTreeMap;

use serde::Serialize;

/// The addresses of a running demo, as `--json` prints them.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Addresses {
    /// The page.
    pub(crate) page: String,
    /// The edges, for players.
    pub(crate) edges: Vec<String>,
    /// The shields, for edges.
    pub(crate) shields: Vec<String>,
    /// The origins, for shields: the primary first.
    pub(crate) origins: Vec<String>,
    /// The operators' listeners, by name of tier.
    pub(crate) admin: BTreeMap<String, String>,
    /// The path of the multivariant playlist; `None` when the user's own origin is used and the path is
    /// unknown.
    pub(crate) stream: Option<String>,
}

impl Addresses {
    /// The tiers drawn for a terminal, with the addresses below.
    pub(crate) fn map(&self) -> String {
        let mut text = format!("\n  Tidegate demo: one live stream through three tiers\n{}", self.tiers());
        let mut line = |name: &str, value: &str| {
            let line = format!("  {name:<9} {value}");
            text.push_str(line.trim_end());
            text.push('\n');
        };
        for (kind, urls) in [("edge", &self.edges), ("shield", &self.shields), ("origin", &self.origins)] {
            for (index, url) in urls.iter().enumerate() {
                let name = format!("{kind}-{}", index + 1);
                let admin = self.admin.get(&name).map(|admin| format!("   operators {admin}"));
                line(&name, &format!("{url}{}", admin.unwrap_or_default()));
            }
        }
        line("", "");
        if let Some((edge, stream)) = self.edges.first().zip(self.stream.as_ref()) {
            line("stream", &format!("{edge}{stream}"));
        }
        line("page", &format!("{}   (open this one)", self.page));
        line("", "");
        line("Ctrl-C", "ends everything");
        text
    }

    fn tiers(&self) -> &'static str {
        if self.origins.len() > 1 { TWO_ORIGINS } else { ONE_ORIGIN }
    }
}

const TWO_ORIGINS: &str = "
               +--> edge-1 --+                +--> origin-1  primary
  players -----+             +--> shield-1 ---+
               +--> edge-2 --+                +--> origin-2  backup

";

const ONE_ORIGIN: &str = "
               +--> edge-1 --+
  players -----+             +--> shield-1 -----> origin-1
               +--> edge-2 --+

";

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses() -> Addresses {
        let url = |port: u16| format!("http://127.0.0.1:{port}");
        Addresses {
            page: url(8000),
            edges: vec![url(1), url(2)],
            shields: vec![url(3)],
            origins: vec![url(4), url(5)],
            admin: BTreeMap::from([("edge-1".to_owned(), url(11))]),
            stream: Some("/live/master.m3u8".to_owned()),
        }
    }

    #[test]
    fn the_json_has_the_documented_fields() {
        let json = serde_json::to_string(&addresses()).unwrap();
        assert_eq!(
            json,
            "{\"page\":\"http://127.0.0.1:8000\",\"edges\":[\"http://127.0.0.1:1\",\"http://127.0.0.1:2\"],\
             \"shields\":[\"http://127.0.0.1:3\"],\"origins\":[\"http://127.0.0.1:4\",\"http://127.0.0.1:5\"],\
             \"admin\":{\"edge-1\":\"http://127.0.0.1:11\"},\"stream\":\"/live/master.m3u8\"}"
        );
    }

    #[test]
    fn the_map_names_every_address_and_fits_a_terminal() {
        let map = addresses().map();
        for needle in
            ["http://127.0.0.1:5", "operators http://127.0.0.1:11", "http://127.0.0.1:1/live/master.m3u8"]
        {
            assert!(map.contains(needle), "{needle} in {map}");
        }
        assert!(map.is_ascii());
        assert!(map.lines().all(|line| line.len() <= 80), "{map}");
    }

    #[test]
    fn one_origin_is_drawn_as_one() {
        let one = Addresses { origins: vec!["http://127.0.0.1:4".to_owned()], stream: None, ..addresses() };
        assert!(!one.map().contains("backup"));
        assert!(!one.map().contains("\n  stream"));
    }
}
