//! The repository's own rules, checked by tests: the crates stay as ARCHITECTURE.md draws them.
//!
//! Each file here is one kind of rule. A rule with exceptions names each of them and the reason
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
mod language;
#[cfg(test)]
mod links;
#[cfg(test)]
mod packages;
#[cfg(test)]
mod repository;
#[cfg(test)]
mod words;
