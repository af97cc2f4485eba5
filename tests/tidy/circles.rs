//! No circles among the modules of a crate: each file can be read, tested and moved with the files below it
//! alone.
//!
//! A file uses another one when a `use`, or a path such as `crate::a::b`, leads to an item in it. A re-export
//! counts for the file that defines the item, and not for the module that passes it on. `#[cfg(test)]` code
//! does not count.

mod source;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::{Path, PathBuf};

use crate::repository::{assert_none, read};
use source::Source;

/// The libraries.
const CRATES: &[&str] =
    &["proxy", "upstream", "cache", "access", "headers", "hls", "http1", "edge", "shield"];

/// Circles that are one mechanism in several files, each with the crate that it is in.
const ALLOWED: &[(&str, &[&str])] = &[("cache", &["fill", "fill_writer", "slot", "store"])];

/// A module's path inside its crate; empty for `lib.rs`.
type Module = Vec<String>;

/// The modules of a crate, each with the modules that it uses.
type Graph = BTreeMap<Module, BTreeSet<Module>>;

#[test]
#[expect(clippy::print_stdout, reason = "the counts are the result that a reader asks for")]
fn no_modules_of_a_crate_use_each_other_in_a_circle() {
    let mut findings = Vec::new();
    for name in CRATES {
        let graph = graph(&modules(name));
        let circles = circles(&graph);
        let in_circles: usize = circles.iter().map(BTreeSet::len).sum();
        println!("{name}: {in_circles} of {} files are in circles", graph.len());
        let forbidden = circles.iter().filter(|circle| !is_allowed(name, circle));
        findings.extend(forbidden.map(|circle| format!("{name}: {}", describe(&graph, circle))));
    }
    assert_none(&findings, "module circles");
}

#[test]
fn allowed_circles_still_exist() {
    let is_gone = |(name, files): &(&str, &[&str])| {
        let circles = circles(&graph(&modules(name)));
        !circles.iter().any(|circle| is_allowed(name, circle) && circle.len() == files.len())
    };
    let gone: Vec<_> = ALLOWED.iter().filter(|allowed| is_gone(allowed)).collect();
    assert_none(
        &gone.iter().map(|allowed| format!("{allowed:?}")).collect::<Vec<_>>(),
        "circles that no longer exist",
    );
}

fn is_allowed(name: &str, circle: &BTreeSet<Module>) -> bool {
    let covers = |files: &[&str]| circle.iter().all(|module| files.contains(&module.join("/").as_str()));
    ALLOWED.iter().any(|(allowed, files)| *allowed == name && covers(files))
}

/// Every module of a crate that has its own file, without test modules.
fn modules(name: &str) -> BTreeMap<Module, Source> {
    let src = Path::new(name).join("src");
    let mut modules = BTreeMap::new();
    let mut open = vec![Module::new()];
    while let Some(module) = open.pop() {
        let source = Source::parse(&read(&file(&src, &module)));
        open.extend(
            source.children.iter().map(|child| [module.as_slice(), std::slice::from_ref(child)].concat()),
        );
        modules.insert(module, source);
    }
    modules
}

fn file(src: &Path, module: &[String]) -> PathBuf {
    match module {
        [] => src.join("lib.rs"),
        [folders @ .., name] => src.join(folders.join("/")).join(format!("{name}.rs")),
    }
}

fn graph(modules: &BTreeMap<Module, Source>) -> Graph {
    let uses = |module: &Module, source: &Source| {
        let paths = source.paths.iter().chain(source.used_imports().map(|import| &import.path));
        let mut used: BTreeSet<_> = paths.filter_map(|path| resolve(modules, module, path, 0)).collect();
        used.remove(module);
        used
    };
    modules.iter().map(|(module, source)| (module.clone(), uses(module, source))).collect()
}

/// The module that defines what `path` names in `module`; `None` for other crates.
fn resolve(
    modules: &BTreeMap<Module, Source>,
    module: &Module,
    path: &[String],
    depth: usize,
) -> Option<Module> {
    let (mut at, mut rest) = match path {
        [first, rest @ ..] if first == "crate" => (Module::new(), rest),
        [first, rest @ ..] if first == "self" => (module.clone(), rest),
        [first, ..] if first == "super" => (module.clone(), path),
        [first, rest @ ..] => {
            let source = modules.get(module)?;
            match source.import(first).filter(|_| depth < DEPTH_MAX) {
                _ if source.children.contains(first) => (module.clone(), path),
                Some(import) => {
                    let path = [import.path.as_slice(), rest].concat();
                    return resolve(modules, module, &path, depth + 1);
                }
                None => return None,
            }
        }
        [] => return None,
    };
    while let [name, behind @ ..] = rest {
        let source = modules.get(&at)?;
        if name == "super" {
            at.pop();
        } else if source.children.contains(name) {
            at.push(name.clone());
        } else if let Some(import) = source.import(name).filter(|_| depth < DEPTH_MAX) {
            return resolve(modules, &at, &[import.path.as_slice(), behind].concat(), depth + 1);
        } else {
            return Some(at);
        }
        rest = behind;
    }
    Some(at)
}

