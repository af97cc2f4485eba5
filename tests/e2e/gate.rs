//! Who may watch, and what an attacker cannot do: one file per kind.

mod token;
mod token_cli;
mod token_links;
