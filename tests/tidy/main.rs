//! The repository's own rules, kept by tests: the house stays as ARCHITECTURE.md draws it.
//!
//! Each file here is one kind of rule. A rule that has to bend names its exception and the reason
//! in the list beside it; a rule without exceptions has no list.

#[cfg(test)]
mod arrows;
#[cfg(test)]
mod circles;
#[cfg(test)]
mod commits;
#[cfg(test)]
mod configuration;
#[cfg(test)]
mod decisions;
#[cfg(test)]
mod dependencies;
#[cfg(test)]
mod files;
#[cfg(test)]
mod integration;
#[cfg(test)]
mod links;
#[cfg(test)]
mod packages;
#[cfg(test)]
mod repository;
#[cfg(test)]
mod words;
