//! `ls`: the tree of a container, a line per array.
//!
//! Called by [`super::run`].

use crate::args::{OutputArgs, ReadArgs, location, parse_dtype};
use crate::{json, text};
use blockwise::codec_text::codec_text;
use blockwise::core::error::human_bytes;
use blockwise::core::region::element_count;
use blockwise::io::{ArrayInfo, ElementType, GroupInfo, NodePath};
use blockwise::{Opened, Result};
use clap::Args;
use serde_json::json;

/// Show the tree of a container, a line per array
#[derive(Debug, Args)]
#[command(after_help = "EXAMPLES:
  arrayctl ls era5.nc
  arrayctl ls store.zarr::surface
  arrayctl ls store.zarr --json | jq '.arrays[].path'")]
pub(crate) struct Arguments {
    /// The container, or a group in it as PATH::NODE
    path: String,
    /// Element type of a raw input, with --shape
    #[arg(long, value_name = "DTYPE", help_heading = "Input", requires = "shape")]
    dtype: Option<String>,
    #[command(flatten)]
    read: ReadArgs,
}

pub(crate) fn run(arguments: &Arguments, output: &OutputArgs) -> Result<()> {
    let dtype = arguments.dtype.as_deref().map(parse_dtype).transpose()?;
    let opened = location(&arguments.path)?.open(&arguments.read.options(dtype)?)?;
    let (groups, arrays) = opened.selected()?;
    if output.json {
        let object = json!({
            "path": opened.container.label(),
            "format": opened.container.format().to_string(),
            "groups": groups.iter().map(|group| json::group(group)).collect::<Vec<_>>(),
            "arrays": arrays.iter().map(|array| json::array(array)).collect::<Vec<_>>(),
        });
        text::print(&object.to_string());
    } else {
        text::print(&tree(&opened, &groups, &arrays));
    }
    Ok(())
}

/// The tree, each node below its group.
pub(super) fn tree(opened: &Opened, groups: &[&GroupInfo], arrays: &[&ArrayInfo]) -> String {
    let root = opened.node().cloned().unwrap_or_default();
    let mut lines = vec![Line {
        tree: text::printable(&opened.label(&root)),
        about: opened.container.format().to_string(),
        ..Line::default()
    }];
    if let Some(array) = arrays.iter().find(|array| array.path == root) {
        lines = vec![Line::of(array, text::printable(&opened.label(&root)))];
    } else {
        branch(&root, "", groups, arrays, &mut lines);
    }
    let widths = [
        lines.iter().map(|line| line.tree.chars().count()).max().unwrap_or(0),
        lines.iter().map(|line| line.dtype.chars().count()).max().unwrap_or(0),
        lines.iter().map(|line| line.shape.chars().count()).max().unwrap_or(0),
    ];
    let pad = |text: &str, width: usize| {
        format!("{text}{}", " ".repeat(width.saturating_sub(text.chars().count())))
    };
    let lines = lines.iter().map(|line| {
        let columns = [
            pad(&line.tree, widths[0]),
            pad(&line.dtype, widths[1]),
            pad(&line.shape, widths[2]),
            line.about.clone(),
        ];
        columns.join("  ").trim_end().to_owned()
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[derive(Default)]
struct Line {
    tree: String,
    dtype: String,
    shape: String,
    about: String,
}

impl Line {
    fn of(array: &ArrayInfo, tree: String) -> Self {
        let mut about = Vec::new();
        if let Some(chunk) = &array.chunk_shape {
            about.push(format!("chunks {}", text::shape(chunk)));
        }
        if let Some(shard) = &array.shard_shape {
            about.push(format!("shards {}", text::shape(shard)));
        }
        match &array.codec {
            Some(codec) if array.chunk_shape.is_some() => about.push(codec_text(codec)),
            None if !array.codec_text.is_empty() => about.push(text::printable(&array.codec_text)),
            _ => {}
        }
        about.extend(logical_bytes(array).map(human_bytes));
        Self {
            tree,
            dtype: array.element_type.to_string(),
            shape: shape_with_names(array),
            about: about.join("  "),
        }
    }
}

/// Appends the nodes right below `group`, groups after arrays.
fn branch(
    group: &NodePath,
    indent: &str,
    groups: &[&GroupInfo],
    arrays: &[&ArrayInfo],
    lines: &mut Vec<Line>,
) {
    let below = |path: &NodePath| path.parent().as_ref() == Some(group);
    let own_arrays: Vec<_> = arrays.iter().filter(|array| below(&array.path)).collect();
    let own_groups: Vec<_> = groups.iter().filter(|other| below(&other.path)).collect();
    let count = own_arrays.len() + own_groups.len();
    let twig = |at: usize| if at + 1 == count { ("└─ ", "   ") } else { ("├─ ", "│  ") };
    for (at, array) in own_arrays.iter().enumerate() {
        let name = text::printable(array.path.name().unwrap_or(""));
        lines.push(Line::of(array, format!("{indent}{}{name}", twig(at).0)));
    }
    for (at, child) in own_groups.iter().enumerate() {
        let (here, further) = twig(own_arrays.len() + at);
        let name = text::printable(child.path.name().unwrap_or(""));
        lines.push(Line { tree: format!("{indent}{here}{name}/"), ..Line::default() });
        branch(&child.path, &format!("{indent}{further}"), groups, arrays, lines);
    }
}

/// `(time 12, lat 90)`, as far as the axes have names.
fn shape_with_names(array: &ArrayInfo) -> String {
    let axes = array.shape.iter().enumerate().map(|(axis, extent)| {
        match array.dimension_names.get(axis).and_then(Option::as_deref) {
            Some(name) => format!("{} {extent}", text::printable(name)),
            None => extent.to_string(),
        }
    });
    format!("({})", axes.collect::<Vec<_>>().join(", "))
}

/// Bytes of all elements, where that is a number.
pub(super) fn logical_bytes(array: &ArrayInfo) -> Option<u64> {
    let item_bytes = match &array.element_type {
        ElementType::FixedBytes { len_bytes } => *len_bytes,
        other => other.stream_dtype()?.size() as u64,
    };
    element_count(&array.shape)?.checked_mul(item_bytes)
}
