//! The sample configurations are correct, because tests load them.

use std::path::Path;

use crate::repository::{assert_none, files, files_named, read, root};

#[test]
fn every_tier_has_a_sample_configuration() {
    let wanted = ["edge", "shield", "origin-stub"];
    let missing = wanted.iter().filter(|tier| !root().join(format!("conf/{tier}.toml")).is_file());
    assert_none(&missing.map(|tier| (*tier).to_owned()).collect::<Vec<_>>(), "tiers without a file in conf/");
}

#[test]
fn every_sample_configuration_is_loaded_by_a_test() {
    let here = Path::new("tests/tidy");
    let sources: Vec<String> =
        files_named("rs").iter().filter(|file| !file.starts_with(here)).map(|file| read(file)).collect();
    let loads = |sample: &str| sources.iter().any(|text| text.contains("#[test]") && text.contains(sample));
    let samples = files()
        .into_iter()
        .filter(|file| file.starts_with("conf") && file.extension().is_some_and(|e| e == "toml"));
    let untested = samples.map(|file| file.display().to_string()).filter(|sample| !loads(sample));
    assert_none(&untested.collect::<Vec<_>>(), "samples that no test loads");
}
