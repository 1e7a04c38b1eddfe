//! [`Collected`]: a sink that only this process can write, of a plan that several processes carry out.
//!
//! Its place is taken by a temporary array that all of them write, and what that holds is copied when the plan has run.
//! Invariant: the sink gets the same chunks as if it had been written at once. Called by the planners and by
//! [`crate::exec::batches`].

use super::{CopyOptions, Plan, Resources, plan_copy_stages};
use crate::context::{Cancellation, Unobserved};
use crate::error::Result;
use crate::exec::run_here;
use crate::sink::{Sharing, Sink};
use crate::source::Source;
use crate::temporary::{Place, Temporary};
use std::sync::Arc;

/// A sink and what is written instead of it.
pub(crate) struct Collected {
    pub(crate) from: Arc<Temporary>,
    pub(crate) sink: Arc<dyn Sink>,
}

impl Collected {
    /// Copies what was written to the sink, on this process's threads.
    ///
    /// # Errors
    /// If it cannot be read, or the sink cannot be written.
    pub(crate) fn copy(&self, resources: &Resources, cancellation: &Cancellation) -> Result<()> {
        let here = resources.here();
        let source = Arc::clone(&self.from) as Arc<dyn Source>;
        let (stages, smallest_bytes) = plan_copy_stages(source, &self.sink, &here, &CopyOptions::default())?;
        // The sink is finished with the others of its plan.
        let plan = Plan::new(self.sink.label().to_owned(), stages, Vec::new(), &here, smallest_bytes);
        run_here(&plan, &here, &Unobserved, cancellation).map(|_| ())
    }
}

/// What a plan with these resources writes instead of `sink`, added to `collected`; or `sink` itself.
pub(crate) fn replaced(
    sink: &Arc<dyn Sink>,
    resources: &Resources,
    collected: &mut Vec<Collected>,
) -> Arc<dyn Sink> {
    if resources.engine.is_none() || sink.sharing() == Sharing::Shared {
        return Arc::clone(sink);
    }
    let place = Place::Disk(resources.spill_folder.clone());
    let from = Arc::new(Temporary::new(sink.label(), sink.dtype(), sink.grid().clone(), place));
    collected.push(Collected { from: Arc::clone(&from), sink: Arc::clone(sink) });
    from
}
