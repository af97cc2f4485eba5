//! The part of a Rust file that names the modules it uses: tokens, and no grammar.

/// The declarations and names of one file, without comments, string literals and test code.
#[derive(Debug, Default)]
pub(super) struct Source {
    /// The modules that it declares in separate files.
    pub(super) children: Vec<String>,
    /// The paths outside of `use`.
    pub(super) paths: Vec<Vec<String>>,
    imports: Vec<Import>,
}

/// One name that a `use` brings in.
#[derive(Debug)]
pub(super) struct Import {
    pub(super) path: Vec<String>,
    name: String,
    is_public: bool,
    /// Whether the file only re-exports it: a `pub use` of a name that occurs nowhere else in it.
    is_passed_on: bool,
}

impl Source {
    pub(super) fn parse(text: &str) -> Self {
        let tokens = without_tests(&tokens(&without_texts(text)));
        let mut source = Self::default();
        let mut own = Vec::new();
        let (mut rest, mut before, mut is_public) = (tokens.as_slice(), "", false);
        while let [token, behind @ ..] = rest {
            rest = behind;
            match (token.as_str(), behind) {
                ("mod", [name, end, ..]) if end == ";" => source.children.push(name.clone()),
                ("use", [next, ..]) if next != "<" => {
                    let end = behind.iter().position(|token| token == ";").unwrap_or(behind.len());
                    let mut tree = behind[..end].iter();
                    source.read_tree(&[], &mut tree, is_public);
                    rest = &behind[end..];
                }
                // As in `pub(in crate::a) use`.
                ("pub", [open, ..]) if open == "(" => {
                    let end =
                        behind.iter().position(|token| token == ")").map_or(behind.len(), |end| end + 1);
                    rest = &behind[end..];
                }
                (name, _) if is_name(name) => {
                    own.push(name);
                    if before != "::" && before != "." {
                        source.paths.extend(path(name, behind));
                    }
                }
                _ => {}
            }
            is_public = token == "pub";
            before = token;
        }
        for import in &mut source.imports {
            import.is_passed_on = import.is_public && !own.contains(&import.name.as_str());
        }
        source
    }

    /// The imports that the file's own code relies on.
    pub(super) fn used_imports(&self) -> impl Iterator<Item = &Import> {
        self.imports.iter().filter(|import| !import.is_passed_on)
    }

    pub(super) fn import(&self, name: &str) -> Option<&Import> {
        self.imports.iter().find(|import| import.name == name)
    }

    /// Reads a tree such as `a::{b, c as d}`, up to its end or to the brace that closes it.
    fn read_tree<'a>(
        &mut self,
        prefix: &[String],
        tokens: &mut impl Iterator<Item = &'a String>,
        is_public: bool,
    ) {
        let mut path = prefix.to_vec();
        let mut alias = None;
        while let Some(token) = tokens.next() {
            match token.as_str() {
                "::" => {}
                "as" => alias = tokens.next().cloned(),
                "{" => {
                    self.read_tree(&path, tokens, is_public);
                    path = prefix.to_vec();
                }
                "," => {
                    self.add(prefix, std::mem::replace(&mut path, prefix.to_vec()), alias.take(), is_public);
                }
                "}" => break,
                name => path.push(name.to_owned()),
            }
        }
        self.add(prefix, path, alias, is_public);
    }

    fn add(&mut self, prefix: &[String], mut path: Vec<String>, alias: Option<String>, is_public: bool) {
        if path.len() == prefix.len() {
            return;
        }
        let is_itself = path.len() > 1 && path.last().is_some_and(|last| last == "self" || last == "*");
        let last = if is_itself { path.pop() } else { None };
        let name = match (alias, last) {
            (Some(alias), _) => alias,
            (None, Some(star)) if star == "*" => star,
            _ => path.last().cloned().unwrap_or_default(),
        };
        self.imports.push(Import { path, name, is_public, is_passed_on: false });
    }
}

/// The path that begins with `first`, if it has more than one name.
fn path(first: &str, mut behind: &[String]) -> Option<Vec<String>> {
    let mut path = vec![first.to_owned()];
    while let [colons, name, rest @ ..] = behind
        && colons == "::"
        && is_name(name)
    {
        path.push(name.clone());
        behind = rest;
    }
    (path.len() > 1).then_some(path)
}

