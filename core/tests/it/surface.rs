//! What the crate offers, read from its source: the methods of its types.
//!
//! Called by the tests that hold lists of operations against it.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// Names of the public functions in the plain `impl` blocks of a type, and for arrays of those that tables make.
pub(crate) fn methods_of(of: &str) -> BTreeSet<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut names = BTreeSet::new();
    for folder in [root.clone(), root.join("array")] {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "rs") {
                names.extend(methods_in(&fs::read_to_string(path).unwrap(), of));
            }
        }
    }
    assert!(!names.is_empty(), "no methods of {of}");
    names
}

fn methods_in(text: &str, of: &str) -> BTreeSet<String> {
    let opening = format!("impl {of} {{");
    // What encloses a line, as far as it matters: a block at the left margin.
    let (mut is_impl, mut is_table) = (false, false);
    let mut names = BTreeSet::new();
    for line in text.lines() {
        if !line.is_empty() && !line.starts_with([' ', '}', '/', '#']) {
            is_impl = line == opening;
            let is_opened = |table: &&str| line.strip_prefix(*table) == Some("! {");
            is_table = of == "Array" && ["methods", "reductions", "cumulative"].iter().any(is_opened);
            continue;
        }
        let item = line.trim_start();
        let name = if is_impl && line.starts_with("    pub ") {
            item.strip_prefix("pub const fn ").or_else(|| item.strip_prefix("pub fn "))
        } else if is_table {
            Some(item)
        } else {
            None
        };
        if let Some(name) = name
            && let Some(end) = name.find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
            && end > 0
        {
            names.insert(name[..end].to_owned());
        }
    }
    names
}
