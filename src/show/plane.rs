//! [`Plane`]: the two dimensions of an array that a picture shows, and what becomes of the others.
//!
//! Called by [`super::ShowJob`] and [`super::thumbnail`].

use super::ShowOptions;
use super::axis::AxisKind;
use super::dates::Clock;
use super::labels::Side;
use crate::error::{Error, Result};
use crate::evaluate::Evaluation;
use crate::expression::{Coordinate, Labelled};
use blockwise_core::array::{Index, Reduce};
use blockwise_core::{Array, DType};

/// Where a dimension was cut, as text, the coordinate there, and what it counts if it is a time.
pub(super) type Cut<T> = (String, Option<(T, Option<Clock>)>);

/// The dimension of red, green and blue, as TIFF has it.
const SAMPLE: &str = "sample";

/// Two dimensions of an array, and how it was cut to them.
pub(super) struct Plane {
    /// Rows and columns; of a colour picture those of red.
    pub(super) array: Array,
    /// Those of green and blue.
    pub(super) green_and_blue: Option<[Array; 2]>,
    /// Of rows and columns.
    pub(super) sides: [Side; 2],
    /// Where other dimensions were cut, and the coordinate there.
    pub(super) cuts: Vec<Cut<Array>>,
    /// What others were reduced by.
    pub(super) projected: Option<String>,
}

impl Plane {
    /// What `options` take of an array, with the coordinates that `evaluation` opened. Of dimensions that are left over, the
    /// position is taken that `rest` makes of their length.
    pub(super) fn of(
        whole: &Labelled,
        options: &ShowOptions,
        evaluation: &Evaluation,
        rest: impl Fn(u64) -> u64,
    ) -> Result<Self> {
        let Some(axis) = sample_axis(whole, options)? else {
            return Self::cut_out(whole, options, evaluation, &rest, None);
        };
        let sample = |at: i64| Self::cut_out(whole, options, evaluation, &rest, Some((axis, at)));
        let mut plane = sample(0)?;
        let samples = whole.array.shape().get(axis).copied();
        let is_coloured = matches!(samples, Some(3 | 4)) && full(whole.array.dtype()).is_some();
        if is_coloured && options.colours.is_none() {
            plane.green_and_blue = Some([sample(1)?.array, sample(2)?.array]);
            plane.cuts.retain(|(text, _)| *text != format!("{SAMPLE}=0"));
        }
        Ok(plane)
    }

