//! The job behind `eval` and `reduce`: stored arrays in, an expression over them, results in memory or in new files.
//!
//! All results of one job are computed in one run, which reads every chunk as rarely as it can. Invariants: packed
//! (CF) data are computed with as the values they stand for unless asked otherwise; coordinates, units and dimension
//! names go with the results as far as they still hold; outputs are published as those of a conversion are. Called
//! by the command line.

mod coordinates;
mod input;
mod output;
mod storing;

pub use input::{EvalInput, InputSummary, is_name};
pub use output::OutputRequest;
pub use storing::{StoredResult, Storing, StoringReport};

use crate::error::{Error, Result};
use crate::expression::{Expression, Labelled};
use crate::location::{Location, Opened};
use crate::spec::ArrayOptions;
use blockwise_core::memory::MemoryArray;
use blockwise_core::plan::{Plan, Resources};
use blockwise_core::region::element_count;
use blockwise_core::{Array, Session, Sink};
use blockwise_io::{ArrayInfo, Attributes, OpenOptions};
use blockwise_kernels::{DType, Element};
use input::Input;
use std::sync::Arc;

/// Elements that a result may have that is printed and not stored.
pub const MAX_PRINTED: u64 = 10_000;

/// The array of an input, with its coordinates and attributes.
pub(crate) fn labelled(input: &EvalInput, options: &EvalOptions) -> Result<Labelled> {
    Ok(input::open(input, options)?.value)
}

/// The container, description and array of an input.
pub(crate) fn opened(input: &EvalInput, options: &EvalOptions) -> Result<(Arc<Opened>, ArrayInfo, Labelled)> {
    let Input { opened, info, value, .. } = input::open(input, options)?;
    Ok((opened, info, value))
}

/// How an expression is evaluated.
#[derive(Clone, Debug, Default)]
pub struct EvalOptions {
    /// How to open the inputs.
    pub open: OpenOptions,
    /// Whether elements are taken as they are stored, CF packing and missing values included.
    pub raw: bool,
    /// Chunks, shards and codec of the results.
    pub arrays: ArrayOptions,
    /// Whether sums and means are exact, so that they are the same whatever the chunks.
    pub reproducible: bool,
    /// Whether only the plan is wanted.
    pub plan_only: bool,
}

/// A result of an expression, lazy.
#[derive(Clone, Debug)]
pub struct EvalResult {
    /// What the expression calls it.
    pub name: Option<String>,
    /// Its value.
    pub value: Labelled,
}

/// A result that was computed and is held in memory.
#[derive(Clone, Debug)]
pub struct ComputedResult {
    /// What the expression calls it.
    pub name: Option<String>,
    /// Its lazy form: shape, dtype, dimension names.
    pub array: Array,
    values: Arc<MemoryArray>,
}

impl ComputedResult {
    /// The elements in C order; `None` if `T` is not their type.
    #[must_use]
    pub fn elements<T: Element>(&self) -> Option<Vec<T>> {
        self.values.to_elements()
    }

    /// Type of the elements.
    #[must_use]
    pub fn dtype(&self) -> DType {
        self.array.dtype()
    }
}

/// An expression over opened inputs.
pub struct Evaluation {
    inputs: Vec<Input>,
    text: String,
    /// The results: the last statement if it has no name, else every named one.
    pub results: Vec<EvalResult>,
    options: EvalOptions,
}

/// Results in memory, planned and ready to be computed.
pub struct Computation {
    /// What will run.
    pub plan: Plan,
    results: Vec<ComputedResult>,
}

impl Computation {
    /// The results, after the plan was run.
    #[must_use]
    pub fn into_results(self) -> Vec<ComputedResult> {
        self.results
    }
}

impl Evaluation {
    /// Opens the inputs that `text` uses and builds its results. No chunk is read but those of coordinates that are grouped by,
    /// or that meet others.
    ///
    /// ```
    /// use blockwise::evaluate::{EvalInput, EvalOptions, Evaluation};
    /// let sst = EvalInput { name: "sst".to_owned(), location: "examples/data/coads_climatology.cdf::SST".parse()? };
    /// let job = Evaluation::open("sst.mean('TIME')", &[sst], &EvalOptions::default())?;
    /// assert_eq!(job.results[0].value.array.shape(), [90, 180]);
    /// # Ok::<(), blockwise::Error>(())
    /// ```
    ///
    /// # Errors
    /// If the expression is none, an input cannot be opened or is not used, or they do not fit each other.
    pub fn open(text: &str, inputs: &[EvalInput], options: &EvalOptions) -> Result<Self> {
        Self::open_in(text, inputs, None, options)
    }

