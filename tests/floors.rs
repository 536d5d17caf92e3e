//! Holds the layout: a file imports only from its own floor and from those below it, no floor imports a side room, and
//! no files import each other in a circle.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::{fs, iter};

/// From the bottom up.
const FLOORS: [&str; 7] = ["base", "operator", "curvature", "step", "structured", "control", "solver"];
/// They may import every floor; no floor imports them.
const SIDE_ROOMS: [&str; 5] = ["check", "models", "problems", "spectrum", "statistics"];

/// A path such as `crate::base::Scalar`, by its segments.
type Module = Vec<String>;

/// Identifiers, `::` and other characters, with their lines; without comments and without the contents of literals.
fn tokens(source: &str) -> Vec<(String, usize)> {
    let source: Vec<char> = source.chars().collect();
    let starts_with = |i: usize, text: &str| text.chars().eq(source[i..].iter().copied().take(text.len()));
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let (mut tokens, mut i) = (vec![], 0);
    let line = |i: usize| 1 + source[..i].iter().filter(|&&c| c == '\n').count();
    while i < source.len() {
        let start = i;
        if starts_with(i, "//") {
            i += source[i..].iter().take_while(|&&c| c != '\n').count();
        } else if starts_with(i, "/*") {
            let mut depth = 0;
            loop {
                match (starts_with(i, "/*"), starts_with(i, "*/")) {
                    (true, _) => (depth, i) = (depth + 1, i + 2),
                    (_, true) => (depth, i) = (depth - 1, i + 2),
                    _ => i += 1,
                }
                if depth == 0 || i >= source.len() {
                    break;
                }
            }
        } else if source[i] == '"' {
            i += 1;
            while i < source.len() && source[i] != '"' {
                i += if source[i] == '\\' { 2 } else { 1 };
            }
            i += 1;
        } else if starts_with(i, "r\"") || starts_with(i, "r#") {
            let hashes = source[i + 1..].iter().take_while(|&&c| c == '#').count();
            let end: String = iter::once('"').chain(iter::repeat_n('#', hashes)).collect();
            i += 2 + hashes;
            while i < source.len() && !starts_with(i, &end) {
                i += 1;
            }
            i += end.len();
        } else if source[i] == '\'' && source.get(i + 1) == Some(&'\\') {
            i += 3;
            i += source[i..].iter().take_while(|&&c| c != '\'').count() + 1;
        } else if source[i] == '\'' && source.get(i + 2) == Some(&'\'') {
            i += 3;
        } else if is_word(source[i]) {
            i += source[i..].iter().take_while(|&&c| is_word(c)).count();
            tokens.push((source[start..i].iter().collect(), line(start)));
        } else if starts_with(i, "::") {
            i += 2;
            tokens.push(("::".into(), line(start)));
        } else {
            i += 1;
            if !source[start].is_whitespace() {
                tokens.push((source[start].into(), line(start)));
            }
        }
    }
    tokens
}

/// What a file refers to.
struct Reference {
    path: Module,
    line: usize,
    /// `pub use`: a name handed on, for which the file needs nothing itself.
    handed_on: bool,
}

/// The paths in a file that start with `crate`, `super`, `self` or a module inside it.
fn references(module: &Module, source: &str, is_module: impl Fn(&[String]) -> bool) -> Vec<Reference> {
    let tokens = tokens(source);
    let text = |i: usize| tokens.get(i).map_or("", |t| t.0.as_str());
    let mut here = module.clone();
    let (mut depth, mut inline, mut found) = (0, vec![], vec![]);
    for i in 0..tokens.len() {
        match text(i) {
            "{" => {
                depth += 1;
                if i >= 2 && text(i - 2) == "mod" {
                    here.push(text(i - 1).into());
                    inline.push(depth);
                }
            }
            "}" => {
                if inline.last() == Some(&depth) {
                    inline.pop();
                    here.pop();
                }
                depth -= 1;
            }
            first if text(i + 1) == "::" && (i == 0 || text(i - 1) != "::") => {
                let child: Module = here.iter().cloned().chain([first.into()]).collect();
                let start = match first {
                    "crate" => vec![],
                    "self" => here.clone(),
                    "super" => here[..here.len().saturating_sub(1)].to_vec(),
                    _ if is_module(&child) => child,
                    _ => continue,
                };
                let handed_on = i >= 2 && text(i - 1) == "use" && ["pub", ")"].contains(&text(i - 2));
                let mut paths = vec![];
                expand(&tokens, i + 1, start, &mut paths);
                found.extend(paths.into_iter().map(|path| Reference { path, line: tokens[i].1, handed_on }));
            }
            _ => {}
        }
    }
    found
}

