//! TIFF and BigTIFF: stacks of pages as arrays.
//!
//! Pages of one size, type and compression are one array: `t`, `c` and `z` where ImageJ, OME-XML or tifffile say what pages are, else
//! one axis `page`, then `y`, `x`, and `sample` where a pixel has several. A file of several such stacks is a group of them, called
//! 0, 1, 2 …; smaller copies of pages are left out. Strips and tiles are chunks, decoded in parallel, outside of any lock, by
//! the decoders of [`crate::codec`]. Invariant: nothing of a file is believed before it was held against the file's length. The
//! format is Adobe's TIFF 6.0, BigTIFF as libtiff describes it. Called by [`crate::open`].

mod axes;
mod directory;
mod jpeg;
mod ome;
mod page;
mod sizes;
mod source;
mod unpack;
mod writer;

pub use writer::TiffWriter;

use crate::attribute::Attributes;
use crate::container::{
    ArrayInfo, Container, ElementType, Format, GroupInfo, NodePath, OpenOptions, StoredArray, TextArray,
};
use crate::error::{Error, Result};
use crate::raw::plain_info;
use crate::store::RegularFile;
use blockwise_core::Source;
use directory::Tables;
use ome::Image;
use page::{Compression, Geometry, Page, Piece, page};
use sizes::Resolution;
use source::{Stack, TiffSource};
use std::sync::Arc;

/// Bytes of a strip from which on pages without directories are believed in.
const LEAST_PIECE_BYTES: u64 = 64;

/// Whether a file that begins so is TIFF or BigTIFF.
#[must_use]
pub const fn is_tiff(start: &[u8; 8]) -> bool {
    matches!(start, [b'I', b'I', 42 | 43, 0, ..] | [b'M', b'M', 0, 42 | 43, ..])
}

/// Opens a TIFF file.
///
/// # Errors
/// [`Error::Corrupt`] if it is damaged or cut short; [`Error::Unsupported`] for compressions and types that are not read.
pub fn open_file(file: &Arc<RegularFile>, options: &OpenOptions) -> Result<TiffFile> {
    let label = file.label().to_owned();
    let mut tables = Tables::of(file)?;
    let mut stacks: Vec<(First, Stack, u64)> = Vec::new();
    let mut images = None;
    while let Some(of) = tables.next_page()? {
        let Some(page) = page(&mut tables, &of, file.len_bytes())? else { continue };
        let Page { geometry, pieces, jpeg_tables, description, resolution } = page;
        // Only the first page of all has one of OME.
        images.get_or_insert_with(|| ome::images(description.as_deref().unwrap_or("")));
        match stacks.iter_mut().find(|(_, stack, _)| stack.geometry == geometry) {
            Some((_, stack, pages)) => {
                stack.pieces.extend(pieces);
                if let Some(last) = stack.jpeg_tables.last() {
                    // Pages mostly have the same.
                    let same = (**last == *jpeg_tables).then(|| Arc::clone(last));
                    stack.jpeg_tables.push(same.unwrap_or_else(|| jpeg_tables.into()));
                }
                *pages += 1;
            }
            None => stacks.push((
                First { description, resolution },
                Stack {
                    file: Arc::clone(file),
                    label: String::new(),
                    is_swapped: tables.is_swapped(),
                    jpeg_tables: match geometry.compression {
                        Compression::Jpeg(_) => vec![jpeg_tables.into()],
                        _ => Vec::new(),
                    },
                    geometry,
                    axes: Vec::new(),
                    pieces,
                    missing_chunks: options.missing_chunks,
                },
                1,
            )),
        }
    }
    if stacks.is_empty() {
        return Err(tables.corrupt("it holds no page"));
    }
    let is_alone = stacks.len() == 1;
    let mut arrays = Vec::with_capacity(stacks.len());
    let images = images.unwrap_or_default();
    for (number, (first, mut stack, pages)) in stacks.into_iter().enumerate() {
        let path = if is_alone { NodePath::root() } else { NodePath::root().child(&number.to_string())? };
        stack.label = if is_alone { label.clone() } else { format!("{label}::{path}") };
        let description = first.description.as_deref();
        let pages =
            if pages == 1 { with_followers(&mut stack, description, file.len_bytes()) } else { pages };
        let images = images_of(&images, &stack.geometry, pages);
        stack.axes = axes::of(description, &images, pages, &stack.geometry);
        let attributes = sizes::of(description, &images, first.resolution);
        arrays.push(Arc::new(TiffArray::new(path, stack, attributes)?));
    }
    Ok(TiffFile { label, arrays })
}

/// What the first page of a stack says besides.
struct First {
    description: Option<String>,
    resolution: Option<Resolution>,
}

/// The images of OME that `pages` pages of this geometry are: the one that has as many, else all that have pages like these.
fn images_of<'a>(images: &'a [Image], geometry: &Geometry, pages: u64) -> Vec<&'a Image> {
    let like: Vec<&Image> = images.iter().filter(|image| image.fits(geometry)).collect();
    let mut whole = like.iter().filter(|image| image.pages(geometry.samples) == Some(pages));
    match (whole.next(), whole.next()) {
        (Some(only), None) => vec![*only],
        _ => like,
    }
}

