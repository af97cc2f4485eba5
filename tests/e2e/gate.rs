//! Who may watch, and how much: one file per question.

mod access;
mod addresses;
mod limits;
mod operators;
