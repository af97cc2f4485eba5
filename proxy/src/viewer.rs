//! The viewer's side of a request: connections, the protocols on them, and the writing of responses.
//!
//! - [`listener`] accepts connections within a limit, `admission` finds out who the [`peer`] is, [`tls`]
//!   makes handshakes, `preface` recognises HTTP/2, and [`transport`] is the resulting byte stream
//! - [`fast_path`] answers simple hits over HTTP/1.1, parsed in the buffer of the thread
//! - [`head`] reads and checks the head of any other HTTP/1.1 request, [`http1`] serves those without a body
//! - `http2` accepts the HTTP/2 streams of a connection, and closes it when its client resets too many
//! - [`client`] is the viewer to the rest of the proxy: `request.rs` and `answer/` read and write through it
//! - [`cmsd`] has what the kernel estimates of a connection
//! - `stalled` gives viewers up that take nothing while memory is short
//! - [`lingering_close`] closes connections, [`sendfile`] has the kernel send bodies
//!
//! The codec `http1/` parses and writes the heads.

mod admission;
pub(crate) mod client;
pub(crate) mod cmsd;
mod expires;
pub(crate) mod fast_path;
pub(crate) mod head;
pub(crate) mod http1;
mod http2;
pub(crate) mod lingering_close;
pub(crate) mod listener;
mod pacing;
pub(crate) mod peer;
mod preface;
pub(crate) mod sendfile;
mod stalled;
pub(crate) mod tls;
pub(crate) mod transport;
pub(crate) mod unsent;