fn is_name(token: &str) -> bool {
    token.starts_with(|first: char| first.is_alphabetic() || first == '_')
}

/// The text without comments, and with nothing between quotation marks.
fn without_texts(text: &str) -> String {
    let mut kept = String::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let len = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            rest.find("*/").map_or(rest.len(), |end| end + 2)
        } else if first == '"' {
            quoted(rest, &kept)
        } else if first == '\'' {
            character(rest)
        } else {
            kept.push(first);
            first.len_utf8()
        };
        rest = &rest[len..];
    }
    kept
}

/// The length of the text that begins with a quotation mark; `before` says whether it is a raw one.
fn quoted(text: &str, before: &str) -> usize {
    let name = before.trim_end_matches('#');
    if name.ends_with('r')
        && !name.trim_end_matches(['b', 'r']).ends_with(|before: char| before.is_alphanumeric())
    {
        let end = format!("\"{}", &before[name.len()..]);
        return text[1..].find(&end).map_or(text.len(), |at| 1 + at + end.len());
    }
    let mut is_escaped = false;
    for (at, character) in text.char_indices().skip(1) {
        match character {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// The length of a character in quotation marks; 1 where the mark begins a lifetime.
fn character(text: &str) -> usize {
    let mut characters = text.char_indices().skip(1);
    match (characters.next(), characters.next()) {
        (Some((_, '\\')), Some((escaped, _))) => {
            text[escaped + 1..].find('\'').map_or(text.len(), |end| escaped + 1 + end + 1)
        }
        (_, Some((end, '\''))) => end + 1,
        _ => 1,
    }
}

fn tokens(text: &str) -> Vec<String> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let word = rest.find(|next: char| !next.is_alphanumeric() && next != '_').unwrap_or(rest.len());
        let len = if word > 0 {
            word
        } else if rest.starts_with("::") {
            2
        } else {
            first.len_utf8()
        };
        tokens.push(rest[..len].to_owned());
        rest = rest[len..].trim_start();
    }
    tokens
}

/// The tokens without the items under `#[cfg(test)]`.
fn without_tests(tokens: &[String]) -> Vec<String> {
    let mut kept = Vec::new();
    let mut rest = tokens;
    while let [token, behind @ ..] = rest {
        let attribute = attribute(rest).unwrap_or_default();
        let says = |word: &str| attribute.iter().any(|token| token == word);
        if says("cfg") && says("test") && !says("not") {
            rest = behind_item(&rest[attribute.len()..]);
        } else {
            kept.push(token.clone());
            rest = behind;
        }
    }
    kept
}

/// The attribute at the start.
fn attribute(tokens: &[String]) -> Option<&[String]> {
    match tokens {
        [hash, bracket, ..] if hash == "#" && bracket == "[" => {
            Some(&tokens[..=tokens.iter().position(|token| token == "]")?])
        }
        _ => None,
    }
}

/// The tokens after the item, the statement, the field or the match arm at the start.
fn behind_item(mut tokens: &[String]) -> &[String] {
    while let Some(attribute) = attribute(tokens) {
        tokens = &tokens[attribute.len()..];
    }
    let ends_with_a_comma = tokens.first().is_some_and(|first| !STARTS.contains(&first.as_str()));
    let mut depth = 0;
    for (at, token) in tokens.iter().enumerate() {
        match token.as_str() {
            "{" | "(" | "[" => depth += 1,
            "}" | ")" | "]" if depth == 0 => return &tokens[at..],
            "}" if depth == 1 && !ends_with_a_comma => return &tokens[at + 1..],
            "}" | ")" | "]" => depth -= 1,
            ";" if depth == 0 => return &tokens[at + 1..],
            "," if depth == 0 && ends_with_a_comma => return &tokens[at + 1..],
            _ => {}
        }
    }
    &[]
}

/// The words with which items and statements begin that end with a brace or a semicolon.
const STARTS: &[&str] = &[
    "pub",
    "fn",
    "async",
    "unsafe",
    "mod",
    "use",
    "impl",
    "struct",
    "enum",
    "static",
    "const",
    "type",
    "trait",
    "if",
    "let",
    "for",
    "while",
    "match",
    "macro_rules",
];