    /// As [`Plane::of`], at one position of a dimension of samples.
    fn cut_out(
        whole: &Labelled,
        options: &ShowOptions,
        evaluation: &Evaluation,
        rest: &impl Fn(u64) -> u64,
        sample: Option<(usize, i64)>,
    ) -> Result<Self> {
        let (names, shape) = (whole.array.names(), whole.array.shape());
        let name = |axis: usize| names.get(axis).cloned().flatten().unwrap_or_else(|| format!("axis {axis}"));
        let coordinate = |axis: usize| {
            let name = names.get(axis).and_then(Option::as_deref);
            whole.coordinates.iter().find(|own| Some(own.name.as_str()) == name)
        };
        let clock = |own: &Coordinate| Clock::of(own, evaluation.coordinate_attributes(&own.origin));
        let mut items = vec![Index::from(..); shape.len()];
        for slice in &options.slices {
            if let Some(item) = items.get_mut(slice.axis(names)?) {
                *item = slice.item();
            }
        }
        if let Some((axis, at)) = sample
            && let Some(item) = items.get_mut(axis)
        {
            *item = Index::At(at);
        }
        let mut sides: Vec<(usize, Side)> = Vec::new();
        for (axis, item) in items.iter().enumerate().filter(|(_, item)| !matches!(item, Index::At(_))) {
            let found = coordinate(axis);
            let attributes = found.and_then(|own| evaluation.coordinate_attributes(&own.origin));
            let coordinates = found.map(|own| own.array.index(&[*item])).transpose()?;
            let extent = whole.array.slice(axis, *item)?.shape().get(axis).copied().unwrap_or(0);
            sides
                .push((axis, Side::new(&name(axis), extent, attributes, coordinates, found.and_then(clock))));
        }
        // A map stays a map, wherever its dimensions stand; of others the last two are shown.
        let of_kind = |kind: AxisKind| sides.iter().position(|(_, side)| side.kind == kind);
        let shown = match (of_kind(AxisKind::Latitude), of_kind(AxisKind::Longitude), sides.len()) {
            (Some(row), Some(column), _) => [row, column],
            (_, _, 0 | 1) => return Err(too_few(&shape)),
            (.., count) => [count - 2, count - 1],
        };
        let axes: Vec<usize> = sides.iter().map(|(axis, _)| *axis).collect();
        let others: Vec<usize> = (0..axes.len()).filter(|at| !shown.contains(at)).collect();
        if options.project.is_none() {
            for axis in others.iter().filter_map(|at| axes.get(*at)) {
                if let Some(item) = items.get_mut(*axis).filter(|item| **item == Index::from(..)) {
                    let extent = shape.get(*axis).copied().unwrap_or(1);
                    *item = Index::At(i64::try_from(rest(extent)).unwrap_or(0));
                }
            }
        }
        let mut cuts: Vec<Cut<Array>> = Vec::new();
        for (axis, item) in items.iter().enumerate() {
            if let Index::At(at) = item {
                let value = coordinate(axis)
                    .map(|own| Ok::<_, Error>((own.array.index(&[*item])?, clock(own))))
                    .transpose()?;
                cuts.push((format!("{}={at}", name(axis)), value));
            }
        }
        let mut array = whole.array.index(&items)?;
        let mut projected = None;
        if let Some(by) = options.project.as_ref().filter(|_| !others.is_empty()) {
            let over: Vec<String> = others.iter().filter_map(|at| Some(name(*axes.get(*at)?))).collect();
            projected = Some(format!("{by} over {}", over.join(", ")));
            array = array.reduce(reduction(by, array.dtype())?, others.as_slice(), false)?;
        }
        if array.rank() != 2 {
            let message = format!(
                "{} dimensions are left of shape {shape:?}, and a picture has two; give one position of the others, or --project",
                array.rank()
            );
            return Err(blockwise_core::Error::Usage { message }.into());
        }
        if array.shape().contains(&0) {
            return Err(too_few(&shape));
        }
        if shown[0] > shown[1] {
            array = array.transpose(..)?;
        }
        let mut side = |at: usize| {
            let found = sides.get_mut(at).map(|(_, side)| std::mem::take(side));
            found.unwrap_or_default()
        };
        Ok(Self { array, green_and_blue: None, sides: shown.map(&mut side), cuts, projected })
    }

    /// A part of it: these rows and columns, all where nothing is said.
    pub(super) fn part(mut self, parts: [Option<Index>; 2]) -> Result<Self> {
        for ((axis, part), side) in parts.into_iter().enumerate().zip(&mut self.sides) {
            let Some(part) = part else { continue };
            self.array = self.array.slice(axis, part)?;
            for array in self.green_and_blue.iter_mut().flatten() {
                *array = array.slice(axis, part)?;
            }
            side.cut(part, self.array.shape().get(axis).copied().unwrap_or(0))?;
            self.cuts.push(("a part".to_owned(), None));
        }
        self.cuts.dedup_by(|a, b| a.0 == b.0);
        Ok(self)
    }
}

/// The number that stands for the brightest colour in arrays of colours; `None` where nothing says what would.
pub(super) const fn full(dtype: DType) -> Option<f64> {
    match dtype {
        DType::U8 => Some(255.0),
        DType::U16 => Some(65535.0),
        DType::F32 | DType::F64 => Some(1.0),
        _ => None,
    }
}

/// The dimension of samples, which no picture has as rows or columns unless there is nothing else, where nothing is taken of it.
fn sample_axis(whole: &Labelled, options: &ShowOptions) -> Result<Option<usize>> {
    let names = whole.array.names();
    let Some(axis) = names.iter().position(|name| name.as_deref() == Some(SAMPLE)) else { return Ok(None) };
    let sliced = options.slices.iter().map(|slice| slice.axis(names)).collect::<Result<Vec<_>>>()?;
    Ok((names.len() > 2 && !sliced.contains(&axis)).then_some(axis))
}

fn too_few(shape: &[u64]) -> Error {
    let message = format!("shape {shape:?} has no plane to show: a picture has two dimensions with elements");
    blockwise_core::Error::Usage { message }.into()
}

/// The reduction of a projection, without NaN.
fn reduction(by: &str, dtype: DType) -> Result<Reduce> {
    let skips_nan = matches!(dtype.kind(), 'f' | 'c');
    let known = ["mean", "max", "min", "sum", "std"].contains(&by);
    let name = if skips_nan { format!("nan{by}") } else { by.to_owned() };
    Reduce::named(&name, 0.0).filter(|_| known).ok_or_else(|| Error::Argument {
        what: "projection",
        text: by.to_owned(),
        why: "there is mean, max, min, sum, std".to_owned(),
    })
}
