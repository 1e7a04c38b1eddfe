//! The job behind `pyramid`: an array in, an OME-Zarr 0.5 image with levels of decreasing resolution out.
//!
//! Levels are lazy arrays, each the one before downsampled, stored in one plan: the full resolution is read once, and every task
//! writes its part of it and of the next level. Invariants: the image appears whole or not at all; a level is what
//! [`Array::downsample`] makes of the level before as it is stored, whatever the budget. Called by programs and the command line.

mod axes;
mod levels;
mod metadata;
mod per_axis;

pub use axes::{AxisType, ImageAxis};
pub(crate) use metadata::{axis_names, is_image};
pub use per_axis::PerAxis;

use crate::computed::info_of;
use crate::error::{Error, Result};
use crate::evaluate::{EvalInput, EvalOptions, Storing, opened};
use crate::expression::Labelled;
use crate::location::{Location, StoredParts};
use crate::spec::ArrayOptions;
use crate::store::published;
use crate::target::{check_apart_from, check_keeps};
use crate::transfer::Destination;
use blockwise_core::digest::Digest;
use blockwise_core::exec::RunReport;
use blockwise_core::plan::Resources;
use blockwise_core::{Array, Session};
use blockwise_io::publish::PublishOptions;
use blockwise_io::{ArrayInfo, Attributes, Format, NodePath};
use blockwise_kernels::DType;
use blockwise_kernels::downsample::Downsampling;
use levels::{Level, levels, targets};
use serde_json::Value;
use std::path::{Path, PathBuf};

/// What is wanted of a pyramid.
#[derive(Clone, Debug)]
pub struct PyramidOptions {
    /// Levels, the full resolution among them; by default as many as it takes until the longest axis in space fits one chunk.
    pub levels: Option<usize>,
    /// By how much each level is smaller than the one before; by default 2 along axes in space, 1 along others.
    pub factors: Option<PerAxis<u64>>,
    /// What becomes of the elements of a box.
    pub method: Downsampling,
    /// Names of the array's axes; by default those of the dimensions, else the last of `tczyx`. All else that is said for each axis
    /// is in the image's order: time, channels, space.
    pub axes: Option<Vec<String>>,
    /// Physical size of an element along each axis; by default what the source says, else 1.
    pub scale: Option<PerAxis<f64>>,
    /// Units of the sizes: a single one is that of the axes in space.
    pub units: Option<PerAxis<String>>,
    /// What the image is called; by default as the source.
    pub name: Option<String>,
    /// Chunks, shards and codec of every level.
    pub arrays: ArrayOptions,
    /// Replace what is there; for [`to_ome_zarr`], as a [`Destination`] says it itself.
    pub overwrite: bool,
}

impl Default for PyramidOptions {
    fn default() -> Self {
        Self {
            levels: None,
            factors: None,
            method: Downsampling::Mean,
            axes: None,
            scale: None,
            units: None,
            name: None,
            arrays: ArrayOptions::default(),
            overwrite: false,
        }
    }
}

/// A level, for people.
#[derive(Clone, Debug)]
pub struct LevelSummary {
    /// The array's name in the group.
    pub path: String,
    /// Elements per axis.
    pub shape: Vec<u64>,
    /// Its chunks.
    pub chunk_shape: Vec<u64>,
    /// Physical size of an element along each axis.
    pub scale: Vec<f64>,
}

/// An image that is ready to be stored.
pub struct PyramidJob {
    /// What people call the source.
    label: String,
    /// How its channels are shown, if it is stored as an image that says so.
    display: Option<Value>,
    /// Where the container is that it stands in, if it is stored.
    container: Vec<PathBuf>,
    /// The other arrays of that.
    beside: Vec<ArrayInfo>,
    source: Labelled,
    info: ArrayInfo,
    axes: Vec<ImageAxis>,
    options: PyramidOptions,
    /// What tells the input of a run from others.
    fingerprint: String,
    read: StoredParts,
    plan_only: bool,
}

