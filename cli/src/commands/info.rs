//! `info`: all about one array, or the header of a container.
//!
//! Called by [`super::run`].

use super::ls::{logical_bytes, tree};
use crate::args::{OutputArgs, ReadArgs, location, parse_dtype};
use crate::{json, text};
use blockwise::codec_text::codec_text;
use blockwise::core::error::human_bytes;
use blockwise::io::{ArrayInfo, StoredArray};
use blockwise::{Opened, Result};
use clap::Args;
use serde_json::{Value, json};

/// Show all about an array: format, shape, dtype, dimensions, chunks, codecs, fill value, attributes, bytes stored
///
/// Of a container with several arrays it shows groups, dimensions, attributes and a line per array.
#[derive(Debug, Args)]
#[command(after_help = "EXAMPLES:
  arrayctl info era5.nc::t2m
  arrayctl info cube.zarr --json
  arrayctl info field.raw --dtype float32 --shape 361,720")]
pub(crate) struct Arguments {
    /// The array or container: PATH or PATH::NODE
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
    opened.selected()?; // a node that is not there is an error, not an empty container
    let shown = match opened.only_array() {
        Ok(array) => about_array(&opened, array, output.json)?,
        Err(_) => about_container(&opened, output.json)?,
    };
    text::print(&shown);
    Ok(())
}

fn about_array(opened: &Opened, array: &ArrayInfo, as_json: bool) -> Result<String> {
    let stored = opened.array(&array.path)?;
    let found = if_listed(stored.stored_chunks())?;
    let (present, total) = (found.map(|(present, _)| present), found.map(|(_, total)| total));
    let stored_bytes = if_listed(stored.stored_bytes())?;
    if as_json {
        let mut object = json::array(array);
        if let Value::Object(fields) = &mut object {
            fields.insert("file".to_owned(), json!(opened.container.label()));
            fields.insert("files".to_owned(), json!(opened.container.paths().len()));
            fields.insert("chunks_stored".to_owned(), json!(present));
            fields.insert("chunks_total".to_owned(), json!(total));
            fields.insert("bytes_stored".to_owned(), json!(stored_bytes));
            fields.insert("bytes_logical".to_owned(), json!(logical_bytes(array)));
        }
        return Ok(object.to_string());
    }
    let mut rows = rows_of(array, &*stored);
    let files = opened.container.paths().len();
    if files > 1 {
        rows.insert(0, ("files".into(), files.to_string()));
    }
    let ratio = logical_bytes(array).zip(stored_bytes.filter(|bytes| *bytes > 0)).map(|(logical, stored)| {
        #[expect(clippy::cast_precision_loss, reason = "two digits are shown")]
        let ratio = logical as f64 / stored as f64;
        format!(", ratio {ratio:.2}")
    });
    let logical = logical_bytes(array).map_or_else(|| "unknown".to_owned(), human_bytes);
    let unknown = || "unknown".to_owned();
    let present = found.map_or_else(unknown, |(present, total)| format!("{present} of {total}"));
    rows.push(("chunks stored".into(), present));
    rows.push((
        "bytes".into(),
        format!(
            "{} stored of {logical}{}",
            stored_bytes.map_or_else(unknown, human_bytes),
            ratio.unwrap_or_default()
        ),
    ));
    let mut lines = vec![text::printable(&opened.label(&array.path)), text::columns(&rows, 2)];
    if !array.attributes.is_empty() {
        lines.push("  attributes".to_owned());
        lines.push(text::columns(&text::attribute_rows(&array.attributes), 4));
    }
    Ok(lines.join("\n"))
}

/// What counting stored objects found; `None` on a server that lists nothing.
fn if_listed<T>(counted: Result<T, blockwise::io::Error>) -> Result<Option<T>> {
    match counted {
        Err(blockwise::io::Error::Unsupported { .. }) => Ok(None),
        other => Ok(Some(other?)),
    }
}

fn rows_of(array: &ArrayInfo, stored: &dyn StoredArray) -> Vec<(String, String)> {
    let mut rows = vec![
        ("format".to_owned(), array.format.to_string()),
        ("dtype".to_owned(), array.element_type.to_string()),
        ("shape".to_owned(), text::shape(&array.shape)),
    ];
    if array.dimension_names.iter().any(Option::is_some) {
        let names = array.dimension_names.iter().enumerate().map(|(axis, name)| {
            let unlimited = if array.unlimited.get(axis) == Some(&true) { " (unlimited)" } else { "" };
            format!("{}{unlimited}", text::printable(name.as_deref().unwrap_or("-")))
        });
        rows.push(("dimensions".into(), names.collect::<Vec<_>>().join(", ")));
    } else if array.unlimited.contains(&true) {
        let axes = array.unlimited.iter().enumerate().filter(|(_, unlimited)| **unlimited);
        rows.push((
            "unlimited".into(),
            axes.map(|(axis, _)| axis.to_string()).collect::<Vec<_>>().join(", "),
        ));
    }
    let chunks = match &array.chunk_shape {
        None => "none (contiguous)".to_owned(),
        Some(chunk) => {
            let item_bytes = stored.info().element_type.stream_dtype().map_or(0, |dtype| dtype.size() as u64);
            let bytes = chunk.iter().try_fold(item_bytes, |bytes, length| bytes.checked_mul(*length));
            let bytes = bytes.filter(|bytes| *bytes > 0).map(|bytes| format!(" ({})", human_bytes(bytes)));
            format!("{}{}", text::shape(chunk), bytes.unwrap_or_default())
        }
    };
    rows.push(("chunks".into(), chunks));
    if let Some(shard) = &array.shard_shape {
        rows.push(("shards".into(), text::shape(shard)));
    }
    if !array.codec_text.is_empty() {
        rows.push(("codecs".into(), text::printable(&array.codec_text)));
    }
    if let Some(codec) = &array.codec {
        rows.push(("as --codec".into(), codec_text(codec)));
    }
    let fill = array.fill_value.as_ref().map_or_else(|| "undefined".to_owned(), ToString::to_string);
    rows.push(("fill value".into(), fill));
    if array.is_coordinate {
        rows.push(("holds".into(), "the coordinates of its dimension".into()));
    }
    rows
}

fn about_container(opened: &Opened, as_json: bool) -> Result<String> {
    let (groups, arrays) = opened.selected()?;
    if as_json {
        let object = json!({
            "file": opened.container.label(),
            "files": opened.container.paths().len(),
            "format": opened.container.format().to_string(),
            "groups": groups.iter().map(|group| json::group(group)).collect::<Vec<_>>(),
            "arrays": arrays.iter().map(|array| json::array(array)).collect::<Vec<_>>(),
        });
        return Ok(object.to_string());
    }
    let mut lines = vec![tree(opened, &groups, &arrays)];
    for group in groups {
        let name =
            if group.path.is_root() { "root group".to_owned() } else { format!("group {}", group.path) };
        if !group.dimensions.is_empty() {
            lines.push(text::printable(&format!("dimensions of the {name}")));
            let rows: Vec<_> = group
                .dimensions
                .iter()
                .map(|(name, length, unlimited)| {
                    let unlimited = if *unlimited { " (unlimited)" } else { "" };
                    (text::printable(name), format!("{length}{unlimited}"))
                })
                .collect();
            lines.push(text::columns(&rows, 2));
        }
        if !group.attributes.is_empty() {
            lines.push(text::printable(&format!("attributes of the {name}")));
            lines.push(text::columns(&text::attribute_rows(&group.attributes), 2));
        }
    }
    Ok(lines.join("\n"))
}
