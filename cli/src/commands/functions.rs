//! `functions`: what `eval` knows.
//!
//! Called by [`super::run`].

use crate::args::OutputArgs;
use crate::text;
use blockwise::expression::{KnownFunction, functions};
use blockwise::{Error, Result};
use clap::Args;
use serde_json::{Value, json};

/// List every function that eval knows
#[derive(Debug, Args)]
#[command(after_help = "EXAMPLES:
  arrayctl functions                all, by family
  arrayctl functions quantile       those whose name, family or documentation has the word
  arrayctl functions --markdown     as a page")]
pub(crate) struct Arguments {
    /// Only functions whose name, family or documentation has this word
    word: Option<String>,
    /// Print a page in Markdown
    #[arg(long, conflicts_with_all = ["word", "json"])]
    markdown: bool,
}

pub(crate) fn run(arguments: &Arguments, output: &OutputArgs) -> Result<()> {
    let word = arguments.word.as_deref().unwrap_or("").to_lowercase();
    let has = |text: &str| text.to_lowercase().contains(&word);
    let is_meant = |known: &KnownFunction| {
        has(known.name)
            || has(&known.family)
            || has(&known.doc)
            || known.aliases.iter().any(|alias| has(alias))
    };
    let known: Vec<KnownFunction> = functions().into_iter().filter(is_meant).collect();
    if known.is_empty() {
        let what = "no function has this word; leave it out to list all".to_owned();
        return Err(Error::Usage { path: word, what });
    }
    text::print(&if output.json {
        json!({ "functions": known.iter().map(as_json).collect::<Vec<_>>() }).to_string()
    } else if arguments.markdown {
        page(&known)
    } else {
        table(&known)
    });
    Ok(())
}

fn as_json(known: &KnownFunction) -> Value {
    json!({
        "name": known.name,
        "signature": known.signature,
        "family": known.family,
        "doc": known.doc,
        "aliases": known.aliases,
    })
}

/// Documentation and other names.
fn documentation(known: &KnownFunction) -> String {
    if known.aliases.is_empty() {
        known.doc.clone()
    } else {
        format!("{} (also {})", known.doc, known.aliases.join(", "))
    }
}

/// Functions of one family after another.
fn families(known: &[KnownFunction]) -> impl Iterator<Item = &[KnownFunction]> {
    known.chunk_by(|a, b| a.family == b.family)
}

fn table(known: &[KnownFunction]) -> String {
    let block = |family: &[KnownFunction]| {
        let rows: Vec<(String, String)> =
            family.iter().map(|known| (known.signature.clone(), documentation(known))).collect();
        let heading = family.first().map_or("", |known| known.family.as_str());
        format!("{heading}\n{}", text::columns(&rows, 2))
    };
    families(known).map(block).collect::<Vec<_>>().join("\n")
}

fn page(known: &[KnownFunction]) -> String {
    let mut page = format!(
        "# Functions of `arrayctl eval`\n\nMade by `arrayctl functions --markdown`; {} functions. Every function is a method too:\n`x.mean(\"time\")` is `mean(x, \"time\")`. An axis is a position or a dimension name.\n",
        known.len()
    );
    for family in families(known) {
        let heading = family.first().map_or("", |known| known.family.as_str());
        page.push_str(&format!("\n## {heading}\n\n| function | gives |\n|---|---|\n"));
        for known in family {
            let doc = documentation(known).replace('|', "\\|");
            page.push_str(&format!("| `{}` | {doc} |\n", known.signature));
        }
    }
    page.trim_end().to_owned()
}
