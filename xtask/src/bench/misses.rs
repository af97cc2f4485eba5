//! Misses: responses that are passed, and new objects that are stored.

use anyhow::Result;

use super::Settings;
use super::comparison::{Case, Plan, Target};
use super::findings::Findings;
use super::load::Load;
use super::objects::Object;
use super::servers::Kind;
use super::stage::Stage;

const CONNECTIONS: u32 = 64;
/// Requests a path that has not been requested before.
const NEW: &str = "local prefix, n
function init(args) prefix = args[1] .. os.time() .. '-' .. math.floor(os.clock() * 1e6) .. '-'; n = 0 end
function request() n = n + 1; return wrk.format('GET', prefix .. n) end
";

/// Measures passes and requests for new objects.
pub(crate) fn measure(stage: &Stage, settings: &Settings) -> Result<Findings> {
    let script = stage.file("new.lua", NEW)?;
    let new = |title: &str, path: &str, object: Object| Case {
        title: title.to_owned(),
        load: Load { script: Some((script.clone(), Vec::new())), ..Load::of(path, CONNECTIONS) },
        is_cached: true,
        body: object.body().len(),
    };
    let private = Case {
        title: "1 KiB, private".to_owned(),
        load: Load::of("/private/playlist.m3u8", CONNECTIONS),
        is_cached: false,
        body: Object::Playlist.body().len(),
    };
    let cases = vec![
        private,
        new("1 KiB, always new", "/new/", Object::Playlist),
        new("200 KiB, always new", "/new-200k/", Object::Small),
    ];
    let compared = Plan::of(&Kind::CACHES, cases).run(stage, settings)?;
    let mut findings = compared.findings(
        ABOUT,
        "a miss",
        &[
            Target::new("1 KiB, private", Kind::Nginx, 1.0),
            Target::new("1 KiB, private", Kind::Varnish, 1.5),
            Target::new("1 KiB, always new", Kind::Nginx, 1.0),
            Target::new("1 KiB, always new", Kind::Varnish, 1.5),
        ],
    )?;
    findings.tables = format!("{}\n{}", findings.tables, compared.per_mebibyte());
    Ok(findings)
}

const ABOUT: &str = "\
## Misses

Responses that need the origin: one that may not be shared (`private`), and cacheable objects that no viewer has requested before, which evict older ones.
HTTP/1.1 on both sides, 64 keep-alive connections; the origin is an nginx on the core of the load.
";
