//! The files that `[listen.tls]` and `[upstream.tls]` name, read when the configuration is checked.

use super::check::Breach;
use super::{Listen, Upstream};
use crate::viewer::tls;

/// Reads the files of both sections.
///
/// # Errors
/// The first file that cannot be used, with the field that names it.
pub fn check(listen: &Listen, upstream: &Upstream) -> Result<(), Breach> {
    if let Some(listen) = &listen.tls {
        tls::load(listen)
            .map_err(|fault| Breach::new(&["listen", "tls", fault.field()], fault.to_string()))?;
    }
    upstream
        .tls
        .check()
        .map_err(|distrust| Breach::new(&["upstream", "tls", distrust.field()], distrust.to_string()))
}