/// Collects the paths of a tree such as `::a::{b, c::d}` that begins at token `i`; returns where it ends.
fn expand(tokens: &[(String, usize)], mut i: usize, mut path: Module, found: &mut Vec<Module>) -> usize {
    let text = |i: usize| tokens.get(i).map_or("", |t| t.0.as_str());
    while text(i) == "::" {
        i += 1;
        match text(i) {
            "{" => {
                while text(i) != "}" && i < tokens.len() {
                    // The element after `{` or `,`, as if it began with `::`.
                    let mut element = path.clone();
                    match text(i + 1) {
                        "}" => {
                            i += 1;
                            continue;
                        }
                        "self" => {}
                        "super" => drop(element.pop()),
                        name => element.push(name.into()),
                    }
                    i = expand(tokens, i + 2, element, found);
                    while !["}", ","].contains(&text(i)) && i < tokens.len() {
                        i += 1;
                    }
                }
                return i + 1;
            }
            "super" => drop(path.pop()),
            "self" | "*" => {}
            name if name.starts_with(|c: char| c.is_alphabetic() || c == '_') => path.push(name.into()),
            _ => break,
        }
        i += 1;
    }
    found.push(path);
    i
}

/// What is wrong with the layout of these files, given as path inside `src` and text. Empty if nothing is.
fn violations(files: &BTreeMap<String, String>) -> Vec<String> {
    let modules: BTreeMap<Module, &String> = files
        .keys()
        .map(|file| {
            let mut module: Module = file.trim_end_matches(".rs").split('/').map(String::from).collect();
            module.pop_if(|last| last == "mod" || last == "lib");
            (module, file)
        })
        .collect();
    let found: BTreeMap<&Module, Vec<Reference>> = modules
        .iter()
        .map(|(module, file)| (module, references(module, &files[*file], |m| modules.contains_key(m))))
        .collect();

    // The module that a path leads to, through names that other modules hand on.
    let resolve = |path: &Module| {
        let mut path = path.clone();
        for _ in 0..10 {
            let length = (0..=path.len()).rev().find(|&n| modules.contains_key(&path[..n])).expect("lib.rs");
            let (module, rest) = (path[..length].to_vec(), &path[length..]);
            let next = rest.first().and_then(|name| {
                let mut names = found[&module].iter().filter(|r| r.handed_on && r.path != path);
                names.find(|r| r.path.last() == Some(name)).map(|r| r.path.clone())
            });
            match next {
                Some(next) => path = next.into_iter().chain(rest[1..].to_vec()).collect(),
                None => return module,
            }
        }
        panic!("{path:?} is handed on in a circle");
    };

    let mut violations = vec![];
    let mut edges: BTreeMap<Module, BTreeMap<Module, usize>> = BTreeMap::new();
    for (&module, references) in found.iter().filter(|(module, _)| !module.is_empty()) {
        let (file, folder) = (modules[module], module[0].as_str());
        let floor = FLOORS.iter().position(|f| *f == folder);
        if floor.is_none() && !SIDE_ROOMS.contains(&folder) {
            violations.push(format!("{file}:1: {folder} is neither a floor nor a side room"));
            continue;
        }
        for Reference { path, line, handed_on } in references {
            let place = format!("{file}:{line}: {}", path.join("::"));
            let Some(other) = path.first() else {
                violations.push(format!("{place} is imported from the root of the crate, not from its floor"));
                continue;
            };
            let other_floor = FLOORS.iter().position(|f| f == other);
            let is_room = SIDE_ROOMS.contains(&other.as_str());
            if other_floor.is_none() && !is_room {
                violations.push(format!("{place} is imported from the root of the crate, not from its floor"));
            } else if floor.is_some() && is_room {
                violations.push(format!("{place} is in a side room, which no floor imports"));
            } else if floor.is_some() && floor < other_floor {
                violations.push(format!("{place} is on a floor above {folder}"));
            }
            let target = resolve(path);
            if !handed_on && target != *module {
                edges.entry(module.clone()).or_default().entry(target).or_insert(*line);
            }
        }
    }

    // An import is part of a circle if what it leads to leads back.
    for (module, targets) in &edges {
        for (target, line) in targets {
            let (mut seen, mut open) = (BTreeSet::from([target]), vec![target]);
            while let Some(next) = open.pop() {
                open.extend(edges.get(next).into_iter().flat_map(BTreeMap::keys).filter(|m| seen.insert(m)));
            }
            if seen.contains(module) {
                let file = modules[module];
                violations.push(format!("{file}:{line}: {} is part of a circle of imports", target.join("::")));
            }
        }
    }
    violations
}

