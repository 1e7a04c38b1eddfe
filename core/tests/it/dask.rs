//! The table of dask.array's functions in `docs/dask.md`: every name that it gives is looked up, and the page must be what
//! the list makes. `BLOCKWISE_WRITE_DOCS=1 cargo test -p blockwise-core --test it dask` writes it.

use crate::surface;
use blockwise_core::array::Reduce;
use blockwise_core::kernels::function::Function;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

const LIST: &str = include_str!("dask/functions.txt");

/// The share of `dask.array`'s own functions that must be there, in percent.
const WANTED_PERCENT: usize = 85;

/// What there is, by name.
struct Surface {
    arrays: BTreeSet<String>,
    sessions: BTreeSet<String>,
    maps: BTreeSet<String>,
    gufuncs: BTreeSet<String>,
    fouriers: BTreeSet<String>,
    distributions: String,
    /// The front page of `blockwise-linalg`.
    linear: String,
}

impl Surface {
    fn read() -> Self {
        let distributions =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("../kernels/src/random/distribution.rs");
        Self {
            arrays: surface::methods_of("Array"),
            sessions: surface::methods_of("Session"),
            maps: surface::methods_of("MapBlocks"),
            gufuncs: surface::methods_of("Gufunc"),
            fouriers: surface::methods_of("Fourier"),
            distributions: fs::read_to_string(distributions).unwrap(),
            linear: fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../linalg/src/lib.rs"))
                .unwrap(),
        }
    }

    /// How a program calls what the list says; an error if there is no such thing.
    fn resolve(&self, name: &str, given: &str) -> Result<String, String> {
        let there =
            |found: bool, text: String| if found { Ok(text) } else { Err(format!("{name}: no {text}")) };
        if let Some(function) = given.strip_prefix("call ") {
            return there(Function::named(function).is_some(), format!("Array::call(\"{function}\")"));
        }
        if let Some(reduction) = given.strip_prefix("reduce ") {
            let found = Reduce::named(reduction, 0.0).is_some();
            return there(found, format!("Reduce::named(\"{reduction}\")"));
        }
        match given.split_once("::") {
            Some(("Array", method)) => there(self.arrays.contains(method), given.to_owned()),
            Some(("Session", method)) => there(self.sessions.contains(method), given.to_owned()),
            Some(("MapBlocks", method)) => there(self.maps.contains(method), given.to_owned()),
            Some(("Gufunc", method)) => there(self.gufuncs.contains(method), given.to_owned()),
            Some(("Fourier", method)) => there(self.fouriers.contains(method), given.to_owned()),
            Some(("Distribution", kind)) => {
                let found = [format!("\n    {kind} {{\n"), format!("\n    {kind},\n")];
                there(found.iter().any(|line| self.distributions.contains(line)), given.to_owned())
            }
            Some(("linalg", function)) => {
                let offered = self.linear.lines().filter(|line| line.starts_with("pub use"));
                let mut words =
                    offered.flat_map(|line| line.split(|c: char| !c.is_alphanumeric() && c != '_'));
                there(words.any(|word| word == function), given.to_owned())
            }
            Some(("promote", "promote")) => Ok("kernels::promote::promote".to_owned()),
            None if given.is_empty() => self
                .resolve(name, &format!("Array::{name}"))
                .or_else(|_| self.resolve(name, &format!("call {name}")))
                .or_else(|_| self.resolve(name, &format!("reduce {name}"))),
            _ => Err(format!("{name}: {given:?} says nothing")),
        }
    }
}

/// The page, and how many of the first section's functions there are, of how many.
fn page() -> (String, usize, usize) {
    let surface = Surface::read();
    let (mut tables, mut summary) = (String::new(), String::new());
    let (mut first, mut faults) = (None, Vec::new());
    for section in LIST.split("\n[").skip(1) {
        let (title, rows) = section.split_once("]\n").unwrap();
        let (mut present, mut all) = (0, 0);
        write!(tables, "\n## `{title}`\n\n| dask | here |\n|---|---|\n").unwrap();
        for row in rows.lines().filter(|row| !row.is_empty()) {
            let (name, given) = row.split_once(' ').unwrap_or((row, ""));
            all += 1;
            let text = match given.strip_prefix("- ") {
                Some(reason) => format!("absent: {reason}"),
                None => match surface.resolve(name, given) {
                    Ok(path) => {
                        present += 1;
                        format!("`{path}`")
                    }
                    Err(fault) => {
                        faults.push(fault);
                        continue;
                    }
                },
            };
            writeln!(tables, "| `{name}` | {text} |").unwrap();
        }
        writeln!(summary, "| `{title}` | {present} | {all} | {} % |", present * 100 / all).unwrap();
        first.get_or_insert((present, all));
    }
    assert!(faults.is_empty(), "{faults:#?}");
    let (present, all) = first.unwrap();
    let page = format!(
        "# Functions of dask.array\n\n\
         Made by a test from the list in `core/tests/it/dask/functions.txt` and the methods in the source; a name that is not\n\
         there fails the test. Dtypes and helpers of dask's own tests are left out.\n\n\
         | module | present | of | |\n|---|---|---|---|\n{summary}{tables}"
    );
    (page, present, all)
}

#[test]
fn the_table_of_functions_is_current() {
    let (page, present, all) = page();
    println!("{present} of {all} functions of dask.array");
    assert!(
        present * 100 >= WANTED_PERCENT * all,
        "only {present} of {all} functions of dask.array are there"
    );
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/dask.md");
    if std::env::var_os("BLOCKWISE_WRITE_DOCS").is_some() {
        fs::write(&path, &page).unwrap();
    }
    let written = fs::read_to_string(&path).unwrap_or_default();
    assert!(written == page, "docs/dask.md is out of date: run this test with BLOCKWISE_WRITE_DOCS=1");
}
