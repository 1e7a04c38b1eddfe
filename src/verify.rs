//! Two arrays, or two containers, compared element by element within the budget.
//!
//! Invariants: what is not compared is an error or a difference, never passed over in silence; the same data in
//! other formats, chunks and codecs is equal; differences are shown by index and chunk, first in C order. Called by
//! the command line's `verify` and `demo`.

pub mod compare;

pub use compare::{Difference, Findings, Tolerance};

use crate::error::{Error, Result};
use crate::location::{Location, Opened};
use crate::select::Selection;
use crate::watch::Watcher;
use blockwise_core::adapt::Cast;
use blockwise_core::plan::{CopyOptions, Resources, plan_copy};
use blockwise_core::{Cancellation, Sink, Source, exec};
use blockwise_io::{ArrayInfo, ElementType, NodePath, OpenOptions};
use blockwise_kernels::DType;
use compare::Comparison;
use std::sync::Arc;

/// How to compare.
#[derive(Clone, Debug)]
pub struct VerifyOptions {
    /// How to open both.
    pub open: OpenOptions,
    /// When elements count as equal; numbers of different dtypes can be, if it is not 0.
    pub tolerance: Tolerance,
    /// Whether attributes, dimension names and fill values are compared too.
    pub attributes: bool,
    /// Which arrays of containers are compared.
    pub selection: Selection,
    /// Differences to show for each array.
    pub shown: usize,
}

impl Default for VerifyOptions {
    fn default() -> Self {
        Self {
            open: OpenOptions::default(),
            tolerance: Tolerance::default(),
            attributes: false,
            selection: Selection::default(),
            shown: 10,
        }
    }
}

/// One pair of arrays.
#[derive(Clone, Debug)]
pub struct ArrayVerdict {
    /// Its path in the containers; the root for two single arrays.
    pub path: NodePath,
    /// Ways in which the descriptions differ; elements of another shape or dtype are not compared.
    pub description: Vec<String>,
    /// What became of the elements.
    pub findings: Findings,
}

/// What a comparison found.
#[derive(Clone, Debug, Default)]
pub struct VerifyReport {
    /// Ways in which the containers differ: arrays that only one has, attributes of groups.
    pub container: Vec<String>,
    /// The pairs of arrays.
    pub arrays: Vec<ArrayVerdict>,
}

impl VerifyReport {
    /// Whether nothing differs.
    #[must_use]
    pub fn is_equal(&self) -> bool {
        let same = |array: &ArrayVerdict| array.description.is_empty() && array.findings.differing == 0;
        self.container.is_empty() && self.arrays.iter().all(same)
    }
}

/// Compares what `left` and `right` name: two arrays, or all arrays of two containers by path.
///
/// # Errors
/// If one cannot be read, holds elements that cannot be compared, or the budget is too small.
pub fn verify(
    left: &Location,
    right: &Location,
    options: &VerifyOptions,
    resources: &Resources,
    watcher: &dyn Watcher,
    cancellation: &Cancellation,
) -> Result<VerifyReport> {
    let (a, b) = (left.open(&options.open)?, right.open(&options.open)?);
    let job = Job { a: &a, b: &b, options, resources, watcher, cancellation };
    let mut report = VerifyReport::default();
    if a.names_an_array() || b.names_an_array() {
        let verdict = job.compare(a.only_array()?, b.only_array()?, NodePath::root(), 0, 1)?;
        report.arrays.push(verdict);
        return Ok(report);
    }
    let (left_groups, left_arrays) = a.selected()?;
    let (right_groups, right_arrays) = b.selected()?;
    options.selection.check(
        &format!("{left} and {right}"),
        &[left_arrays.as_slice(), &right_arrays].concat(),
        &[left_groups.as_slice(), &right_groups].concat(),
    )?;
    let (left_arrays, right_arrays) =
        (options.selection.arrays(&left_arrays), options.selection.arrays(&right_arrays));
    let find = |arrays: &[&'_ ArrayInfo], path: &NodePath, opened: &Opened| {
        arrays.iter().position(|array| opened.relative(&array.path) == *path)
    };
    for array in &right_arrays {
        let path = b.relative(&array.path);
        if find(&left_arrays, &path, &a).is_none() {
            report.container.push(format!("{path} is only in {right}"));
        }
    }
    for (position, array) in left_arrays.iter().enumerate() {
        let path = a.relative(&array.path);
        match find(&right_arrays, &path, &b).and_then(|at| right_arrays.get(at)) {
            None => report.container.push(format!("{path} is only in {left}")),
            Some(other) => {
                let verdict = job.compare(array, other, path, position, left_arrays.len())?;
                report.arrays.push(verdict);
            }
        }
    }
    if options.attributes {
        for group in left_groups {
            let path = a.relative(&group.path);
            if let Some(other) = right_groups.iter().find(|other| b.relative(&other.path) == path)
                && group.attributes != other.attributes
            {
                let name = if path.is_root() { "the root group".to_owned() } else { format!("group {path}") };
                report.container.push(format!("the attributes of {name} differ"));
            }
        }
    }
    Ok(report)
}

