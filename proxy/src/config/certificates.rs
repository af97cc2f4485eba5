//! The files that `[listen.tls]`, `[listen.operators_tls]` and `[upstream.tls]` name, read when the
//! configuration is checked.

use super::check::Breach;
use super::{Listen, Upstream};
use crate::viewer::tls::{self, Protocols};

/// Reads the files of these sections.
///
/// # Errors
/// The first file that cannot be used, with the field that names it.
pub fn check(listen: &Listen, upstream: &Upstream) -> Result<(), Breach> {
    if listen.https_redirect && listen.tls.is_none() {
        return Err(Breach::new(&["listen", "https_redirect"], "it needs [listen.tls]"));
    }
    if let Some(listen) = &listen.tls {
        listen.check()?;
        tls::load(listen, Protocols::All).map_err(|fault| {
            let field = [&["listen", "tls"], fault.field()].concat();
            Breach::new(&field, fault.to_string())
        })?;
    }
    if let Some(operators) = &listen.operators_tls {
        tls::load(&operators.at(listen.operators), Protocols::Http1).map_err(|fault| {
            let field = [&["listen", "operators_tls"], fault.field()].concat();
            Breach::new(&field, fault.to_string())
        })?;
    }
    upstream
        .tls
        .check()
        .map_err(|distrust| Breach::new(&["upstream", "tls", distrust.field()], distrust.to_string()))
}
