//! TIFF and BigTIFF: stacks of pages as arrays.
//!
//! Pages of one size, type and compression are one array: `t`, `c` and `z` where ImageJ, OME-XML or tifffile say what pages are, else
//! one axis `page`, then `y`, `x`, and `sample` where a pixel has several. Each image that OME-XML or tifffile tell from others is an
//! array of its own. A file of several such stacks is a group of them, called 0, 1, 2 …; smaller copies of pages are left out. Strips and tiles are chunks, decoded in parallel, outside of any lock, by
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
use std::collections::HashMap;
use std::sync::Arc;

/// Bytes of a strip from which on pages without directories are believed in.
const LEAST_PIECE_BYTES: u64 = 64;

/// Bytes of the shortest directory of a page that can be read.
const LEAST_DIRECTORY_BYTES: u64 = 64;

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
    let mut stacks: Vec<Pages> = Vec::new();
    let mut images: Option<Images> = None;
    let (mut number, mut series) = (0, 0_u64);
    while let Some(of) = tables.next_page()? {
        let own = number;
        number += 1;
        let Some(page) = page(&mut tables, &of, file.len_bytes())? else { continue };
        let Page { geometry, pieces, jpeg_tables, description, resolution } = page;
        // Only the first page of all has one of OME.
        let images = images.get_or_insert_with(|| {
            Images::of(description.as_deref().unwrap_or(""), &geometry, file.len_bytes(), &label)
        });
        // tifffile says at the first page of each array what it is.
        series += u64::from(sizes::shaped(description.as_deref().unwrap_or("")).is_some());
        let image = images.of_page.get(&own).copied();
        let is_own = |pages: &&mut Pages| {
            pages.stack.geometry == geometry && (pages.image, pages.series) == (image, series)
        };
        match stacks.iter_mut().find(is_own) {
            Some(Pages { stack, numbers, .. }) => {
                stack.pieces.extend(pieces);
                if let Some(last) = stack.jpeg_tables.last() {
                    // Pages mostly have the same.
                    let same = (**last == *jpeg_tables).then(|| Arc::clone(last));
                    stack.jpeg_tables.push(same.unwrap_or_else(|| jpeg_tables.into()));
                }
                numbers.push(own);
            }
            None => stacks.push(Pages {
                description,
                resolution,
                image,
                series,
                numbers: vec![own],
                stack: Stack {
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
            }),
        }
    }
    if stacks.is_empty() {
        return Err(tables.corrupt("it holds no page"));
    }
    let is_alone = stacks.len() == 1;
    let mut arrays = Vec::with_capacity(stacks.len());
    let images = images.unwrap_or_default();
    for (number, mut pages) in stacks.into_iter().enumerate() {
        let path = if is_alone { NodePath::root() } else { NodePath::root().child(&number.to_string())? };
        let stack_label = if is_alone { label.clone() } else { format!("{label}::{path}") };
        let image = pages.image.and_then(|image| images.all.get(image));
        let laid_out = image.filter(|(image, planes)| pages.lay_out(image, planes));
        let Pages { description, resolution, numbers, mut stack, .. } = pages;
        stack.label = stack_label;
        let description = description.as_deref();
        let count = match (laid_out, numbers.len() as u64) {
            (Some((_, planes)), _) => planes.len() as u64,
            (None, 1) => with_followers(&mut stack, description, file.len_bytes()),
            (None, count) => count,
        };
        let image = image.map(|(image, _)| image);
        let axes = axes::of(description, laid_out.and(image), count, &stack.geometry, &stack.label);
        stack.axes = axes.of_pages;
        let attributes = sizes::of(description, image, resolution);
        arrays.push(Arc::new(TiffArray::new(path, stack, &axes.within, attributes)?));
    }
    Ok(TiffFile { label, arrays })
}

/// Pages of one geometry that belong together.
struct Pages {
    stack: Stack,
    /// Of the first one.
    description: Option<String>,
    resolution: Option<Resolution>,
    /// The image of OME whose planes they are.
    image: Option<usize>,
    /// How many descriptions of arrays came before.
    series: u64,
    /// Of the pages in the file.
    numbers: Vec<u64>,
}

impl Pages {
    /// Puts the pages into the order of the planes of their image, with pages that are not stored where planes have none; `false` if
    /// they are no planes of such an image, or not even half of them.
    fn lay_out(&mut self, image: &Image, planes: &[Option<u64>]) -> bool {
        if !image.fits(&self.stack.geometry) || planes.len() / 2 > self.numbers.len() {
            return false;
        }
        if planes.iter().copied().eq(self.numbers.iter().copied().map(Some)) {
            return true;
        }
        let places: HashMap<u64, usize> =
            self.numbers.iter().enumerate().map(|(place, number)| (*number, place)).collect();
        let place_of = |page: &Option<u64>| page.and_then(|page| places.get(&page).copied());
        let stack = &mut self.stack;
        let of_page = usize::try_from(stack.pieces_of_page()).unwrap_or(usize::MAX).max(1);
        let absent = vec![Piece { offset: 0, len_bytes: 0 }; of_page];
        let old: Vec<&[Piece]> = stack.pieces.chunks(of_page).collect();
        let pieces = |page: &Option<u64>| place_of(page).and_then(|place| old.get(place).copied());
        stack.pieces = planes.iter().flat_map(|page| pieces(page).unwrap_or(&absent)).copied().collect();
        if let Some(first) = stack.jpeg_tables.first().cloned() {
            let tables = |page: &Option<u64>| stack.jpeg_tables.get(place_of(page)?).cloned();
            stack.jpeg_tables =
                planes.iter().map(|page| tables(page).unwrap_or_else(|| Arc::clone(&first))).collect();
        }
        true
    }
}

/// The images of a file that is described by OME-XML.
#[derive(Default)]
struct Images {
    /// Each with the pages that its planes are on.
    all: Vec<(Image, Vec<Option<u64>>)>,
    of_page: HashMap<u64, usize>,
}

impl Images {
    /// Those of a description; those whose planes cannot be found in the file are left out, with a warning.
    fn of(description: &str, first: &Geometry, file_bytes: u64, label: &str) -> Self {
        let mut found = Self::default();
        // Planes cannot be many more than directories that the file has room for.
        let mut left = file_bytes / LEAST_DIRECTORY_BYTES;
        for image in ome::images(description, first.samples) {
            if image.has_several_files() {
                tracing::warn!(
                    "{label}: its OME-XML speaks of several files; only the pages of this one are read"
                );
                continue;
            }
            let Some(planes) = image.pages(left) else {
                tracing::warn!(
                    "{label}: its OME-XML has planes that cannot be; its pages are read as one axis"
                );
                continue;
            };
            left -= planes.len() as u64;
            for page in planes.iter().flatten() {
                found.of_page.insert(*page, found.all.len());
            }
            found.all.push((image, planes));
        }
        found
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
    fn new(path: NodePath, stack: Stack, within: &[String; 3], attributes: Attributes) -> Result<Self> {
        let of_pages = stack.axes.iter().map(|axis| &axis.name);
        let of_page = if stack.geometry.samples > 1 { 3 } else { 2 };
        let names = of_pages.chain(within.iter().take(of_page)).map(|name| Some(name.clone())).collect();
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
