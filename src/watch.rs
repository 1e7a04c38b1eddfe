//! Who wants to know how a job of several arrays goes: progress bars, JSON lines, tests.
//!
//! Called by [`crate::convert`] and [`crate::verify`], whose runs report each array, then core's events of it.

use crate::location::Location;
use blockwise_core::plan::{Plan, Resources};
use blockwise_core::{Observer, Unobserved};

/// An observer of a job that runs one plan after the other.
pub trait Watcher: Observer {
    /// The plan of array `position` of `count` starts; core's events of it follow.
    fn array_started(&self, position: usize, count: usize, label: &str, plan: &Plan);

    /// These arrays were stored and published, by a run with these resources.
    fn stored(&self, arrays: &[Location], resources: &Resources) {
        let _ = (arrays, resources);
    }
}

impl Watcher for Unobserved {
    fn array_started(&self, _position: usize, _count: usize, _label: &str, _plan: &Plan) {}
}
