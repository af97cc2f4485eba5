//! The repository's language: plain English, in comments of one width, with one style of citation.
//!
//! The phrases are banned because they mean something else in English, or hide the noun that a reader looks for.

use std::path::Path;

use crate::repository::{assert_none, files, read, read_text};

/// The folders and files whose language is checked.
const CLEAN: &[&str] = &[
    "tests",
    "origin-stub",
    "load-tests",
    "fuzz",
    "cli",
    "edge",
    "shield",
    "web",
    "docs",
    "conf",
    "access",
    "headers",
    "http1",
    "hls",
    "cache",
    "upstream",
    "xtask",
    "proxy",
    "examples",
    "packaging",
    "ARCHITECTURE.md",
    "CONTRIBUTING.md",
    "MAINTAINERS.md",
    "README.md",
    "RELEASING.md",
    "SECURITY.md",
];

/// This file lists the phrases.
const EXEMPT: &[&str] = &["tests/tidy/language.rs"];

const COMMENT_COLUMNS_MAX: usize = 110;

const BANNED: &[&str] = &[
    "at once",
    "whoever",
    "whomever",
    "nobody",
    "somebody",
    "anybody",
    "told on",
    "tells on",
    "begins anew",
    "begun anew",
    "began anew",
    "begin anew",
    "given out",
    "gives out",
    "give out",
    "goes round",
    "go round",
    "so many",
    "of its own accord",
    "the one who",
    "those who",
    "what is held",
    "who is asked",
    "whom to ask",
    "long way",
    "fast lane",
    "the pen",
];

#[test]
fn no_banned_phrase_is_used() {
    let mut findings = Vec::new();
    for file in clean(&["rs", "md", "js", "mjs", "toml"]) {
        let is_changelog = file == "CHANGELOG.md";
        for (number, phrase) in banned(&text(&file), is_changelog) {
            findings.push(format!("{file}:{number}: {phrase}"));
        }
    }
    assert_none(&findings, "banned phrases");
}

#[test]
fn comments_are_wrapped() {
    let mut findings = Vec::new();
    for file in clean(&["rs"]) {
        let text = text(&file);
        let wide = text.lines().enumerate().filter(|(_, line)| is_wide_comment(line));
        findings.extend(wide.map(|(index, line)| format!("{file}:{}: {}", index + 1, line.trim())));
    }
    assert_none(&findings, "comments over 110 columns");
}

#[test]
fn specifications_are_cited_in_one_style() {
    let mut findings = Vec::new();
    for file in clean(&["rs", "md", "js", "mjs"]) {
        let text = text(&file);
        let wrong = text.lines().enumerate().filter(|(_, line)| !cites_well(line));
        findings.extend(wrong.map(|(index, line)| format!("{file}:{}: {}", index + 1, line.trim())));
    }
    assert_none(&findings, "citations other than `RFC 9110 section 13` and `HLS section 6.2.5.2`");
}

#[test]
fn decisions_have_one_sentence_per_line() {
    let mut findings = Vec::new();
    for file in clean(&["md"]).into_iter().filter(|file| file.starts_with("docs/decisions/")) {
        let text = text(&file);
        let several = text.lines().enumerate().filter(|(_, line)| has_several_sentences(line));
        findings.extend(several.map(|(index, line)| format!("{file}:{}: {}", index + 1, line.trim())));
    }
    assert_none(&findings, "lines with several sentences");
}

#[test]
fn phrases_are_found_across_lines_and_in_identifiers() {
    let text = "/// All leave at\n/// once.\nfn go_round(at_once: u8) {}\nstruct FastLane;\n\
                // Look at, once. The long\n\n// way. A penalty.\n";
    let found = [(1, "at once"), (3, "go round"), (3, "at once"), (4, "fast lane")];
    assert_eq!(banned(text, false), found);
    assert_eq!(banned("| `at_once` | `soon` |\nAt once.\n", true), [(2, "at once")]);
}

#[test]
fn wide_comments_are_those_that_can_be_wrapped() {
    let wide = "x ".repeat(60);
    assert!(is_wide_comment(&format!("    /// {wide}")));
    for exempt in [format!("//! | {wide}"), format!("//     {wide}"), format!("// {}", "x".repeat(120)), wide]
    {
        assert!(!is_wide_comment(&exempt), "{exempt}");
    }
}

#[test]
fn citations_name_the_section() {
    assert!(cites_well("RFC 9110 section 13, RFC 9110, RFC 8216 section 6.3.4, HLS section 6.2.5.2"));
    for wrong in ["RFC 9110 13", "(RFC 9112 3.2)", "RFC 8216bis section 4"] {
        assert!(!cites_well(wrong), "{wrong}");
    }
}