/// Adds the pages without a directory that follow a single one, if its description speaks of such and the file holds them; how many
/// pages there are then.
fn with_followers(stack: &mut Stack, description: Option<&str>, file_bytes: u64) -> u64 {
    let claimed = axes::claimed_pages(description, &stack.geometry);
    let follows = |pair: &[Piece]| matches!(pair, [a, b] if a.offset.saturating_add(a.len_bytes) == b.offset);
    let is_one_run = stack.pieces.windows(2).all(follows);
    let (Some(first), true) = (stack.pieces.first().copied(), is_one_run) else { return 1 };
    let page_bytes: u64 = stack.pieces.iter().map(|piece| piece.len_bytes).sum();
    let end = claimed.checked_mul(page_bytes).and_then(|bytes| bytes.checked_add(first.offset));
    let holds = end.is_some_and(|end| end <= file_bytes) && page_bytes > 0;
    // Addresses of pages as small as their own address would take as much memory as the file has bytes.
    let is_sane = page_bytes >= (stack.pieces.len() as u64).saturating_mul(LEAST_PIECE_BYTES);
    if claimed <= 1 || !holds || !is_sane || stack.geometry.compression != Compression::None {
        return 1;
    }
    let pieces = stack.pieces.clone();
    for page in 1..claimed {
        let moved = |piece: &Piece| Piece { offset: piece.offset + page * page_bytes, ..*piece };
        stack.pieces.extend(pieces.iter().map(moved));
    }
    claimed
}

/// An open file.
pub struct TiffFile {
    label: String,
    arrays: Vec<Arc<TiffArray>>,
}

/// A stack of pages.
struct TiffArray {
    info: ArrayInfo,
    stack: Arc<Stack>,
}

impl TiffArray {
    fn new(path: NodePath, stack: Stack, attributes: Attributes) -> Result<Self> {
        let mut names: Vec<Option<String>> = stack.axes.iter().map(|axis| Some(axis.name.clone())).collect();
        names.extend(["y", "x"].map(|name| Some(name.to_owned())));
        names.extend((stack.geometry.samples > 1).then(|| Some("sample".to_owned())));
        let shape = stack.shape();
        if blockwise_core::region::byte_count(&shape, stack.geometry.dtype.size()).is_none() {
            let what = format!("TIFF: pages of shape {shape:?} are more than 64 bits count");
            return Err(Error::Corrupt { path: stack.label, what, remedy: "" });
        }
        let element_type = ElementType::Number(stack.geometry.dtype);
        let info = ArrayInfo {
            path,
            dimension_names: names,
            // Strips are no chunks that anyone would choose.
            chunk_shape: stack.geometry.is_tiled.then(|| stack.chunk(true)),
            codec: None,
            attributes,
            ..plain_info(Format::Tiff, element_type, shape, stack.geometry.to_string())
        };
        Ok(Self { info, stack: Arc::new(stack) })
    }
}

impl Container for TiffFile {
    fn label(&self) -> &str {
        &self.label
    }

    fn format(&self) -> Format {
        Format::Tiff
    }

    fn nodes(&self) -> Result<(Vec<GroupInfo>, Vec<ArrayInfo>)> {
        let root =
            GroupInfo { path: NodePath::root(), attributes: Attributes::new(), dimensions: Vec::new() };
        let groups = if self.arrays.len() > 1 { vec![root] } else { Vec::new() };
        Ok((groups, self.arrays.iter().map(|array| array.info.clone()).collect()))
    }

    fn array(&self, path: &NodePath) -> Result<Arc<dyn StoredArray>> {
        let found = self.arrays.iter().find(|array| array.info.path == *path);
        let array = found.ok_or_else(|| Error::NotFound {
            path: format!("{}::{path}", self.label),
            hint: format!("; the file has {} stack(s) of pages", self.arrays.len()),
        })?;
        Ok(Arc::clone(array) as Arc<dyn StoredArray>)
    }
}

impl StoredArray for TiffArray {
    fn info(&self) -> &ArrayInfo {
        &self.info
    }

    fn source(&self) -> Result<Arc<dyn Source>> {
        Ok(Arc::new(TiffSource::new(Arc::clone(&self.stack))?))
    }

    fn stored_chunks(&self) -> Result<(u64, u64)> {
        let pieces = &self.stack.pieces;
        let stored = pieces.iter().filter(|piece| piece.len_bytes > 0).count();
        Ok((stored as u64, pieces.len() as u64))
    }

    fn stored_bytes(&self) -> Result<u64> {
        Ok(self.stack.pieces.iter().map(|piece| piece.len_bytes).sum())
    }

    fn read_texts(&self, _limit_bytes: u64) -> Result<TextArray> {
        let what = format!("reading {} as texts", self.info.element_type);
        Err(Error::Unsupported { path: self.stack.label.clone(), what, remedy: "" })
    }
}
