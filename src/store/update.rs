//! Stores that are there: regions of their arrays written anew, and arrays that grow.
//!
//! Invariants: everything is computed and on the disk before the store is touched, so sources may lie in it; an error or a
//! kill before that leaves it as it was. Readers of a store that grows see the old shape, then the new one. Called by
//! programs.

use super::checked_names;
use crate::error::{Error, Result};
use blockwise_core::array::Axis;
use blockwise_core::exec::RunReport;
use blockwise_core::{Array, Region, Session, Sink};
use blockwise_io::publish::Update;
use blockwise_io::zarr::{ZarrUpdate, outermost};
use blockwise_io::{ArrayInfo, ElementType, Format, NodePath, OpenOptions};
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

/// Computes arrays in one run and puts each into a region of the stored array of its name: xarray's
/// `to_zarr(region=…)`. `region` names dimensions (or axes) and ranges along them; along all others an array is whole.
///
/// Elements are stored as they are given: packing is not done again. A chunk that the region covers in part keeps its
/// other elements. `path` may be a group in a store. Chunks are replaced one by one once all are computed, so a reader at that moment may see old and new
/// ones; a run that is killed just then is finished by the next one that changes the store.
///
/// ```
/// use blockwise::store::{StoreOptions, to_zarr, to_zarr_region};
/// use blockwise_core::{Array, DType, Session};
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("field.zarr");
/// let session = Session::with_budget(64 << 20);
/// let zeros = Array::zeros(&[10, 20], DType::F32)?.with_names(&["y", "x"])?;
/// to_zarr(&session, &[(&zeros, "field")], &path, &StoreOptions::default())?;
///
/// let part = Array::full(&[10, 3], 1.5_f32.into())?;
/// to_zarr_region(&session, &[(&part, "field")], &path, &[("x".into(), 4..7)])?;
/// let stored = blockwise::open_as_stored(&format!("{}::field", path.display()))?;
/// assert_eq!(stored.sum(..)?.compute::<f32>()?[[]], 45.0);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// If there is no such store or array, shapes, dtypes or dimension names differ, another run writes the store, or this
/// run fails. The store is then as it was.
pub fn to_zarr_region(
    session: &Session,
    arrays: &[(&Array, &str)],
    path: impl AsRef<Path>,
    region: &[(Axis, Range<u64>)],
) -> Result<RunReport> {
    update(session, arrays, path.as_ref(), |stored, infos| {
        let place = |(info, (array, _)): (&&ArrayInfo, &(&Array, &str))| {
            let mut ranges: Vec<Range<u64>> = info.shape.iter().map(|extent| 0..*extent).collect();
            for (axis, range) in region {
                let axis = axis.resolve(&info.dimension_names)?;
                let extent = info.shape.get(axis).copied().unwrap_or(0);
                if range.end > extent {
                    return Err(stored.fault(
                        info,
                        format!(
                            "{range:?} leaves axis {axis}, which has {extent} elements; append to it instead"
                        ),
                    ));
                }
                if let Some(slot) = ranges.get_mut(axis) {
                    *slot = range.clone();
                }
            }
            stored.placed(info, array, &ranges, info.shape.clone())
        };
        infos.iter().zip(arrays).map(place).collect()
    })
}

/// Computes arrays in one run and adds each at the end of the stored array of its name, along a dimension (or axis):
/// xarray's `to_zarr(append_dim=…)`.
///
/// New chunks are written first, then the documents with the new shapes, arrays before groups: readers see all of it or
/// nothing. The chunk at the old end, if it was not full, is replaced by one that holds the old elements and new ones.
///
/// ```
/// use blockwise::store::{StoreOptions, append_to_zarr, to_zarr};
/// use blockwise_core::{Array, Session};
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("daily.zarr");
/// let session = Session::with_budget(64 << 20);
/// let day = |n: u64| Array::from_fn(&[24, 8], move |at| (n * 24 + at[0]) as f32)?.with_names(&["time", "x"]);
/// let time = |n: u64| Array::from_fn(&[24], move |at| n * 24 + at[0])?.with_names(&["time"]);
/// to_zarr(&session, &[(&day(0)?, "t2m"), (&time(0)?, "time")], &path, &StoreOptions::default())?;
/// append_to_zarr(&session, &[(&day(1)?, "t2m"), (&time(1)?, "time")], &path, "time")?;
/// let stored = blockwise::open(&format!("{}::t2m", path.display()))?;
/// assert_eq!((stored.shape(), stored.max(..)?.compute::<f32>()?[[]]), (vec![48, 8], 47.0));
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// As [`to_zarr_region`]; if arrays differ in what they add, or an array beside them that is as long along the dimension
/// would be left behind.
pub fn append_to_zarr(
    session: &Session,
    arrays: &[(&Array, &str)],
    path: impl AsRef<Path>,
    dimension: impl Into<Axis>,
) -> Result<RunReport> {
    let dimension = dimension.into();
    update(session, arrays, path.as_ref(), |stored, infos| {
        let mut places = Vec::with_capacity(infos.len());
        let mut lengths: Option<(u64, u64)> = None;
        for (info, (array, _)) in infos.iter().zip(arrays) {
            let axis = dimension.resolve(&info.dimension_names)?;
            let old = info.shape.get(axis).copied().unwrap_or(0);
            let added = array.shape().get(axis).copied().unwrap_or(0);
            if *lengths.get_or_insert((old, added)) != (old, added) {
                let what = format!(
                    "{added} elements would follow {old}, but another array has other numbers; append them by themselves"
                );
                return Err(stored.fault(info, what));
            }
            let too_long = || stored.fault(info, format!("{added} elements are too many to follow {old}"));
            let end = old.checked_add(added).ok_or_else(too_long)?;
            let (mut ranges, mut shape): (Vec<Range<u64>>, Vec<u64>) =
                info.shape.iter().map(|extent| (0..*extent, *extent)).unzip();
            if let (Some(range), Some(extent)) = (ranges.get_mut(axis), shape.get_mut(axis)) {
                (*range, *extent) = (old..end, end);
            }
            places.push(stored.placed(info, array, &ranges, shape)?);
        }
        stored.none_left_behind(infos, &dimension, lengths.map_or(0, |(old, _)| old))?;
        Ok(places)
    })
}

