//! Whole containers, groups or arrays into another format, chunking, codec or dtype.
//!
//! Groups, arrays, coordinates, attributes, dimension names, fill values, unlimited dimensions and CF packing are
//! kept. Invariants: what cannot be kept is refused by name before anything runs; `transfer`'s hold. Called
//! by the command line's `convert`, `rechunk` and `demo`.

pub use crate::spec::ArrayOptions;
pub use crate::transfer::{ArrayReport, Destination, Transfer, TransferReport};

use crate::error::{Error, Result};
use crate::location::{Location, Opened};
use crate::select::{Selection, is_named_by};
use crate::spec::spec_of;
use crate::target::check_keeps;
use crate::transfer::Order;
use blockwise_core::plan::{CopyOptions, Resources};
use blockwise_io::{ArrayInfo, ElementType, Format, GroupInfo, NodePath, OpenOptions};
use std::path::Path;

/// What a conversion is to do.
#[derive(Clone, Debug, Default)]
pub struct ConvertOptions {
    /// How to open the source.
    pub open: OpenOptions,
    /// Which groups and arrays.
    pub selection: Selection,
    /// Layout and elements of the arrays.
    pub arrays: ArrayOptions,
    /// How unchanged chunks pass.
    pub copy: CopyOptions,
    /// Whether only the plan is wanted; nothing is written beside the destination then.
    pub plan_only: bool,
}

/// Makes the conversion of `source` into `destination` ready to run.
///
/// ```
/// use blockwise::convert::{ConvertOptions, Destination, convert};
/// use blockwise::prelude::*;
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let folder = tempfile::tempdir()?;
/// let options = ConvertOptions {
///     arrays: blockwise::convert::ArrayOptions { chunks: Some("TIME=1".parse()?), ..Default::default() },
///     ..Default::default()
/// };
/// let destination = Destination::new(folder.path().join("coads.zarr"))?;
/// let resources = blockwise::machine::resources(64 << 20);
/// let transfer = convert(&"examples/data/coads_climatology.cdf".parse()?, &destination, &options, &resources)?;
/// let report = transfer.run(&Unobserved, &Cancellation::new())?;
/// println!("{} bytes in {} s", report.logical_bytes(), report.secs);
/// # assert!(report.stored_bytes() > 0);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// If the source cannot be read, nothing is selected, a request does not fit an array, the destination exists, its
/// format cannot say something, or the budget is too small. Nothing is left behind then.
pub fn convert(
    source: &Location,
    destination: &Destination,
    options: &ConvertOptions,
    resources: &Resources,
) -> Result<Transfer> {
    let opened = source.open(&options.open)?;
    let (groups, arrays) = selected(&opened, destination.format, &options.selection)?;
    check_chunk_request(&arrays, source, options)?;
    let mut orders = Vec::with_capacity(arrays.len());
    for array in arrays {
        let label = opened.label(&array.path);
        if let ElementType::Other(name) = &array.element_type {
            let what =
                format!("elements of type {name} cannot be copied; leave the array out with --exclude");
            return Err(Error::Refused { path: label, what });
        }
        let mut layout = options.arrays.clone();
        // Bounds and auxiliary coordinates stay as exact as the coordinates of dimensions.
        if layout.dtype.is_some() && !opened.names_an_array() && belongs_to_another(array, &opened) {
            layout.dtype = None;
        }
        let (mut spec, adaptation) = spec_of(array, destination.format, &layout, resources.budget_bytes)
            .map_err(|error| error.in_array(&label))?;
        spec.path = path_of_copy(&opened, array, destination.format)?;
        orders.push(Order { from: array.path.clone(), spec, adaptation });
    }
    check_keeps(Path::new(opened.container.label()), &opened.arrays, destination, |path| {
        orders.iter().any(|order| order.from == *path)
    })?;
    Transfer::prepare(&opened, &groups, orders, destination, options.plan_only, resources, &options.copy)
}

/// Whether a CF attribute of another array names `array`.
fn belongs_to_another(array: &ArrayInfo, opened: &Opened) -> bool {
    opened.arrays.iter().any(|other| is_named_by(array, other))
}

