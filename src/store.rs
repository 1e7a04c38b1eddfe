//! Stored arrays as lazy ones, and lazy arrays into new files: one line each in a program.
//!
//! What is there already is changed by [`to_zarr_region`] and [`append_to_zarr`]. Invariants: an output appears whole or not at all, by one rename after every array of it was computed; all arrays
//! of one call are computed in one run, which reads each source as rarely as it can; a dimension name means one length
//! in a file. Called by programs. The command line stores through jobs, which carry attributes and coordinates over.

mod update;

pub use update::{append_to_zarr, to_zarr_region};

use crate::cf;
use crate::claim::Claim;
use crate::computed::{declare, info_of};
use crate::error::{Error, Result};
use crate::evaluate::{EvalInput, EvalOptions};
use crate::expression::Labelled;
use crate::location::{Location, Opened};
use crate::spec::{ArrayOptions, spec_of};
use blockwise_core::adapt::Unpack;
use blockwise_core::exec::RunReport;
use blockwise_core::plan::Resources;
use blockwise_core::{Array, Session, Sink};
use blockwise_io::publish::PublishOptions;
use blockwise_io::{
    ArrayInfo, ArraySpec, Attributes, ContainerWriter, ElementType, Format, GroupInfo, NodePath, OpenOptions,
};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

/// The array at `PATH` or `PATH::NODE`, lazy, with its dimension names.
///
/// Elements are what they stand for: CF packing is undone and missing values are NaN, as `xarray.open_dataset` does.
/// [`open_as_stored`] leaves both as they are.
///
/// ```
/// let sst = blockwise::open("examples/data/coads_climatology.cdf::SST")?;
/// assert_eq!(sst.shape(), [12, 90, 180]);
/// let mean = sst.nanmean("TIME")?.nanmean(..)?.compute::<f32>()?;
/// assert!((mean[[]] - 15.39).abs() < 0.01, "{mean} degrees");
/// # Ok::<(), blockwise::Error>(())
/// ```
///
/// # Errors
/// If there is no such array, several could be meant, or its elements are no numbers.
pub fn open(location: &str) -> Result<Array> {
    opened(location, true)
}

/// The array at `PATH` or `PATH::NODE`, lazy, with its dimension names and elements as they are stored.
///
/// # Errors
/// As [`open`].
pub fn open_as_stored(location: &str) -> Result<Array> {
    opened(location, false)
}

/// The array at `PATH` or `PATH::NODE`, lazy, as [`open`] gives it, with the coordinates of its dimensions and its
/// attributes: what group-by, resampling and weighted means need.
///
/// ```
/// let sst = blockwise::store::open_labelled("examples/data/coads_climatology.cdf::SST")?;
/// assert_eq!(sst.coordinates.len(), 3);
/// let anomaly = sst.group_by("TIME.season")?.anomaly()?;
/// assert_eq!(anomaly.array.shape(), [12, 90, 180]);
/// # Ok::<(), blockwise::Error>(())
/// ```
///
/// # Errors
/// As [`open`].
pub fn open_labelled(location: &str) -> Result<Labelled> {
    let input = EvalInput { name: "x".to_owned(), location: location.parse()? };
    crate::evaluate::labelled(&input, &EvalOptions::default())
}

fn opened(location: &str, unpack: bool) -> Result<Array> {
    let container: Opened = location.parse::<Location>()?.open(&OpenOptions::default())?;
    let info = container.only_array()?;
    let label = container.label(&info.path);
    if !matches!(info.element_type, ElementType::Number(_)) {
        let what = format!("elements of type {} cannot be computed with", info.element_type);
        return Err(Error::Refused { path: label, what });
    }
    let mut source = container.array(&info.path)?.source()?;
    if unpack && let Some(rule) = cf::unpacking_of(info).map_err(|error| error.in_array(&label))? {
        source = Unpack::over(source, rule).map_err(|error| Error::from(error).in_array(&label))?;
    }
    named(Array::from_source(source), info)
}

