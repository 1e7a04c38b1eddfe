//! [`Worker`]: the engine of a process that carries out a share of one plan.
//!
//! It repeats the program. Plans before its own are not run: results that the program holds in memory are read from the run's
//! folder, and small plans are computed again, as the driver does. At its own plan it carries out its batches and ends the process.
//! Invariants: it makes no folder of the run; what it cannot do is noted by batch; its plan is the driver's, or it does nothing.
//! Called by [`crate::init`].

use crate::driver::is_small;
use crate::error::{APART, Error, FAULTS, Result};
use crate::folder::{self, DoneMark, FailedMark, Folder, host};
use crate::order::{COMBINED, Order, Work, is_of_this_process, of_this_process};
use crate::steps::Noted;
use blockwise_core::engine::{Engine, Role};
use blockwise_core::exec::batches::SharedRun;
use blockwise_core::exec::{RunReport, run_here};
use blockwise_core::plan::{Plan, Resources};
use blockwise_core::{Cancellation, Fault, Observer, Unobserved};
use std::fs::File;
use std::io::{self, Write};
use std::ops::RangeInclusive;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

/// A process that works for a driver.
#[derive(Debug)]
pub(crate) struct Worker {
    folder: Folder,
    order: Order,
    share: usize,
    /// Of the next plan, and of the next thing to agree on.
    plans: AtomicU64,
    agreed: AtomicU64,
}

/// Whether this process was started as a worker.
pub(crate) fn is_one() -> bool {
    is_of_this_process()
}

impl Worker {
    /// Finds its order and says that it is here.
    pub(crate) fn begin() -> Result<Self> {
        let (root, number, share) = of_this_process()?;
        let folder = Folder { root };
        let order: Order = folder::read_known(&folder.order(number))?;
        if share >= order.shares() {
            return Err(Error::Setting {
                name: crate::order::SHARE,
                value: share.to_string(),
                why: format!("is none of the {} shares of order {number}", order.shares()),
            });
        }
        folder.sign_in(number, share)?;
        Ok(Self { folder, order, share, plans: AtomicU64::new(0), agreed: AtomicU64::new(0) })
    }

    /// Carries out the batches of its share; whether all of them are done.
    fn work(&self, plan: &Plan, resources: &Resources, cancellation: &Cancellation) -> bool {
        let stage_folder = self.folder.stage(self.order.plan, self.order.stage);
        let found = plan.digest();
        let expected = &self.order.digest;
        let mut is_done = true;
        let shared = SharedRun::new(plan, resources, &self.folder.plan(self.order.plan));
        for id in self.order.batches(self.share) {
            let mark = stage_folder.join("done").join(id.to_string());
            if folder::read::<DoneMark>(&mark).is_some_and(|mark| mark.digest == *expected) {
                continue; // by another worker, that was thought lost
            }
            if found != *expected {
                let what = format!("plan {} of the program", self.order.plan);
                let error = Error::Differs { what, expected: expected.clone(), found };
                self.note_failure(id, error.to_string(), APART);
                return false; // nor are its other batches its own
            }
            let outcome = self.carry_out(&shared, id, cancellation);
            let noted = match outcome {
                Ok(report) => sync(&self.folder.root).and_then(|()| {
                    folder::write(
                        &mark,
                        &DoneMark {
                            digest: found.clone(),
                            bytes_read: report.bytes_read,
                            bytes_written: report.bytes_written,
                            stored_bytes: report.stored_bytes,
                            peak_reserved_bytes: report.peak_reserved_bytes,
                            secs: report.secs,
                            host: host(),
                        },
                    )
                }),
                Err(error) => {
                    is_done = false;
                    let fault = error.fault();
                    if fault == Fault::Cancelled {
                        printed(&format!("batch {id}: {error}"));
                        break;
                    }
                    let name =
                        FAULTS.iter().find(|(own, _)| *own == fault).map_or("failed", |(_, name)| name);
                    if !self.note_failure(id, error.to_string(), name) {
                        break;
                    }
                    Ok(())
                }
            };
            if let Err(error) = noted {
                printed(&format!("batch {id}: {error}"));
                is_done = false;
                break; // the run is gone, or its storage
            }
        }
        is_done
    }

