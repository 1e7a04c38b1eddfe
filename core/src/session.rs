//! [`Session`]: where computations run: their budget, threads, spill folder, who watches and who may stop them.
//!
//! Invariant: a session never changes; what it runs never holds more than its budget, results in memory included.
//! Called by programs and the command line.

use crate::adapt::Nowhere;
use crate::array::Array;
use crate::context::{Cancellation, Observer, Unobserved};
use crate::error::{Error, Result};
use crate::exec::{self, RunReport};
use crate::lower::{Sums, Target, plan_arrays};
use crate::machine;
use crate::memory::MemoryArray;
use crate::plan::{Plan, Resources};
use crate::region::byte_count;
use crate::sink::Sink;
use blockwise_kernels::Element;
use ndarray::{ArrayD, IxDyn};
use std::sync::Arc;

/// Where computations run.
///
/// ```
/// use blockwise_core::{Array, DType, Session};
/// let session = Session::with_budget(64 << 20);
/// let x = Array::zeros(&[100, 200], DType::F32)?;
/// let y = &x + 1.5;
/// let mean = session.compute::<f32>(&y.mean(0)?)?;
/// assert_eq!((mean.shape(), mean[[7]]), (&[200][..], 1.5));
/// # Ok::<(), blockwise_core::Error>(())
/// ```
#[derive(Clone)]
pub struct Session {
    resources: Resources,
    observer: Arc<dyn Observer>,
    cancellation: Cancellation,
    sums: Sums,
}

impl Default for Session {
    /// All cores, and half of the memory that the machine or its control group offers.
    fn default() -> Self {
        Self::with_budget(machine::default_budget_bytes())
    }
}

impl Session {
    /// A session on all cores with a budget in bytes.
    #[must_use]
    pub fn with_budget(budget_bytes: u64) -> Self {
        Self::new(machine::resources(budget_bytes))
    }

    /// A session with these resources.
    #[must_use]
    pub fn new(resources: Resources) -> Self {
        Self {
            resources,
            observer: Arc::new(Unobserved),
            cancellation: Cancellation::new(),
            sums: Sums::Carried,
        }
    }

    /// The session with someone who watches its runs.
    #[must_use]
    pub fn with_observer(self, observer: Arc<dyn Observer>) -> Self {
        Self { observer, ..self }
    }

    /// The session with a flag that stops its runs.
    #[must_use]
    pub fn with_cancellation(self, cancellation: Cancellation) -> Self {
        Self { cancellation, ..self }
    }

    /// The session with sums and means of floats that are exact, rounded once: then they do not depend on the chunks
    /// either. They take longer, and more memory for each element of a result.
    ///
    /// ```
    /// use blockwise_core::{Array, Session};
    /// let x = Array::from_fn(&[3000], |at| 0.1_f64 * at[0] as f64)?;
    /// let session = Session::with_budget(64 << 20).reproducible(true);
    /// let sum = |chunk: u64| session.compute::<f64>(&x.rechunk([chunk])?.sum(..)?);
    /// assert_eq!(sum(7)?, sum(1000)?);
    /// # Ok::<(), blockwise_core::Error>(())
    /// ```
    #[must_use]
    pub fn reproducible(self, on: bool) -> Self {
        Self { sums: if on { Sums::Exact } else { Sums::Carried }, ..self }
    }

    /// What its runs may use.
    #[must_use]
    pub const fn resources(&self) -> &Resources {
        &self.resources
    }

    /// The elements of an array.
    ///
    /// # Errors
    /// [`Error::Usage`] if `T` is not its dtype, [`Error::OverBudget`] if it or a task does not fit the budget, or
    /// the first error of a task.
    pub fn compute<T: Element>(&self, array: &Array) -> Result<ArrayD<T>> {
        if T::DTYPE != array.dtype() {
            let message = format!(
                "the array holds {}, not {}; compute that, or convert it with astype first",
                array.dtype(),
                T::DTYPE
            );
            return Err(Error::Usage { message });
        }
        let results = self.compute_many(std::slice::from_ref(array))?;
        let internal = |message: &str| Error::Internal { message: message.to_owned() };
        let result = results.into_iter().next().ok_or_else(|| internal("no result"))?;
        let elements = result.to_elements::<T>().ok_or_else(|| internal("a result of another dtype"))?;
        let shape = crate::region::small(&array.shape())?;
        ArrayD::from_shape_vec(IxDyn(&shape), elements).map_err(|fault| internal(&fault.to_string()))
    }