/// `array` with the stored dimension names, if every axis has one of its own.
fn named(array: Array, info: &ArrayInfo) -> Result<Array> {
    let names: Vec<&str> = info.dimension_names.iter().flatten().map(String::as_str).collect();
    let are_unique =
        names.iter().enumerate().all(|(n, name)| !names.iter().take(n).any(|other| other == name));
    if names.len() != array.rank() || !are_unique {
        return Ok(array);
    }
    Ok(array.with_names(&names)?)
}

/// How arrays are stored.
///
/// ```
/// use blockwise::codec_text::parse_codec;
/// use blockwise::convert::ArrayOptions;
/// use blockwise::store::StoreOptions;
/// let codec = Some(parse_codec("blosc:zstd:1:shuffle")?);
/// let arrays = ArrayOptions { chunks: Some("12,45,-1".parse()?), codec, ..ArrayOptions::default() };
/// let options = StoreOptions { arrays, overwrite: true, ..StoreOptions::default() };
/// # assert!(options.attributes.is_empty());
/// # Ok::<(), blockwise::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct StoreOptions {
    /// Chunks, shards, codec and dtype; by default the array's own chunks and the format's usual codec.
    pub arrays: ArrayOptions,
    /// Attributes by the array's name; those of `""` are the file's.
    pub attributes: BTreeMap<String, Attributes>,
    /// Replace what is there.
    pub overwrite: bool,
}

/// Computes arrays in one run and stores them in a new Zarr v3 group, each under its name.
///
/// A single array named `""` becomes the store's root. Names may hold groups (`surface/t2m`). An array of one axis
/// that is called as its dimension holds that dimension's coordinates. Dimension names go with the arrays.
///
/// ```
/// use blockwise::store::{StoreOptions, to_zarr};
/// use blockwise_core::Session;
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("winds.zarr");
/// let u = blockwise::open("examples/data/coads_climatology.cdf::UWND")?;
/// let v = blockwise::open("examples/data/coads_climatology.cdf::VWND")?;
/// let speed = (u.square()? + v.square()?).sqrt()?;
/// let session = Session::with_budget(64 << 20);
/// let calm = speed.nanmin("TIME")?;
/// to_zarr(&session, &[(&speed, "speed"), (&calm, "calm")], &path, &StoreOptions::default())?;
///
/// let stored = blockwise::open(&format!("{}::speed", path.display()))?;
/// assert_eq!(stored.names()[0].as_deref(), Some("TIME"));
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// If the output exists and is not to be replaced, an option does not fit an array or the format, arrays disagree on
/// a dimension's length, the budget is too small, or the run fails. Nothing is left behind then.
pub fn to_zarr(
    session: &Session,
    arrays: &[(&Array, &str)],
    path: impl AsRef<Path>,
    options: &StoreOptions,
) -> Result<RunReport> {
    write(session, arrays, path.as_ref(), Format::Zarr3, options)
}

/// As [`to_zarr`], into a new HDF5 file.
///
/// # Errors
/// As [`to_zarr`].
pub fn to_hdf5(
    session: &Session,
    arrays: &[(&Array, &str)],
    path: impl AsRef<Path>,
    options: &StoreOptions,
) -> Result<RunReport> {
    write(session, arrays, path.as_ref(), Format::Hdf5, options)
}

/// As [`to_zarr`], into a new NetCDF-4 file.
///
/// ```
/// use blockwise::store::{StoreOptions, to_netcdf};
/// use blockwise_core::Session;
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("mean.nc");
/// let sst = blockwise::open("examples/data/coads_climatology.cdf::SST")?;
/// let latitude = blockwise::open("examples/data/coads_climatology.cdf::COADSY")?;
/// let zonal = sst.nanmean("COADSX")?;
/// let arrays = [(&zonal, "sst"), (&latitude, "COADSY")];
/// to_netcdf(&Session::with_budget(64 << 20), &arrays, &path, &StoreOptions::default())?;
/// # let stored = blockwise::open(&format!("{}::sst", path.display()))?;
/// # assert_eq!(stored.shape(), [12, 90]);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// As [`to_zarr`].
pub fn to_netcdf(
    session: &Session,
    arrays: &[(&Array, &str)],
    path: impl AsRef<Path>,
    options: &StoreOptions,
) -> Result<RunReport> {
    write(session, arrays, path.as_ref(), Format::NetCdf4, options)
}

