//! Who may watch: tokens, client addresses and lists of them.
//!
//! Pure functions: nothing here has a socket or a clock, and no file is opened. A caller passes bytes, an
//! address or the time, and gets a decision with its reason.
//!
//! [`token`] is the proof that a viewer may watch: its format, its signature, and what it grants.

pub mod token;