struct Job<'a> {
    a: &'a Opened,
    b: &'a Opened,
    options: &'a VerifyOptions,
    resources: &'a Resources,
    watcher: &'a dyn Watcher,
    cancellation: &'a Cancellation,
}

impl Job<'_> {
    fn compare(
        &self,
        left: &ArrayInfo,
        right: &ArrayInfo,
        path: NodePath,
        position: usize,
        count: usize,
    ) -> Result<ArrayVerdict> {
        let label = self.a.label(&left.path);
        let mut description = describe(left, right, self.options);
        let findings = if left.shape != right.shape {
            Findings::default()
        } else {
            match (&left.element_type, &right.element_type) {
                (ElementType::Text, ElementType::Text) => self.compare_texts(left, right)?,
                (ElementType::Other(name), _) | (_, ElementType::Other(name)) => {
                    let what =
                        format!("elements of type {name} cannot be compared; leave it out with --exclude");
                    return Err(Error::Refused { path: label, what });
                }
                (a, b) => match self.common_dtypes(a, b) {
                    Some(dtype) => self
                        .compare_chunks(left, right, dtype, &mut description, position, count)
                        .map_err(|error| error.in_array(&label))?,
                    None => Findings::default(),
                },
            }
        };
        Ok(ArrayVerdict { path, description, findings })
    }

    /// The dtype in which elements of two types can be held against each other; `None` if they differ in kind.
    fn common_dtypes(&self, a: &ElementType, b: &ElementType) -> Option<DType> {
        let (left, right) = (a.stream_dtype()?, b.stream_dtype()?);
        match (a, b) {
            _ if a == b => Some(left),
            (ElementType::Number(_), ElementType::Number(_)) if self.options.tolerance.is_loose() => {
                let complex = left.kind() == 'c' || right.kind() == 'c';
                Some(if complex { DType::C128 } else { DType::F64 })
            }
            _ => None,
        }
    }

    fn compare_chunks(
        &self,
        left: &ArrayInfo,
        right: &ArrayInfo,
        dtype: DType,
        description: &mut Vec<String>,
        position: usize,
        count: usize,
    ) -> Result<Findings> {
        let left_source = Cast::over(self.a.array(&left.path)?.source()?, dtype);
        let right_source = Cast::over(self.b.array(&right.path)?.source()?, dtype);
        if left_source.grid().shape() != right_source.grid().shape() {
            description.push("the elements have different sizes".to_owned());
            return Ok(Findings::default());
        }
        // The plan goes to the grid of the first array, or of the second if only the first is free to be recut.
        let recut = left_source.recut(right_source.grid());
        let (moving, standing, standing_is_left): (Arc<dyn Source>, Arc<dyn Source>, bool) = match recut {
            Some(left_source) => (left_source, right_source, false),
            None => (right_source, left_source, true),
        };
        let comparison = Arc::new(Comparison::with(
            standing,
            standing_is_left,
            self.options.tolerance,
            self.options.shown,
        ));
        let sink = Arc::clone(&comparison) as Arc<dyn Sink>;
        let plan = plan_copy(moving, sink, self.resources, &CopyOptions::default())?;
        self.watcher.array_started(position, count, &self.a.label(&left.path), &plan);
        exec::run(&plan, self.resources, self.watcher, self.cancellation)?;
        Ok(comparison.findings())
    }

    fn compare_texts(&self, left: &ArrayInfo, right: &ArrayInfo) -> Result<Findings> {
        // Both are held whole; each may take a quarter of the budget.
        let limit_bytes = self.resources.budget_bytes / 4;
        let a = self.a.array(&left.path)?.read_texts(limit_bytes)?;
        let b = self.b.array(&right.path)?.read_texts(limit_bytes)?;
        let mut findings = Findings { elements: a.texts.len() as u64, ..Findings::default() };
        for (at, (x, y)) in a.texts.iter().zip(&b.texts).enumerate() {
            if x != y {
                findings.differing += 1;
                if findings.first.len() < self.options.shown {
                    let index = compare::position(at as u64, &a.shape, &vec![0; a.shape.len()]);
                    let chunk = vec![0; a.shape.len()];
                    findings.first.push(Difference {
                        index,
                        chunk,
                        left: format!("{x:?}"),
                        right: format!("{y:?}"),
                    });
                }
            }
        }
        Ok(findings)
    }
}