/// Computes an array and stores it as a new `.npy` file, which has no name, chunks or attributes for it.
///
/// # Errors
/// As [`to_zarr`].
pub fn to_npy(
    session: &Session,
    array: &Array,
    path: impl AsRef<Path>,
    options: &StoreOptions,
) -> Result<RunReport> {
    write(session, &[(array, "")], path.as_ref(), Format::Npy, options)
}

/// Computes an array and stores it as a new TIFF file: its last two axes are pages, the others their order. BigTIFF where it needs
/// that; strips, or tiles of the chunks that options ask for.
///
/// ```
/// use blockwise::store::{StoreOptions, to_tiff};
/// use blockwise_core::Session;
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("sst.tif");
/// let sst = blockwise::open("examples/data/coads_climatology.cdf::SST")?;
/// to_tiff(&Session::with_budget(64 << 20), &sst, &path, &StoreOptions::default())?;
/// # let stored = blockwise::open(&path.display().to_string())?;
/// assert_eq!((stored.shape(), stored.names()[0].as_deref()), (vec![12, 90, 180], Some("page")));
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// As [`to_zarr`]; if the array has fewer than two axes, or a dtype that TIFF has not.
pub fn to_tiff(
    session: &Session,
    array: &Array,
    path: impl AsRef<Path>,
    options: &StoreOptions,
) -> Result<RunReport> {
    write(session, &[(array, "")], path.as_ref(), Format::Tiff, options)
}

/// Everything that can be refused is, before the output is claimed; then one run, then one rename.
fn write(
    session: &Session,
    arrays: &[(&Array, &str)],
    path: &Path,
    format: Format,
    options: &StoreOptions,
) -> Result<RunReport> {
    let usage = |what: String| Error::Usage { path: path.display().to_string(), what };
    let names: Vec<&str> = arrays.iter().map(|(_, name)| *name).collect();
    if let Some(unknown) =
        options.attributes.keys().find(|key| !key.is_empty() && !names.contains(&key.as_str()))
    {
        return Err(usage(format!("attributes are given for '{unknown}', but no array is called so")));
    }
    let specs = specs(session, arrays, format, options)?;
    let stands_alone = match specs.as_slice() {
        [only] if only.path.is_root() && matches!(format, Format::Zarr3 | Format::Npy | Format::Tiff) => true,
        many if many.iter().any(|spec| spec.path.is_root()) => {
            let what = "an array without a name must stand alone in a Zarr store; name each array";
            return Err(usage(what.to_owned()));
        }
        _ => false,
    };
    checked_names(arrays).map_err(usage)?;
    let groups = if stands_alone { Vec::new() } else { groups(&specs, options).map_err(usage)? };
    published(session.resources(), path, format, options.overwrite, |writer| {
        fill(session, writer, &groups, arrays, &specs)
    })
}

/// Claims an output, has it filled, and publishes it whole.
pub(crate) fn published(
    resources: &Resources,
    path: &Path,
    format: Format,
    overwrite: bool,
    fill: impl FnOnce(&mut dyn ContainerWriter) -> Result<RunReport>,
) -> Result<RunReport> {
    let publish = PublishOptions { overwrite, ..PublishOptions::default() };
    let begun = Claim::begin(path, format, &publish, false, resources)?;
    let claim = begun.ok_or_else(|| Error::Usage {
        path: path.display().to_string(),
        what: "an earlier run is still being published".to_owned(),
    })?;
    let outcome = blockwise_io::open::create(claim.publication.partial(), format)
        .map_err(Error::from)
        .and_then(|mut writer| fill(&mut *writer));
    match outcome {
        Ok(report) => claim.commit().map(|()| report),
        Err(error) => {
            // No later run can tell that it computes the same arrays, so nothing is kept for one.
            if let Some(partial) = claim.abandon(&error)
                && let Err(fault) = std::fs::remove_dir_all(&partial)
            {
                tracing::warn!("{} could not be removed: {fault}; delete it", partial.display());
            }
            Err(error)
        }
    }
}

