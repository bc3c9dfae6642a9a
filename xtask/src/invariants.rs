//! The rules of ARCHITECTURE.md that a machine can check: which crate may know which library, and where `unsafe` may be.

use crate::command;
use crate::failure::{Failure, Result, doing};
use crate::workspace::Workspace;
use serde::Deserialize;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A package, and what its dependency tree (without build and test dependencies) must not hold.
const FORBIDDEN: [(&str, &[&str]); 4] = [
    ("mindeye-daemon", &["tch", "torch-sys"]),
    ("mindeye-decode", &["tch", "torch-sys", "zmq", "tokio"]),
    ("mindeye-preprocess", &["ort", "zmq", "tokio", "tch", "torch-sys"]),
    ("mindeye-exporter", &["tch", "torch-sys"]),
];
/// Bindings to engines, and the one package that names them.
const ENGINE_BINDINGS: [&str; 3] = ["ort", "trtx", "cudarc"];
const ENGINE: &str = "mindeye-engine";
/// The package that stays pure Rust.
const PURE: &str = "mindeye-config";
/// Packages that claim a `links` key only so that no two versions meet; they link nothing.
const LINKS_NOTHING: [&str; 2] = ["rayon-core", "prettyplease"];
/// Our own sources, below these folders of the root.
const SOURCES: [&str; 11] = [
    "config",
    "preprocess",
    "participants",
    "engine",
    "decode",
    "exporter",
    "trainer",
    "daemon",
    "tests",
    "benches",
    "xtask",
];

const LIMIT: Duration = Duration::from_secs(300);

/// The part of `cargo metadata` that matters here.
#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    /// Absent for packages of this workspace.
    source: Option<String>,
    /// The native library it says it links.
    links: Option<String>,
    dependencies: Vec<Dependency>,
}

#[derive(Deserialize)]
struct Dependency {
    name: String,
}

/// Checks all of them; the failure lists every violation.
pub(crate) fn check(workspace: &Workspace) -> Result<()> {
    let metadata = metadata(workspace)?;
    let mut violations = Vec::new();
    for (package, forbidden) in FORBIDDEN {
        violations.extend(forbidden_in(package, forbidden, &tree(workspace, package)?));
    }
    violations.extend(engine_bindings(&metadata));
    violations.extend(native(PURE, &tree(workspace, PURE)?, &metadata));
    violations.extend(unsafe_code(&workspace.root)?);
    if violations.is_empty() { Ok(()) } else { Err(Failure::other(violations.join("; "))) }
}

fn metadata(workspace: &Workspace) -> Result<Metadata> {
    let mut cargo = workspace.cargo(&["metadata", "--locked", "--format-version", "1"]);
    let text = command::capture("cargo metadata", &mut cargo, LIMIT)?;
    serde_json::from_str(&text).map_err(|error| Failure::other(format!("cargo metadata: {error}")))
}

/// Names of all packages that `package` is made of.
fn tree(workspace: &Workspace, package: &str) -> Result<BTreeSet<String>> {
    let arguments =
        ["tree", "--locked", "--edges", "normal", "--prefix", "none", "--format", "{p}", "--package", package];
    let text = command::capture(&format!("cargo tree of {package}"), &mut workspace.cargo(&arguments), LIMIT)?;
    Ok(names(&text))
}

/// The first word of each line, `name v1.2.3 (…)`.
fn names(tree: &str) -> BTreeSet<String> {
    tree.lines().filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect()
}

fn forbidden_in(package: &str, forbidden: &[&str], tree: &BTreeSet<String>) -> Vec<String> {
    let found = forbidden.iter().filter(|name| tree.contains(**name));
    found.map(|name| format!("{package} depends on {name}, which it must not know")).collect()
}

fn engine_bindings(metadata: &Metadata) -> Vec<String> {
    let ours = metadata.packages.iter().filter(|package| package.source.is_none() && package.name != ENGINE);
    let named = ours.flat_map(|package| package.dependencies.iter().map(move |dependency| (package, dependency)));
    named
        .filter(|(_, dependency)| ENGINE_BINDINGS.contains(&dependency.name.as_str()))
        .map(|(package, dependency)| format!("{} names {}, which only {ENGINE} may", package.name, dependency.name))
        .collect()
}