/// Re-exports of re-exports that are followed.
const DEPTH_MAX: usize = 8;

/// The groups of modules that reach each other.
fn circles(graph: &Graph) -> Vec<BTreeSet<Module>> {
    let reach: BTreeMap<&Module, BTreeSet<Module>> =
        graph.keys().map(|module| (module, reachable(graph, module))).collect();
    let circle_of = |module: &Module| {
        let there = reach.get(module)?;
        let back = |other: &&Module| reach.get(other).is_some_and(|others| others.contains(module));
        there.contains(module).then(|| there.iter().filter(back).cloned().collect::<BTreeSet<_>>())
    };
    let circles: BTreeSet<_> = graph.keys().filter_map(circle_of).collect();
    circles.into_iter().collect()
}

fn reachable(graph: &Graph, from: &Module) -> BTreeSet<Module> {
    let mut seen = BTreeSet::new();
    let mut open: Vec<&Module> = graph.get(from).into_iter().flatten().collect();
    while let Some(module) = open.pop() {
        if seen.insert(module.clone()) {
            open.extend(graph.get(module).into_iter().flatten());
        }
    }
    seen
}

/// A shortest path through a circle, and the number of its files.
fn describe(graph: &Graph, circle: &BTreeSet<Module>) -> String {
    let name = |module: &Module| if module.is_empty() { "lib".to_owned() } else { module.join("/") };
    let shortest =
        circle.iter().filter_map(|start| way_back(graph, start)).min_by_key(Vec::len).unwrap_or_default();
    let way: Vec<_> = shortest.iter().map(name).collect();
    let all: Vec<_> = circle.iter().map(name).collect();
    format!("{} ({} files: {})", way.join(" -> "), all.len(), all.join(", "))
}

fn way_back(graph: &Graph, start: &Module) -> Option<Vec<Module>> {
    let mut ways = VecDeque::from([vec![start.clone()]]);
    let mut seen = BTreeSet::new();
    while let Some(way) = ways.pop_front() {
        for next in graph.get(way.last()?).into_iter().flatten() {
            let longer = [way.as_slice(), std::slice::from_ref(next)].concat();
            if next == start {
                return Some(longer);
            }
            if seen.insert(next.clone()) {
                ways.push_back(longer);
            }
        }
    }
    None
}

fn crate_of(files: &[(&str, &str)]) -> BTreeMap<Module, Source> {
    let module = |path: &str| path.split('/').filter(|name| !name.is_empty()).map(str::to_owned).collect();
    files.iter().map(|(path, text)| (module(path), Source::parse(text))).collect()
}

fn described(files: &[(&str, &str)]) -> Vec<String> {
    let graph = graph(&crate_of(files));
    circles(&graph).iter().map(|circle| describe(&graph, circle)).collect()
}

#[test]
fn a_circle_is_found_and_named() {
    let lib = ("", "mod a; mod b; mod c; pub use a::A;");
    let a = ("a", "use crate::b::B; struct A(B);");
    let b = ("b", "struct B; fn f() { crate::c::g() }");
    let circle = ("c", "pub fn g() -> super::a::A { todo!() }");
    assert_eq!(described(&[lib, a, b, circle]), ["a -> b -> c -> a (3 files: a, b, c)"]);
    assert_eq!(described(&[lib, a, b, ("c", "pub fn g() {}")]), [""; 0]);
    assert_eq!(described(&[lib, a, b, ("c", "pub fn g(a: crate::A) {}")]).len(), 1, "through a re-export");
}

#[test]
fn a_parent_that_only_declares_or_passes_on_is_in_no_circle() {
    let child = ("a/b", "use super::Own; pub struct B(Own);");
    for (parent, in_circle) in [
        ("mod b; pub use b::B; pub struct Own;", false),
        ("mod b; use b::B; pub struct Own; fn f(b: B) {}", true),
        ("mod b; pub use b::B; pub struct Own; fn f(b: B) {}", true),
        ("mod b; pub struct Own; fn f(b: b::B) {}", true),
        (
            "mod b; pub struct Own; #[cfg(test)] fn f<A, C>(b: b::B) {} #[cfg(test)] mod tests { use b::B; }",
            false,
        ),
        ("mod b; pub struct Own; // b::B\nconst TEXT: &str = \"b::B\"; const QUOTE: char = '\"';", false),
    ] {
        let found = described(&[("", "mod a;"), ("a", parent), child]);
        assert_eq!(!found.is_empty(), in_circle, "{parent}: {found:?}");
    }
}