/// Where arrays are stored: each elsewhere.
fn checked_names(arrays: &[(&Array, &str)]) -> std::result::Result<Vec<NodePath>, String> {
    if arrays.is_empty() {
        return Err("no array is given to store".to_owned());
    }
    let mut nodes: Vec<NodePath> = Vec::with_capacity(arrays.len());
    for (_, name) in arrays {
        let node: NodePath = name.parse().map_err(|error: blockwise_io::Error| error.to_string())?;
        if nodes.contains(&node) {
            return Err(format!("two arrays are called '{node}'"));
        }
        nodes.push(node);
    }
    Ok(nodes)
}

fn fill(
    session: &Session,
    writer: &mut dyn ContainerWriter,
    groups: &[GroupInfo],
    arrays: &[(&Array, &str)],
    specs: &[ArraySpec],
) -> Result<RunReport> {
    for group in groups {
        writer.create_group(group)?;
    }
    let mut targets: Vec<(Array, Arc<dyn Sink>)> = Vec::with_capacity(specs.len());
    for ((array, _), spec) in arrays.iter().zip(specs) {
        let array = match &spec.element_type {
            ElementType::Number(dtype) => array.astype(*dtype),
            _ => (*array).clone(),
        };
        targets.push((array, writer.create_array(spec)?));
    }
    let report = session.store(&targets)?;
    drop(targets); // sinks hold the writer's file
    writer.finish()?;
    Ok(report)
}

/// What each stored array shall be.
fn specs(
    session: &Session,
    arrays: &[(&Array, &str)],
    format: Format,
    options: &StoreOptions,
) -> Result<Vec<ArraySpec>> {
    let spec = |(array, name): &(&Array, &str)| {
        let path: NodePath = name.parse()?;
        let attributes =
            if !path.is_root() || arrays.len() == 1 { options.attributes.get(*name) } else { None };
        let attributes = attributes.cloned().unwrap_or_default();
        let info = ArrayInfo { attributes, ..info_of(path, array, format) };
        let (spec, _) = spec_of(&info, format, &options.arrays, session.resources().budget_bytes)?;
        Ok(spec)
    };
    arrays.iter().map(spec).collect()
}