    /// Notes why a batch could not be done; whether there is still somewhere to note it.
    fn note_failure(&self, id: u64, message: String, fault: &str) -> bool {
        printed(&format!("batch {id}: {message}"));
        let folder = self.folder.stage(self.order.plan, self.order.stage).join("failed");
        let (digest, fault) = (self.order.digest.clone(), fault.to_owned());
        let mark = FailedMark { digest, message, fault, host: host() };
        let noted = folder::write(&folder.join(format!("{id}-{}", folder::unique())), &mark);
        noted.inspect_err(|error| printed(&format!("batch {id}: {error}"))).is_ok()
    }

    fn carry_out(
        &self,
        shared: &SharedRun<'_>,
        id: u64,
        cancellation: &Cancellation,
    ) -> blockwise_core::Result<RunReport> {
        match &self.order.work {
            Work::Combine(count) if id == COMBINED => shared.combine(self.order.stage, *count, cancellation),
            Work::Combine(_) => Ok(RunReport::default()),
            Work::Tasks(shares) => {
                let own = shares.get(self.share).into_iter().flatten().find(|own| own.id == id);
                let Some(own) = own else { return Ok(RunReport::default()) };
                if !self.order.notes_steps {
                    return shared.run_batch(self.order.stage, id, &own.batch, &Unobserved, cancellation);
                }
                let noted = Noted::begin(self.share);
                let report = shared.run_batch(self.order.stage, id, &own.batch, &noted, cancellation)?;
                let path = self.folder.steps(self.order.plan, self.order.stage, id);
                if let Err(error) = folder::write(&path, &noted.into_steps()) {
                    tracing::debug!("{error}"); // they are for the eye alone
                }
                Ok(report)
            }
        }
    }
}

/// Adds a line to the worker's log, if there is room for it.
fn printed(line: &str) {
    let _ = writeln!(io::stderr(), "{line}"); // it may lie on the disk that is full
}

/// Brings what was written on the storage of `folder` there, so that a mark never outlives the chunks that it stands for.
fn sync(folder: &Path) -> Result<()> {
    let failed = |source| Error::os(folder, "syncing", source);
    let file = File::open(folder).map_err(failed)?;
    rustix::fs::syncfs(&file).map_err(|error| failed(error.into()))
}

impl Engine for Worker {
    fn name(&self) -> &'static str {
        "worker"
    }

    fn role(&self) -> Role {
        Role::Worker
    }

    /// Only the driver decides that.
    fn batches(&self, _plan_bytes: u64, _stage_bytes: u64) -> Option<RangeInclusive<u64>> {
        None
    }

    fn run(
        &self,
        plan: &Plan,
        resources: &Resources,
        observer: &dyn Observer,
        cancellation: &Cancellation,
    ) -> blockwise_core::Result<RunReport> {
        if is_small(plan, self.order.batch_bytes) {
            // What the driver stores by itself need not be stored again.
            let is_needed = plan.is_held();
            return if is_needed {
                run_here(plan, resources, observer, cancellation)
            } else {
                Ok(RunReport::default())
            };
        }
        let number = self.plans.fetch_add(1, Ordering::SeqCst);
        if number < self.order.plan {
            let shared = SharedRun::new(plan, resources, &self.folder.plan(number));
            shared.collect(cancellation)?;
            return Ok(RunReport::default());
        }
        let is_done = self.work(plan, resources, cancellation);
        // What comes after is for the driver. Nothing is open that would have to be closed.
        std::process::exit(i32::from(!is_done));
    }

    fn agree(&self, what: &str, own: &str) -> blockwise_core::Result<String> {
        let number = self.agreed.fetch_add(1, Ordering::SeqCst);
        let (asked, value): (String, String) = folder::read_known(&self.folder.agreed(number))?;
        if asked != what {
            let error = Error::Differs {
                what: format!("question {number}"),
                expected: asked,
                found: what.to_owned(),
            };
            return Err(error.into());
        }
        let _ = own;
        Ok(value)
    }

    fn folder(&self) -> &Path {
        &self.folder.root
    }

    fn threads(&self) -> usize {
        self.order.threads
    }

    fn budget_bytes(&self) -> u64 {
        self.order.budget_bytes
    }
}