/// A store that is there.
struct Stored {
    label: String,
    arrays: Vec<ArrayInfo>,
}

/// Where an array goes, and the stored array's shape afterwards.
type Place = (Region, Vec<u64>);

impl Stored {
    fn fault(&self, info: &ArrayInfo, what: String) -> Error {
        let path =
            if info.path.is_root() { self.label.clone() } else { format!("{}::{}", self.label, info.path) };
        Error::Usage { path, what }
    }

    /// The place of `array` in a stored one, if it fits there.
    fn placed(
        &self,
        info: &ArrayInfo,
        array: &Array,
        ranges: &[Range<u64>],
        shape: Vec<u64>,
    ) -> Result<Place> {
        let wanted: Vec<u64> = ranges.iter().map(|range| range.end.saturating_sub(range.start)).collect();
        if array.shape() != wanted || wanted.contains(&0) {
            let what = format!("an array of shape {:?} does not fit a region of {wanted:?}", array.shape());
            return Err(self.fault(info, what));
        }
        if info.element_type.stream_dtype() != Some(array.dtype())
            || matches!(info.element_type, ElementType::FixedBytes { .. })
        {
            let what = format!(
                "{} elements are stored, {} ones given; convert them with astype (and pack them, where the stored ones are)",
                info.element_type,
                array.dtype()
            );
            return Err(self.fault(info, what));
        }
        for (own, stored) in array.names().iter().zip(&info.dimension_names) {
            if let (Some(own), Some(stored)) = (own, stored)
                && own != stored
            {
                let what =
                    format!("the stored dimension '{stored}' is called '{own}' here; transpose or rename it");
                return Err(self.fault(info, what));
            }
        }
        let origin = ranges.iter().map(|range| range.start).collect();
        Ok((Region::new(origin, wanted)?, shape))
    }

    /// Refuses to make arrays longer than others of their groups that go with them.
    fn none_left_behind(&self, grown: &[&ArrayInfo], dimension: &Axis, length: u64) -> Result<()> {
        let Axis::Name(name) = dimension else { return Ok(()) };
        let goes_along = |info: &&ArrayInfo| {
            let mut axes = info.dimension_names.iter().zip(&info.shape);
            let is_along = axes.any(|(own, extent)| own.as_ref() == Some(name) && *extent == length);
            let has_neighbour = grown.iter().any(|other| other.path.parent() == info.path.parent());
            is_along && has_neighbour && !grown.iter().any(|other| other.path == info.path)
        };
        match self.arrays.iter().find(goes_along) {
            None => Ok(()),
            Some(left) => {
                Err(self.fault(left, format!("goes along '{name}' too; append to it in the same call")))
            }
        }
    }
}

/// Everything that can be refused is, before anything is computed; then one run, then the renames.
fn update(
    session: &Session,
    arrays: &[(&Array, &str)],
    path: &Path,
    places: impl FnOnce(&Stored, &[&ArrayInfo]) -> Result<Vec<Place>>,
) -> Result<RunReport> {
    let label = path.display().to_string();
    let nodes: Vec<NodePath> =
        checked_names(arrays).map_err(|what| Error::Usage { path: label.clone(), what })?;
    // Consolidated metadata of every group above speak of the arrays, and runs on any of these groups must wait for each other.
    let (root, above) = outermost(path)?;
    let (path, label) = (root.as_path(), root.display().to_string());
    let within = |node: NodePath| node.components().iter().try_fold(above.clone(), |at, name| at.child(name));
    let nodes: Vec<NodePath> = nodes.into_iter().map(within).collect::<Result<_, _>>()?;
    let update = Update::begin(path)?;
    let outcome = (|| {
        let container = blockwise_io::open::open(path, &OpenOptions::default())?;
        if !matches!(container.format(), Format::Zarr2 | Format::Zarr3) {
            let what = format!("regions are written into Zarr stores, and this is {}", container.format());
            return Err(Error::Refused { path: label.clone(), what });
        }
        let stored = Stored { label: label.clone(), arrays: container.nodes()?.1 };
        let find = |node: &NodePath| {
            stored.arrays.iter().find(|info| info.path == *node).ok_or_else(|| {
                let known: Vec<String> = stored.arrays.iter().map(|info| info.path.to_string()).collect();
                let what = format!("there is no array '{node}'; there are: {}", known.join(", "));
                Error::Usage { path: label.clone(), what }
            })
        };
        let infos: Vec<&ArrayInfo> = nodes.iter().map(find).collect::<Result<_>>()?;
        let mut changes = ZarrUpdate::open(update.partial().clone(), path)?;
        let mut targets: Vec<(Array, Arc<dyn Sink>)> = Vec::with_capacity(arrays.len());
        for ((node, (array, _)), (region, shape)) in nodes.iter().zip(arrays).zip(places(&stored, &infos)?) {
            targets.push(((*array).clone(), changes.region(node, &region, &shape)?));
        }
        let report = session.store(&targets)?;
        changes.finish()?;
        Ok(report)
    })();
    match outcome {
        Ok(report) => update.commit().map(|()| report).map_err(Error::from),
        Err(error) => {
            update.abandon();
            Err(error)
        }
    }
}

#[cfg(test)]
mod tests;
