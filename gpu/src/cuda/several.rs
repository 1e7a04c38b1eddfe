//! [`Several`]: several devices of one machine as one.
//!
//! Each task goes to the device that the fewest tasks are on. Invariant: devices of one machine that are of different kinds give the same bits,
//! as their kernels are the same. Called by the executor of core, as its [`Device`].

use super::Cuda;
use crate::Result;
use blockwise_core::TaskContext;
use blockwise_core::device::{Demand, Device, FilterDemand, Outcome};
use blockwise_kernels::Pages;
use blockwise_kernels::program::Input;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Several devices.
#[derive(Debug)]
pub struct Several {
    label: String,
    /// Each with the tasks that are on it.
    devices: Vec<(Cuda, AtomicUsize)>,
}

impl Several {
    /// The devices of these numbers, open.
    ///
    /// # Errors
    /// As [`Cuda::open`].
    pub fn open(ordinals: &[u32], options: super::Options) -> Result<Self> {
        let devices =
            ordinals.iter().map(|ordinal| Ok((Cuda::open(*ordinal, options)?, AtomicUsize::new(0))));
        let numbers: Vec<String> = ordinals.iter().map(u32::to_string).collect();
        Ok(Self { label: format!("cuda:{}", numbers.join(",")), devices: devices.collect::<Result<_>>()? })
    }
}

impl Several {
    /// Has the device that the fewest tasks are on do something.
    fn on_idlest(
        &self,
        compute: impl FnOnce(&Cuda) -> blockwise_core::Result<Outcome>,
    ) -> blockwise_core::Result<Outcome> {
        let idlest = self.devices.iter().min_by_key(|(_, tasks)| tasks.load(Ordering::SeqCst));
        let Some((device, tasks)) = idlest else { return Ok(Outcome::Left) };
        tasks.fetch_add(1, Ordering::SeqCst);
        let outcome = compute(device);
        tasks.fetch_sub(1, Ordering::SeqCst);
        outcome
    }
}

impl Device for Several {
    fn label(&self) -> &str {
        &self.label
    }

    fn check(&self, demand: &Demand<'_>) -> std::result::Result<(), String> {
        self.devices.iter().try_for_each(|(device, _)| device.check(demand))
    }

    fn is_insisted_on(&self) -> bool {
        self.devices.iter().any(|(device, _)| device.is_insisted_on())
    }

    fn prepare(&self, demand: &Demand<'_>) {
        self.devices.iter().for_each(|(device, _)| device.prepare(demand));
    }

    fn compute(
        &self,
        demand: &Demand<'_>,
        inputs: &[Input<'_>],
        results: &mut [&mut [u8]],
        cx: &TaskContext<'_>,
    ) -> blockwise_core::Result<Outcome> {
        self.on_idlest(|device| device.compute(demand, inputs, results, cx))
    }

    fn check_filter(&self, demand: &FilterDemand<'_>) -> std::result::Result<(), String> {
        self.devices.iter().try_for_each(|(device, _)| device.check_filter(demand))
    }

    fn prepare_filter(&self, demand: &FilterDemand<'_>) {
        self.devices.iter().for_each(|(device, _)| device.prepare_filter(demand));
    }

    fn compute_filter(
        &self,
        demand: &FilterDemand<'_>,
        held: &[u8],
        result: &mut [u8],
        cx: &TaskContext<'_>,
    ) -> blockwise_core::Result<Outcome> {
        self.on_idlest(|device| device.compute_filter(demand, held, result, cx))
    }

    fn pages(&self) -> Option<Arc<dyn Pages>> {
        self.devices.first().and_then(|(device, _)| device.pages())
    }
}