impl PyramidJob {
    /// Opens the array and settles its axes. No chunk is read.
    ///
    /// Packed data (CF) are averaged as the values they stand for, unless `open` says that they are taken raw.
    ///
    /// ```
    /// use blockwise::pyramid::{AxisType, PyramidJob, PyramidOptions};
    /// use blockwise::evaluate::EvalOptions;
    /// let sst = "examples/data/coads_climatology.cdf::SST".parse()?;
    /// let options = PyramidOptions { axes: Some(["t", "y", "x"].map(String::from).to_vec()), ..Default::default() };
    /// let job = PyramidJob::open(&sst, &options, &EvalOptions::default())?;
    /// assert_eq!(job.axes()[0].kind, Some(AxisType::Time));
    /// let resources = blockwise::machine::resources(64 << 20);
    /// let shapes: Vec<_> = job.levels(&resources)?.into_iter().map(|level| level.shape).collect();
    /// assert_eq!(shapes, [[12, 90, 180]]); // it fits one chunk
    /// # Ok::<(), blockwise::Error>(())
    /// ```
    ///
    /// # Errors
    /// If it cannot be opened, or its axes are not those of an image: 2 to 5, of which 2 or 3 are in space, at most one of channels, at
    /// most one of time. The image has time first, then channels, whatever the array's order.
    pub fn open(location: &Location, options: &PyramidOptions, open: &EvalOptions) -> Result<Self> {
        let input = EvalInput { name: "x".to_owned(), location: location.clone() };
        let (container, info, source) = opened(&input, open)?;
        let label = container.label(&info.path);
        let stored = metadata::read(container.groups.iter(), &info.path);
        let (axes, order) = axes::settle(&source, stored.as_ref(), &info.attributes, options)
            .map_err(|what| usage(&label, what))?;
        let info_path = info.path.clone();
        let channels =
            stored.iter().flatten().zip(&info.shape).find(|(axis, _)| axis.kind == Some(AxisType::Channel));
        let channels = channels.map_or(1, |(_, length)| *length);
        let display = metadata::display(&container.groups, &info_path, channels);
        let (source, info) = turned(&source, info, &order)?;
        let mut key = Digest::default();
        key.add(&(container.fingerprint(), &info_path, open.raw));
        let others = container.arrays.iter().filter(|array| array.path != info.path);
        let beside = others.cloned().collect();
        Ok(Self {
            label,
            display,
            container: container.container.paths(),
            beside,
            info: ArrayInfo { dimension_names: axes::names(&axes), ..info },
            source,
            axes,
            options: options.clone(),
            fingerprint: key.to_string(),
            read: StoredParts::of(&container, [&info_path]),
            plan_only: open.plan_only,
        })
    }

    /// An image of a lazy array, which need not be stored.
    ///
    /// # Errors
    /// If its axes are not those of an image, see [`PyramidJob::open`].
    pub fn of(array: &Array, options: &PyramidOptions) -> Result<Self> {
        let source = Labelled::from(array.clone());
        let (axes, order) = axes::settle(&source, None, &Attributes::new(), options)
            .map_err(|what| usage("the array", what))?;
        let (source, info) = turned(&source, info_of(NodePath::root(), array, Format::Zarr3), &order)?;
        let info = ArrayInfo { dimension_names: axes::names(&axes), ..info };
        Ok(Self {
            label: "the array".to_owned(),
            display: None,
            container: Vec::new(),
            beside: Vec::new(),
            source,
            info,
            axes,
            options: options.clone(),
            fingerprint: String::new(),
            read: StoredParts::default(),
            plan_only: false,
        })
    }

    /// The axes of the image.
    #[must_use]
    pub fn axes(&self) -> &[ImageAxis] {
        &self.axes
    }

    /// Type of the elements of every level.
    #[must_use]
    pub fn dtype(&self) -> DType {
        self.source.array.dtype()
    }

    /// What is made of each box.
    #[must_use]
    pub const fn method(&self) -> Downsampling {
        self.options.method
    }

    /// The levels that [`PyramidJob::store`] makes with these resources, the full resolution first.
    ///
    /// # Errors
    /// If chunks, shards or factors do not fit the array.
    pub fn levels(&self, resources: &Resources) -> Result<Vec<LevelSummary>> {
        let levels = self.laid_out(resources)?;
        Ok(levels.iter().map(|level| level.summary(&self.axes)).collect())
    }

    fn laid_out(&self, resources: &Resources) -> Result<Vec<Level>> {
        let array = self.source.array.with_some_names(axes::names(&self.axes))?;
        let attributes = self.source.attributes.as_deref().cloned().unwrap_or_default();
        let info = ArrayInfo { attributes, fill_value: None, ..self.info.clone() };
        levels(&array, &info, &self.axes, &self.options, resources)
            .map_err(|error| error.in_array(&self.label))
    }