/// The ways in which two descriptions differ.
fn describe(left: &ArrayInfo, right: &ArrayInfo, options: &VerifyOptions) -> Vec<String> {
    let mut found = Vec::new();
    if left.shape != right.shape {
        found.push(format!("shape {:?} is not {:?}", left.shape, right.shape));
    }
    let both_numbers =
        matches!((&left.element_type, &right.element_type), (ElementType::Number(_), ElementType::Number(_)));
    if left.element_type != right.element_type && !(both_numbers && options.tolerance.is_loose()) {
        found.push(format!("element type {} is not {}", left.element_type, right.element_type));
    }
    if !options.attributes {
        return found;
    }
    if left.dimension_names != right.dimension_names {
        let names = |info: &ArrayInfo| {
            let names = info.dimension_names.iter().map(|name| name.as_deref().unwrap_or("-"));
            names.collect::<Vec<_>>().join(", ")
        };
        found.push(format!("dimensions [{}] are not [{}]", names(left), names(right)));
    }
    for (name, value) in left.attributes.iter() {
        match right.attributes.get(name) {
            None => found.push(format!("attribute {name} is only in the first")),
            Some(other) if !same_value(value, other) => {
                found.push(format!("attribute {name} is {} and {}", value_text(value), value_text(other)));
            }
            Some(_) => {}
        }
    }
    let extra = right.attributes.iter().filter(|(name, _)| left.attributes.get(name).is_none());
    found.extend(extra.map(|(name, _)| format!("attribute {name} is only in the second")));
    found
}

/// An attribute's value for people, cut where it is long.
fn value_text(value: &blockwise_io::AttributeValue) -> String {
    use blockwise_io::AttributeValue::{Json, Number, Numbers, Text, Texts};
    const MOST_CHARS: usize = 60;
    let text = match value {
        Text(text) => format!("{text:?}"),
        Texts(texts) => format!("{texts:?}"),
        Number(number) => format!("{number:?}"),
        Numbers(dtype, numbers) => {
            let numbers: Vec<String> = numbers.iter().map(ToString::to_string).collect();
            format!("{dtype} [{}]", numbers.join(", "))
        }
        Json(json) => json.to_string(),
        other => format!("{other:?}"),
    };
    match text.char_indices().nth(MOST_CHARS) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text,
    }
}

/// Whether two attribute values say the same; a list of one number is that number.
fn same_value(a: &blockwise_io::AttributeValue, b: &blockwise_io::AttributeValue) -> bool {
    use blockwise_io::AttributeValue::{Number, Numbers, Text, Texts};
    match (a, b) {
        (Number(one), Numbers(_, list)) | (Numbers(_, list), Number(one)) => list.as_slice() == [*one],
        (Text(one), Texts(list)) | (Texts(list), Text(one)) => list.as_slice() == [one.as_str()],
        _ => a == b,
    }
}