    /// As [`Evaluation::open`], where the container of some inputs, at its location, is open already.
    ///
    /// # Errors
    /// As [`Evaluation::open`].
    pub fn open_in(
        text: &str,
        inputs: &[EvalInput],
        container: Option<&(Location, Arc<Opened>)>,
        options: &EvalOptions,
    ) -> Result<Self> {
        let expression = Expression::parse(text)?;
        let used = expression.free_names();
        for (at, input) in inputs.iter().enumerate() {
            let twice = inputs.iter().take(at).any(|other| other.name == input.name);
            if twice || !used.contains(&input.name.as_str()) {
                let is_input = |name: &str| inputs.iter().any(|input| input.name == name);
                let unknown = used.iter().find(|name| !is_input(name) && !Expression::is_known(name));
                let why = match unknown {
                    _ if twice => "is given twice".to_owned(),
                    Some(unknown) => format!("is not used in the expression, where '{unknown}' is not known"),
                    None => "is not used in the expression".to_owned(),
                };
                let what = format!("the input '{}' {why}", input.name);
                return Err(Error::Usage { path: input.location.to_string(), what });
            }
        }
        let opened = input::open_all(inputs, container, options)?;
        let named: Vec<_> = opened.iter().map(|input| (input.name.clone(), input.value.clone())).collect();
        let all = expression.evaluate(&named)?;
        let mut results: Vec<EvalResult> =
            all.into_iter().map(|result| EvalResult { name: result.name, value: result.value }).collect();
        if results.last().is_some_and(|last| last.name.is_none()) {
            results.drain(..results.len() - 1);
        } else {
            results.retain(|result| result.name.is_some());
            // A name that was given again stands for its last value.
            let names: Vec<_> = results.iter().map(|result| result.name.clone()).collect();
            let mut at = 0;
            results.retain(|result| {
                at += 1;
                !names.get(at..).unwrap_or(&[]).contains(&result.name)
            });
        }
        Ok(Self { inputs: opened, text: text.to_owned(), results, options: options.clone() })
    }

    /// The same inputs with other results, which `text` tells from others.
    #[must_use]
    pub fn with_results(self, text: String, results: Vec<EvalResult>) -> Self {
        Self { text, results, ..self }
    }

    /// What the inputs are.
    pub fn inputs(&self) -> impl Iterator<Item = InputSummary> {
        self.inputs.iter().map(Input::summary)
    }

    /// The attributes of the stored coordinates that come from `origin`.
    pub(crate) fn coordinate_attributes(&self, origin: &str) -> Option<&Attributes> {
        let all = self.inputs.iter().flat_map(|input| &input.coordinates);
        all.into_iter().find(|(own, _)| &**own == origin).map(|(_, info)| &info.attributes)
    }

    /// The results as arrays in memory, each small.
    ///
    /// # Errors
    /// [`Error::Refused`] if one is too large to print, or the budget is too small.
    pub fn in_memory(&self, resources: &Resources) -> Result<Computation> {
        let mut results = Vec::with_capacity(self.results.len());
        for result in &self.results {
            let array = result.value.array.clone();
            let shape = array.shape();
            let count = element_count(&shape).unwrap_or(u64::MAX);
            if count > MAX_PRINTED {
                let path = result.name.clone().unwrap_or_else(|| "the result".to_owned());
                let what = format!(
                    "{count} elements (shape {shape:?}) are too many to print; write them to a file with -o FILE, or reduce or slice them to at most {MAX_PRINTED}"
                );
                return Err(Error::Refused { path, what });
            }
            let label = result.name.as_deref().unwrap_or("the result");
            let values = Arc::new(MemoryArray::zeros(label, array.dtype(), array.grid().clone())?);
            results.push(ComputedResult { name: result.name.clone(), array, values });
        }
        let targets: Vec<(Array, Arc<dyn Sink>)> = results
            .iter()
            .map(|result| (result.array.clone(), Arc::clone(&result.values) as Arc<dyn Sink>))
            .collect();
        let plan = self.session(resources).plan(&targets)?;
        Ok(Computation { plan, results })
    }

    fn session(&self, resources: &Resources) -> Session {
        Session::new(resources.clone()).reproducible(self.options.reproducible)
    }
}