/// The groups that hold the arrays, parents first; the root declares every dimension.
fn groups(specs: &[ArraySpec], options: &StoreOptions) -> std::result::Result<Vec<GroupInfo>, String> {
    let group = |path| GroupInfo { path, attributes: Attributes::new(), dimensions: Vec::new() };
    let mut root = group(NodePath::root());
    root.attributes = options.attributes.get("").cloned().unwrap_or_default();
    for spec in specs {
        declare(&mut root, &spec.path.to_string(), &spec.dimension_names, &spec.shape, |_, _| false)?;
    }
    let mut all = vec![root];
    for spec in specs {
        let mut above = Vec::new();
        let mut path = spec.path.parent();
        while let Some(parent) = path {
            path = parent.parent();
            above.push(parent);
        }
        for parent in above.into_iter().rev() {
            if !all.iter().any(|known| known.path == parent) {
                all.push(group(parent));
            }
        }
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use blockwise_io::AttributeValue;

    fn session() -> Session {
        Session::with_budget(64 << 20)
    }

    fn field() -> Array {
        let x = Array::from_fn(&[7, 10], |at| (at[0] * 10 + at[1]) as f32).unwrap();
        x.rechunk([4, 5]).unwrap().with_names(&["y", "x"]).unwrap()
    }

    #[test]
    fn arrays_are_stored_side_by_side_in_every_format() {
        let folder = tempfile::tempdir().unwrap();
        let field = field();
        let (mean, x) = (field.mean("y").unwrap(), Array::arange(0.0, 10.0, 1.0).unwrap());
        let x = x.with_names(&["x"]).unwrap();
        let arrays = [(&field, "field"), (&mean, "means/over_y"), (&x, "x")];
        let mut options = StoreOptions::default();
        let mut units = Attributes::new();
        units.set("units", AttributeValue::Text("K".to_owned()));
        options.attributes.insert("field".to_owned(), units);
        for (name, format) in [("a.zarr", Format::Zarr3), ("a.h5", Format::Hdf5), ("a.nc", Format::NetCdf4)] {
            let path = folder.path().join(name);
            write(&session(), &arrays, &path, format, &options).unwrap();
            let stored = |node: &str| open(&format!("{}::{node}", path.display())).unwrap();
            assert_eq!(stored("field").names(), field.names(), "{name}");
            assert_eq!(stored("field").grid().largest_chunk(), [4, 5], "{name}");
            let same = stored("field").compute::<f32>().unwrap() == field.compute::<f32>().unwrap();
            assert!(same, "{name}");
            let means = stored("means/over_y").compute::<f32>().unwrap();
            assert_eq!(means[[3]], 33.0, "{name}");
            let opened = Location::container(&path).open(&OpenOptions::default()).unwrap();
            let info = opened.arrays.iter().find(|info| info.path.name() == Some("field")).unwrap();
            assert!(info.attributes.get("units").is_some(), "{name}");
        }
    }

    #[test]
    fn one_array_may_be_all_there_is() {
        let folder = tempfile::tempdir().unwrap();
        let (zarr, npy) = (folder.path().join("a.zarr"), folder.path().join("a.npy"));
        let chunks = ArrayOptions { chunks: Some("7,2".parse().unwrap()), ..ArrayOptions::default() };
        let options = StoreOptions { arrays: chunks, ..StoreOptions::default() };
        to_zarr(&session(), &[(&field(), "")], &zarr, &options).unwrap();
        to_npy(&session(), &field(), &npy, &StoreOptions::default()).unwrap();
        let read = |path: &Path| open(&path.display().to_string()).unwrap();
        assert_eq!(read(&zarr).grid().largest_chunk(), [7, 2]);
        assert_eq!(read(&zarr).compute::<f32>().unwrap(), read(&npy).compute::<f32>().unwrap());

        let ints = ArrayOptions { dtype: Some(blockwise_kernels::DType::I16), ..ArrayOptions::default() };
        let options = StoreOptions { arrays: ints, overwrite: true, ..StoreOptions::default() };
        to_zarr(&session(), &[(&field(), "")], &zarr, &options).unwrap();
        assert_eq!(read(&zarr).compute::<i16>().unwrap()[[6, 9]], 69);
    }

    #[test]
    fn what_is_refused_or_fails_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.zarr");
        let (field, short) = (field(), field().slice("x", ..3).unwrap());
        let failing = Array::from_fn(&[4], |at| [1.0_f64, 2.0][at[0] as usize]).unwrap();
        let mut unknown = StoreOptions::default();
        unknown.attributes.insert("other".to_owned(), Attributes::new());
        let plain = StoreOptions::default();
        type Case<'a> = (&'a [(&'a Array, &'a str)], &'a StoreOptions, &'a str);
        let cases: [Case<'_>; 7] = [
            (&[], &plain, "no array"),
            (&[(&field, "a"), (&short, "b")], &plain, "10"),
            (&[(&field, "a"), (&field, "a")], &plain, "two arrays"),
            (&[(&field, "a"), (&field, "")], &plain, "stand alone"),
            (&[(&field, "../a")], &plain, "no valid node name"),
            (&[(&field, "a")], &unknown, "'other'"),
            (&[(&failing, "a")], &plain, "index out of bounds"),
        ];
        for (arrays, options, text) in cases {
            let error = to_zarr(&session(), arrays, &path, options).unwrap_err().to_string();
            assert!(error.contains(text), "{error}");
            assert_eq!(folder.path().read_dir().unwrap().count(), 0, "{text}");
        }
        assert!(to_netcdf(&session(), &[(&field, "")], folder.path().join("a.nc"), &plain).is_err());
        to_zarr(&session(), &[(&field, "a")], &path, &plain).unwrap();
        let error = to_zarr(&session(), &[(&field, "a")], &path, &plain).unwrap_err().to_string();
        assert!(error.contains("a.zarr"), "{error}");
    }
}
