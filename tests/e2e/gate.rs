//! What makes an edge fit for the open internet: one file per question.

mod access;
mod addresses;
mod credentials;
mod deception;
mod hostile;
mod limits;
mod operators;
mod operators_tls;
mod secret;
mod tls_certificates;
mod tls_https;
mod tls_tickets;
pub(crate) mod token;
mod token_cli;
mod token_links;