    /// Creates the image in a partial folder (or, for a plan only, in the spill folder) and plans the run.
    ///
    /// # Errors
    /// If the output is no Zarr v3 store, exists or overlaps the source, options do not fit the array, or the budget is too small.
    /// Nothing is left behind then.
    pub fn store(&self, destination: &Destination, resources: &Resources) -> Result<Storing> {
        let path = destination.path.display().to_string();
        if destination.format != Format::Zarr3 {
            let what = format!(
                "images of OME-Zarr 0.5 are Zarr v3, not {}; name a folder .zarr",
                destination.format
            );
            return Err(usage(&path, what));
        }
        check_apart_from(&self.container, &destination.path)?;
        if let [only] = self.container.as_slice() {
            check_keeps(only, &self.beside, destination, |_| false)?;
        }
        let levels = self.laid_out(resources)?;
        let (method, display) = (self.options.method, self.display.as_ref());
        let group = metadata::group(&self.image_name(), &self.axes, &levels, method, display);
        let mut key = Digest::default();
        key.add(env!("CARGO_PKG_VERSION"));
        key.add(&(&self.fingerprint, &group.attributes));
        levels.iter().for_each(|level| key.add(&level.spec));
        let publish = PublishOptions {
            overwrite: destination.overwrite,
            resume: destination.resume,
            plan_key: key.to_string(),
            inputs: vec![self.read.state(self.plan_only, resources)],
            ..PublishOptions::default()
        };
        let mut storing = Storing::new(resources);
        let mut wanted = Vec::new();
        storing.claim(destination, &publish, self.plan_only, |filling| {
            filling.writer.create_group(&group)?;
            for level in &levels {
                let sink = filling.create(&level.spec, &level.array)?;
                wanted.push(sink);
            }
            Ok(())
        })?;
        let targets = targets(&levels, wanted)?;
        storing.plan_all(&Session::new(resources.clone()), &targets)?;
        Ok(storing)
    }

    /// What the image is called: as the source, if nothing else is said.
    fn image_name(&self) -> String {
        let stem = || self.container.first()?.file_stem()?.to_str();
        let own = || self.info.path.name().or_else(stem);
        self.options.name.as_deref().or_else(own).unwrap_or("image").to_owned()
    }
}

/// Computes an array and stores it as an OME-Zarr 0.5 image with levels of decreasing resolution, in one run.
///
/// ```
/// use blockwise::pyramid::{PyramidOptions, to_ome_zarr};
/// use blockwise::prelude::*;
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("ramp.ome.zarr");
/// let ramp = Array::from_fn(&[500, 400], |at| (at[0] + at[1]) as u16)?.rechunk([128, 128])?;
/// let options = PyramidOptions { scale: Some("0.5".parse()?), units: Some("micrometer".parse()?), ..Default::default() };
/// to_ome_zarr(&Session::with_budget(64 << 20), &ramp, &path, &options)?;
///
/// let third = blockwise::open(&format!("{}::2", path.display()))?;
/// assert_eq!((third.shape(), third.names()[0].as_deref()), (vec![125, 100], Some("y")));
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// If the output exists and is not to be replaced, options do not fit the array, the budget is too small, or the run fails.
pub fn to_ome_zarr(
    session: &Session,
    array: &Array,
    path: impl AsRef<Path>,
    options: &PyramidOptions,
) -> Result<RunReport> {
    let job = PyramidJob::of(array, options)?;
    let levels = job.laid_out(session.resources())?;
    let group = metadata::group(&job.image_name(), &job.axes, &levels, options.method, None);
    published(session.resources(), path.as_ref(), Format::Zarr3, options.overwrite, |writer| {
        writer.create_group(&group)?;
        let sinks =
            levels.iter().map(|level| Ok(writer.create_array(&level.spec)?)).collect::<Result<_>>()?;
        let report = session.store(&targets(&levels, sinks)?)?;
        writer.finish()?;
        Ok(report)
    })
}

/// The array with its axes in this order, and how it would be stored so.
fn turned(source: &Labelled, info: ArrayInfo, order: &[usize]) -> Result<(Labelled, ArrayInfo)> {
    if order.is_sorted() {
        return Ok((source.clone(), info));
    }
    let lengths = |own: &Vec<u64>| order.iter().filter_map(|axis| own.get(*axis).copied()).collect();
    let array = source.array.transpose(order)?;
    let info = ArrayInfo {
        shape: lengths(&info.shape),
        chunk_shape: info.chunk_shape.as_ref().map(lengths),
        shard_shape: info.shard_shape.as_ref().map(lengths),
        ..info
    };
    Ok((source.with(array), info))
}

fn usage(path: &str, what: String) -> Error {
    Error::Usage { path: path.to_owned(), what }
}