fn native(package: &str, tree: &BTreeSet<String>, metadata: &Metadata) -> Vec<String> {
    let found = metadata.packages.iter().filter(|found| {
        tree.contains(&found.name) && found.links.is_some() && !LINKS_NOTHING.contains(&found.name.as_str())
    });
    found.map(|found| format!("{package} holds native code through {}", found.name)).collect()
}

/// `unsafe_code` is never allowed, only expected with a reason, in sources that are ours.
fn unsafe_code(root: &Path) -> Result<Vec<String>> {
    let mut violations = Vec::new();
    for folder in SOURCES {
        for file in rust_files(&root.join(folder))? {
            let text = fs::read_to_string(&file).map_err(doing("read", &file))?;
            let place = file.strip_prefix(root).unwrap_or(&file).display().to_string();
            violations
                .extend(unsafe_exceptions(&text).into_iter().map(|(line, what)| format!("{place}:{line}: {what}")));
        }
    }
    Ok(violations)
}

/// Lines of `text` (from 1) that lift the lint without saying why.
fn unsafe_exceptions(text: &str) -> Vec<(usize, &'static str)> {
    // Put together here, so that this file does not find itself.
    let (allow, expect) = (["allow", "(unsafe_code"].concat(), ["expect", "(unsafe_code"].concat());
    let mut found = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        if line.contains(&allow) {
            found.push((number, "unsafe_code is allowed; use expect with a reason"));
        } else if line.contains(&expect) && !attribute(text, number).contains("reason") {
            found.push((number, "unsafe_code is expected without a reason"));
        }
    }
    found
}

/// The attribute that starts on a line, to its closing bracket.
fn attribute(text: &str, line: usize) -> String {
    let rest: String = text.lines().skip(line - 1).take(4).collect();
    rest.split_inclusive(")]").next().unwrap_or_default().to_owned()
}

fn rust_files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(doing("list", folder))?.flatten() {
        let path = entry.path();
        if path.is_dir() {
            files.extend(rust_files(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forbidden_names_are_found_in_a_tree() {
        let tree = names("mindeye-daemon v0.1.0 (/here/daemon)\nserde v1.0.229\ntch v0.24.0\nserde v1.0.229 (*)\n");
        assert_eq!(tree.len(), 3);
        let violations = forbidden_in("mindeye-daemon", &["tch", "torch-sys"], &tree);
        assert_eq!(violations, ["mindeye-daemon depends on tch, which it must not know"]);
    }

    #[test]
    fn only_the_engine_names_its_bindings() {
        let package = |name: &str, source: Option<&str>| serde_json::json!({"name": name, "source": source, "links": null, "dependencies": [{"name": "ort"}]});
        let packages = [package("mindeye-engine", None), package("mindeye-decode", None), package("other", Some("x"))];
        let metadata = serde_json::from_value(serde_json::json!({"packages": packages})).unwrap();
        assert_eq!(engine_bindings(&metadata), ["mindeye-decode names ort, which only mindeye-engine may"]);
    }

    #[test]
    fn native_libraries_are_found_by_their_links_key() {
        let package = |name: &str| serde_json::json!({"name": name, "links": name, "dependencies": []});
        let packages = [package("zmq-sys"), package("rayon-core"), package("elsewhere-sys")];
        let metadata = serde_json::from_value(serde_json::json!({"packages": packages})).unwrap();
        let tree = names("zmq-sys v1\nrayon-core v1\n");
        assert_eq!(native("mindeye-config", &tree, &metadata), ["mindeye-config holds native code through zmq-sys"]);
    }

    #[test]
    fn lifting_the_lint_needs_a_reason() {
        let lint = "unsafe_code";
        let cases = [
            (format!("#![allow({lint})]"), 1),
            (format!("#[expect({lint})]\nfn f() {{ \"reason\" }}"), 1),
            (format!("#[expect({lint}, reason = \"dlopen\")]"), 0),
            (format!("#![expect(\n    {lint},\n    reason = \"dlopen\"\n)]"), 0),
            ("fn safe() {}".to_owned(), 0),
        ];
        for (text, expected) in cases {
            assert_eq!(unsafe_exceptions(&text).len(), expected, "{text}");
        }
    }
}