/// The groups to create, with paths as seen from the named node, and the arrays to copy.
fn selected<'a>(
    opened: &'a Opened,
    format: Format,
    selection: &Selection,
) -> Result<(Vec<GroupInfo>, Vec<&'a ArrayInfo>)> {
    if opened.names_an_array() || matches!(format, Format::Npy | Format::Tiff | Format::Raw) {
        let array = opened.only_array()?;
        return Ok((root_group_for(opened, array, format), vec![array]));
    }
    let (groups, arrays) = opened.selected()?;
    selection.check(opened.container.label(), &arrays, &groups)?;
    let chosen = selection.arrays(&arrays);
    if chosen.is_empty() && !arrays.is_empty() {
        let what = "the globs leave no array; see what there is with `arrayctl ls`".to_owned();
        return Err(Error::Usage { path: opened.container.label().to_owned(), what });
    }
    let relative = |group: &GroupInfo| GroupInfo { path: opened.relative(&group.path), ..group.clone() };
    Ok((selection.groups(&groups, &chosen).into_iter().map(relative).collect(), chosen))
}

/// The group that a lone array is put into where it does not stand alone: what the dimensions of its own group say.
fn root_group_for(opened: &Opened, array: &ArrayInfo, format: Format) -> Vec<GroupInfo> {
    if stands_alone(array, format) {
        return Vec::new();
    }
    let named = |name: &String| array.dimension_names.iter().any(|own| own.as_ref() == Some(name));
    let above = opened.groups.iter().filter(|group| crate::location::is_within(&array.path, &group.path));
    // The nearest declaration of a dimension holds, and groups come parents first.
    let mut dimensions: Vec<(String, u64, bool)> = Vec::new();
    for (name, length, unlimited) in
        above.flat_map(|group| &group.dimensions).filter(|(name, ..)| named(name))
    {
        dimensions.retain(|(other, ..)| other != name);
        dimensions.push((name.clone(), *length, *unlimited));
    }
    vec![GroupInfo { path: NodePath::root(), attributes: Default::default(), dimensions }]
}

/// Whether the copy of a single array is the container itself.
fn stands_alone(array: &ArrayInfo, format: Format) -> bool {
    match format {
        Format::Npy | Format::Tiff | Format::Raw => true,
        Format::Zarr2 | Format::Zarr3 => array.path.is_root(),
        _ => false,
    }
}

/// Where the copy of an array stands in the destination.
fn path_of_copy(opened: &Opened, array: &ArrayInfo, format: Format) -> Result<NodePath> {
    if !opened.names_an_array() && !matches!(format, Format::Npy | Format::Tiff | Format::Raw) {
        return Ok(opened.relative(&array.path));
    }
    if stands_alone(array, format) {
        return Ok(NodePath::root());
    }
    // An array without a name gets one where the format wants it.
    Ok(NodePath::root().child(array.path.name().unwrap_or("data"))?)
}

/// Refuses a chunk request that no array could have been meant by.
fn check_chunk_request(arrays: &[&ArrayInfo], source: &Location, options: &ConvertOptions) -> Result<()> {
    for request in [&options.arrays.chunks, &options.arrays.shards].into_iter().flatten() {
        let meant = |array: &&ArrayInfo| {
            let rank = array.shape.len();
            !array.is_coordinate && request.restricted_to(rank, &array.dimension_names).is_some()
        };
        if arrays.iter().any(meant) {
            let unknown = request.names().find(|name| {
                !arrays
                    .iter()
                    .any(|array| array.dimension_names.iter().any(|own| own.as_deref() == Some(name)))
                    && name.parse::<usize>().is_err()
            });
            let Some(unknown) = unknown else { continue };
            let what = format!("no array has a dimension '{unknown}'; {}", dimensions_text(arrays));
            return Err(Error::Usage { path: source.to_string(), what });
        }
        let ranks: Vec<usize> = arrays.iter().map(|array| array.shape.len()).collect();
        let what = format!(
            "the chunks '{request}' fit no array: there are arrays of {ranks:?} axes; {}",
            dimensions_text(arrays)
        );
        return Err(Error::Usage { path: source.to_string(), what });
    }
    Ok(())
}

fn dimensions_text(arrays: &[&ArrayInfo]) -> String {
    let mut names: Vec<&str> =
        arrays.iter().flat_map(|array| &array.dimension_names).filter_map(Option::as_deref).collect();
    names.sort_unstable();
    names.dedup();
    if names.is_empty() {
        "the dimensions have no names: give one length per axis".to_owned()
    } else {
        format!("there are the dimensions {}", names.join(", "))
    }
}