    /// Arrays computed in one run, which reads every source as rarely as it can, held in memory.
    ///
    /// # Errors
    /// As [`Session::compute`].
    pub fn compute_many(&self, arrays: &[Array]) -> Result<Vec<Arc<MemoryArray>>> {
        let mut held_bytes = 0_u64;
        let mut results = Vec::with_capacity(arrays.len());
        for array in arrays {
            let bytes = byte_count(&array.shape(), array.dtype().size());
            held_bytes = held_bytes.saturating_add(bytes.unwrap_or(u64::MAX));
            if held_bytes > self.resources.budget_bytes {
                return Err(Error::OverBudget {
                    operation: "holding the results".to_owned(),
                    detail: "they are held whole; write them to a file instead".to_owned(),
                    needed_bytes: held_bytes,
                    budget_bytes: self.resources.budget_bytes,
                });
            }
            results.push(Arc::new(MemoryArray::zeros("the result", array.dtype(), array.grid().clone())?));
        }
        let targets: Vec<Target> = arrays
            .iter()
            .zip(&results)
            .map(|(array, result)| Target { array: array.clone(), sink: Arc::clone(result) as Arc<dyn Sink> })
            .collect();
        let plan = plan_arrays(&targets, held_bytes, self.sums, &self.resources)?;
        self.run(&plan)?;
        Ok(results)
    }

    /// The array computed and held in memory, as an array to go on with.
    ///
    /// # Errors
    /// As [`Session::compute`].
    pub fn persist(&self, array: &Array) -> Result<Array> {
        let results = self.compute_many(std::slice::from_ref(array))?;
        let held = results.into_iter().next();
        let held = held.ok_or_else(|| Error::Internal { message: "no result".to_owned() })?;
        Ok(Array::from_source(held).renamed(array.names().to_vec()))
    }

    /// The plan that writes each array to the sink beside it, in one run.
    ///
    /// # Errors
    /// [`Error::Shape`] or [`Error::Usage`] if a sink does not fit its array, [`Error::OverBudget`] if a task does not
    /// fit the budget.
    pub fn plan(&self, arrays: &[(Array, Arc<dyn Sink>)]) -> Result<Plan> {
        let target =
            |(array, sink): &(Array, Arc<dyn Sink>)| Target { array: array.clone(), sink: Arc::clone(sink) };
        plan_arrays(&arrays.iter().map(target).collect::<Vec<_>>(), 0, self.sums, &self.resources)
    }

    /// The plan that computes `arrays` together, on their own grids: to look at, as text by its summary, or as DOT or SVG.
    ///
    /// # Errors
    /// As [`Session::plan`].
    ///
    /// ```
    /// use blockwise_core::{Array, Session};
    /// let x = Array::from_fn(&[4000, 1000], |at| at[0] as f32)?;
    /// let plan = Session::with_budget(64 << 20).explain(&[&x - x.mean(0)?])?;
    /// assert_eq!(plan.summary().stages.len(), 2);
    /// println!("{}", plan.summary());
    /// # Ok::<(), blockwise_core::Error>(())
    /// ```
    pub fn explain(&self, arrays: &[Array]) -> Result<Plan> {
        let nowhere = |(n, array): (usize, &Array)| {
            let sink = Nowhere::new(format!("result {n}"), array.dtype(), array.grid().clone());
            (array.clone(), Arc::new(sink) as Arc<dyn Sink>)
        };
        self.plan(&arrays.iter().enumerate().map(nowhere).collect::<Vec<_>>())
    }

    /// Writes each array to the sink beside it, in one run.
    ///
    /// # Errors
    /// As [`Session::plan`], and the first error of a task.
    pub fn store(&self, arrays: &[(Array, Arc<dyn Sink>)]) -> Result<RunReport> {
        self.run(&self.plan(arrays)?)
    }

    /// Runs a plan that this session made.
    ///
    /// # Errors
    /// The first error of a task.
    pub fn run(&self, plan: &Plan) -> Result<RunReport> {
        exec::run(plan, &self.resources, &*self.observer, &self.cancellation)
    }
}

impl Array {
    /// The elements, computed by a session of the machine's own size: see [`Session::compute`].
    ///
    /// # Errors
    /// As [`Session::compute`].
    pub fn compute<T: Element>(&self) -> Result<ArrayD<T>> {
        Session::default().compute(self)
    }
}