fn read(folder: &Path, root: &Path, files: &mut BTreeMap<String, String>) {
    for entry in fs::read_dir(folder).expect("a readable folder") {
        let path = entry.expect("a readable entry").path();
        if path.is_dir() {
            read(&path, root, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let segments = path.strip_prefix(root).expect("a path in src").iter();
            let name: Vec<_> = segments.map(|segment| segment.to_string_lossy()).collect();
            files.insert(name.join("/"), fs::read_to_string(&path).expect("readable source"));
        }
    }
}

#[test]
fn imports_lead_downwards() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = BTreeMap::new();
    read(&root, &root, &mut files);
    for folder in FLOORS.iter().chain(&SIDE_ROOMS) {
        assert!(files.contains_key(&format!("{folder}/mod.rs")), "src/{folder} is missing");
    }
    let violations = violations(&files);
    assert!(violations.is_empty(), "\n{}\n", violations.join("\n"));
}

/// The violations of a small crate of which some files are given.
fn planted(files: &[(&str, &str)]) -> Vec<String> {
    let mut crate_files: BTreeMap<String, String> = [
        ("lib.rs", "mod base; mod operator; mod step; pub mod check; pub use step::*;"),
        ("base/mod.rs", "mod scalar; pub use scalar::Scalar; pub(crate) use scalar::{check_range};"),
        ("base/scalar.rs", "pub trait Scalar {}"),
        ("operator/mod.rs", "mod one; mod two; pub use one::One; pub use two::Two;"),
        ("operator/one.rs", "use crate::base::{self, Scalar}; use super::Two;"),
        (
            "operator/two.rs",
            "use crate::base::Scalar; #[cfg(test)] mod tests { use super::*; use super::InnerSolver; }",
        ),
        ("step/mod.rs", "//! [`crate::Krylov`]\nmod krylov; pub use krylov::Krylov;"),
        ("step/krylov.rs", "use crate::operator::{One, Two}; fn f() { super::super::base::g(\"crate::solver::x\") }"),
        ("check/mod.rs", "use crate::step::Krylov; use crate::{base::Scalar, operator::One};"),
    ]
    .map(|(file, source)| (file.into(), source.into()))
    .into();
    crate_files.extend(files.iter().map(|(file, source)| (file.to_string(), source.to_string())));
    violations(&crate_files)
}

#[test]
fn a_planted_violation_is_found() {
    assert_eq!(planted(&[]), [""; 0]);
    let one = |file: &str, source: &str, expected: &str| {
        let found = planted(&[(file, source)]);
        assert!(found.first().is_some_and(|first| first.starts_with(expected)), "{source}: {found:?}");
    };
    one(
        "operator/two.rs",
        "\nuse crate::step::Krylov;",
        "operator/two.rs:2: step::Krylov is on a floor above operator",
    );
    one(
        "operator/one.rs",
        "use crate::{base::Scalar, step::{Krylov}};",
        "operator/one.rs:1: step::Krylov is on a floor",
    );
    one(
        "operator/one.rs",
        "fn f() {\n let x = super::super::step::new(); }",
        "operator/one.rs:2: step::new is on a floor",
    );
    one(
        "operator/one.rs",
        "mod tests { use super::super::super::step::X; }",
        "operator/one.rs:1: step::X is on a floor",
    );
    one(
        "base/scalar.rs",
        "/* \" */ use crate::check::tolerance;",
        "base/scalar.rs:1: check::tolerance is in a side room",
    );
    one("step/krylov.rs", "fn f() -> crate::Result<()> {}", "step/krylov.rs:1: Result is imported from the root");
    one("tools/mod.rs", "", "tools/mod.rs:1: tools is neither a floor nor a side room");
}

#[test]
fn a_planted_circle_is_found() {
    for (file, source) in [
        ("operator/two.rs", "use super::One;"),
        ("operator/two.rs", "use super::one::{One as Two};"),
        ("operator/two.rs", "fn f(x: &crate::operator::One) {}"),
    ] {
        let found = planted(&[(file, source)]);
        assert!(found.len() == 2 && found.iter().all(|v| v.contains("circle")), "{source}: {found:?}");
    }
    // A folder's own file counts as well, where it uses what it does not hand on.
    let found = planted(&[
        ("operator/mod.rs", "mod one; mod two; pub use two::Two; fn f() { one::g() } pub struct Here;"),
        ("operator/one.rs", "use super::Here;"),
    ]);
    assert!(found.iter().any(|v| v.starts_with("operator/mod.rs:1: operator::one is part")), "{found:?}");
}
