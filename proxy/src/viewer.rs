//! The viewer's side of a request: connections, the protocols on them, and what is written to them.
//!
//! - [`listener`] accepts connections within a limit; [`tls`] makes handshakes; [`transport`] is what both leave: bytes
//! - [`fast_path`] answers plain hits over HTTP/1.1 where they were read
//! - [`head`] reads and checks the head of any other HTTP/1.1 request, [`http1`] serves those without a body
//! - [`client`] is the viewer to everything behind: `request.rs` and `answer/` read and write through it
//! - [`lines`] writes heads, [`lingering_close`] ends connections, [`sendfile`] has the system send bodies

pub(crate) mod client;
pub(crate) mod fast_path;
pub(crate) mod gone;
pub(crate) mod head;
pub(crate) mod http1;
pub(crate) mod lines;
pub(crate) mod lingering_close;
pub(crate) mod listener;
pub(crate) mod sendfile;
pub(crate) mod tls;
pub(crate) mod transport;