#[test]
fn sentences_end_lines() {
    for one in ["It costs 1.5 s, e.g. The rest. ", "1. First.", "| A. | B. C |", "`a. B`", "## A. B"] {
        assert!(!has_several_sentences(one), "{one}");
    }
    for several in ["One. Two.", "- One (two). Three.", "Is it `x`? Yes."] {
        assert!(has_several_sentences(several), "{several}");
    }
}

/// The checked files with one of these extensions. Of TOML, only the sample configurations are prose.
fn clean(extensions: &[&str]) -> Vec<String> {
    let is_in = |file: &Path, list: &[&str]| list.iter().any(|entry| file.starts_with(entry));
    let files = files().into_iter().filter(|file| {
        let extension = file.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
        let is_prose = extension != "toml" || file.starts_with("conf");
        extensions.contains(&extension) && is_prose && is_in(file, CLEAN) && !is_in(file, EXEMPT)
    });
    files.map(|file| file.display().to_string()).collect()
}

fn text(file: &str) -> String {
    let path = Path::new(file);
    read_text(path).unwrap_or_else(|| read(path))
}

/// The banned phrases in a text, with the numbers of their lines. Tables may be left out: a changelog's have old names.
fn banned(text: &str, without_tables: bool) -> Vec<(usize, &'static str)> {
    let mut words: Vec<(String, usize)> = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let prose = line.trim_start().trim_start_matches(['/', '!', '*', '#']);
        if prose.trim().is_empty() || (without_tables && prose.starts_with('|')) {
            words.push((String::new(), index + 1));
            continue;
        }
        words.extend(split(prose).into_iter().map(|word| (word, index + 1)));
    }
    let mut found = Vec::new();
    for (at, (first, number)) in words.iter().enumerate().filter(|(_, (word, _))| !word.is_empty()) {
        let starts = |phrase: &&&str| {
            if !phrase.starts_with(first.as_str()) {
                return false;
            }
            let mut following = words[at..].iter();
            phrase.split(' ').all(|word| following.next().is_some_and(|(next, _)| next == word))
        };
        found.extend(BANNED.iter().find(starts).map(|phrase| (*number, *phrase)));
    }
    found
}

/// The words of a line in lower case; `snake_case` and `CamelCase` are several words. Punctuation that ends a phrase
/// becomes an empty word.
fn split(line: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut was_lower = false;
    for character in line.chars() {
        if character.is_alphanumeric() || character == '\'' {
            if was_lower && character.is_uppercase() {
                words.push(String::new());
            }
            let word = words.last_mut().expect("there is a word");
            word.extend(character.to_lowercase());
        } else if matches!(character, ' ' | '_' | '-' | '*' | '\t') {
            words.push(String::new());
        } else {
            words.extend([String::from("."), String::new()]);
        }
        was_lower = character.is_lowercase() || character.is_numeric();
    }
    words.retain(|word| !word.is_empty());
    words
}

/// Whether a line is a comment over the limit that could be wrapped: not a table, not code, not a single word.
fn is_wide_comment(line: &str) -> bool {
    let comment = line.trim_start();
    let Some(text) = comment.strip_prefix("//").map(|text| text.trim_start_matches(['/', '!'])) else {
        return false;
    };
    let can_wrap = !text.starts_with(" |") && !text.starts_with("    ") && text.trim().contains(' ');
    can_wrap && line.chars().count() > COMMENT_COLUMNS_MAX
}

/// Whether every citation of an RFC in a line says `section` before its section.
fn cites_well(line: &str) -> bool {
    line.split("RFC ").skip(1).all(|rest| {
        let after = rest.trim_start_matches(|character: char| character.is_ascii_digit());
        let is_number = after.len() < rest.len();
        let section = after.strip_prefix(' ').and_then(|section| section.chars().next());
        !is_number || (!after.starts_with("bis") && !section.is_some_and(|first| first.is_ascii_digit()))
    })
}

/// Whether a sentence of prose ends inside a line and another one begins after it.
fn has_several_sentences(line: &str) -> bool {
    if line.starts_with(['|', '#']) {
        return false;
    }
    let prose: Vec<_> =
        line.split('`').enumerate().map(|(at, part)| if at % 2 == 0 { part } else { "x" }).collect();
    let prose = prose.concat();
    let words: Vec<_> = prose.split_whitespace().collect();
    words.windows(2).any(|pair| {
        let end = pair[0].trim_end_matches([')', '"', '*']);
        let is_end = end.ends_with(['.', '?', '!']) && !ABBREVIATIONS.contains(&end);
        let is_number = end.trim_end_matches('.').chars().all(|character| character.is_ascii_digit());
        let begins = pair[1].trim_start_matches(['(', '"', '*', '[']);
        is_end
            && !is_number
            && begins.chars().next().is_some_and(|first| first.is_uppercase() || first == 'x')
    })
}

const ABBREVIATIONS: &[&str] = &["e.g.", "i.e.", "etc.", "vs.", "cf."];
