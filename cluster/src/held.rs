//! [`Held`]: workers that are tasks of `srun` in one allocation of Slurm, which is held for the whole run.
//!
//! A stage costs a fifth of a second instead of a turn of the queue. The allocation ends by itself when its driver has not touched
//! a file for ten minutes, and when the run's folder is gone. Invariant: an allocation that is lost is asked for anew with the
//! next order, and what ran in it counts as lost: an `srun` whose allocation has lost a node may wait for ever. Called by [`crate::launcher`].

use crate::error::{Error, Result};
use crate::folder::Folder;
use crate::gres::Gres;
use crate::job::{prefix, quoted, worker_line, write_script};
use crate::launcher::{Launcher, Place, output_of, slurm};
use crate::order::command;
use crate::settings::Settings;
use crate::slurm::{Avoided, Job, cancel_all, queue, requests};
use std::collections::HashSet;
use std::ffi::OsString;
use std::fs::{self, File};
use std::os::unix::ffi::OsStringExt;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

/// Between two signs of life of the driver.
const BEAT: Duration = Duration::from_secs(20);

/// Workers in an allocation.
#[derive(Debug)]
pub(crate) struct Held {
    folder: Folder,
    settings: Settings,
    id: String,
    command: Vec<OsString>,
    running: Vec<Step>,
    /// Orders that wait for the allocation.
    waiting: Vec<(u64, usize)>,
    beaten: Option<Instant>,
    avoided: Avoided,
    /// Whether the allocation has a node that is to be avoided: then another one is asked for, once nobody works in it.
    is_bad: bool,
}

/// Workers of an order that run in an allocation.
#[derive(Debug)]
struct Step {
    order: u64,
    shares: usize,
    job: String,
    child: Child,
}

impl Step {
    fn end(&mut self) {
        let _ = self.child.kill(); // it may have ended
        let _ = self.child.wait();
    }
}

impl Held {
    pub(crate) fn new(settings: &Settings, folder: &Folder, id: &str) -> Result<Self> {
        let found = output_of(slurm("srun").arg("--version"));
        found.map_err(|message| Error::Command { command: "srun --version".to_owned(), message })?;
        let command = command()?;
        Ok(Self {
            folder: folder.clone(),
            settings: settings.clone(),
            id: id.to_owned(),
            command,
            running: Vec::new(),
            waiting: Vec::new(),
            beaten: None,
            avoided: Avoided::default(),
            is_bad: false,
        })
    }

    fn name(&self) -> String {
        format!("{}hold", prefix(&self.id))
    }

    /// Asks for the allocation.
    fn allocate(&mut self) -> Result<()> {
        let script = self.folder.root.join("orders").join("hold.sh");
        let mut assignment = b"alive=".to_vec();
        assignment.extend(quoted(self.folder.root.join("alive").as_os_str()));
        let look = "while [ -e \"$alive\" ] && [ $(( $(date +%s) - $(stat -c %Y \"$alive\") )) -lt 600 ]; do sleep 5; done";
        write_script(&script, &[assignment, look.as_bytes().to_vec()])?;
        let mut arguments = requests(&self.settings);
        arguments.extend([
            format!("--ntasks={}", self.settings.workers),
            "--no-requeue".to_owned(),
            format!("--output={}/hold.log", self.folder.logs().display()),
        ]);
        arguments.extend(self.settings.flags.iter().cloned());
        // One that is not to be had now is asked for again with the next look.
        let job = self.avoided.sbatch(&self.name(), &arguments, &script)?;
        job.iter().for_each(|job| tracing::info!("allocation: job {job}"));
        Ok(())
    }

    /// Starts what waits for the allocation, if it is there.
    fn start_waiting(&mut self, jobs: &[Job]) -> Result<()> {
        let is_live = |job: &&Job| ["RUNNING", "PENDING", "CONFIGURING"].contains(&&*job.state);
        match jobs.iter().find(is_live) {
            None => self.allocate()?,
            Some(job) if job.state == "RUNNING" => {
                for (order, shares) in std::mem::take(&mut self.waiting) {
                    self.start(&job.number, order, shares)?;
                }
            }
            Some(_) => {}
        }
        Ok(())
    }

    fn start(&mut self, job: &str, order: u64, shares: usize) -> Result<()> {
        let failed = |source| Error::os(&self.folder.root, "starting srun", source);
        let log = self.folder.logs().join(format!("{order}.srun"));
        let log = File::create(&log).map_err(|source| Error::os(&log, "creating", source))?;
        // As words of the command: whether tasks have the environment of srun is a matter of its settings.
        let worker = worker_line(&self.folder.root, order, Some("SLURM_PROCID"), &self.command);
        let child = slurm("srun")
            .args([format!("--jobid={job}"), format!("--ntasks={shares}")])
            .arg(format!("--cpus-per-task={}", self.settings.threads))
            .args(self.settings.gres.iter().flat_map(Gres::for_slurm))
            .args(["--kill-on-bad-exit=0", "--wait=0", "--input=none"])
            .arg(format!("--output={}/{order}-%t.log", self.folder.logs().display()))
            .args(["/bin/sh", "-c"])
            .arg(OsString::from_vec(worker))
            .stdin(Stdio::null())
            .stdout(log.try_clone().map_err(failed)?)
            .stderr(log)
            .spawn()
            .map_err(failed)?;
        self.running.push(Step { order, shares, job: job.to_owned(), child });
        Ok(())
    }
}

/// The nodes of which `srun` says that tasks ended with an error there: `srun: error: n1: task 0: Exited with exit code 1`.
fn failed_on(line: &str) -> Option<&str> {
    let (nodes, what) = line.strip_prefix("srun: error: ")?.split_once(": ")?;
    (what.starts_with("task") && what.contains("Exited with exit code")).then_some(nodes)
}

impl Launcher for Held {
    fn submit(&mut self, order: u64, shares: usize) -> Result<bool> {
        self.waiting.push((order, shares));
        self.alive().map(|_| true)
    }

    fn alive(&mut self) -> Result<Option<HashSet<Place>>> {
        if self.beaten.is_none_or(|beaten| beaten.elapsed() > BEAT) {
            let path = self.folder.root.join("alive");
            fs::write(&path, "").map_err(|source| Error::os(&path, "writing", source))?;
            self.beaten = Some(Instant::now());
        }
        self.running.retain_mut(|step| matches!(step.child.try_wait(), Ok(None)));
        if !(self.waiting.is_empty() && self.running.is_empty()) {
            let Some(jobs) = queue(&self.name()) else { return Ok(None) };
            let is_held = |step: &Step| {
                let same = jobs.iter().find(|job| job.number == step.job);
                same.is_some_and(|job| ["RUNNING", "SUSPENDED"].contains(&&*job.state))
            };
            let lost = |step: &mut Step| !is_held(step);
            self.running.extract_if(.., lost).for_each(|mut step| {
                tracing::warn!("allocation {} is lost", step.job);
                step.end();
            });
            if self.is_bad && self.running.is_empty() {
                if !cancel_all(&self.id) {
                    return Ok(None);
                }
                self.is_bad = false;
                self.allocate()?;
            } else if !(self.is_bad || self.waiting.is_empty()) {
                self.start_waiting(&jobs)?;
            }
        }
        let running = self.running.iter().map(|step| (step.order, step.shares));
        let all = running.chain(self.waiting.iter().copied());
        Ok(Some(all.flat_map(|(order, shares)| (0..shares).map(move |share| (order, share))).collect()))
    }

    fn suspect(&mut self, lost: &HashSet<Place>) {
        let orders: HashSet<u64> = lost.iter().map(|(order, _)| *order).collect();
        for order in orders {
            let said =
                fs::read_to_string(self.folder.logs().join(format!("{order}.srun"))).unwrap_or_default();
            for nodes in said.lines().filter_map(failed_on) {
                self.is_bad |= self.avoided.add(nodes);
            }
        }
    }

    fn stop(&mut self) {
        self.waiting.clear();
        cancel_all(&self.id);
        self.running.iter_mut().for_each(Step::end);
        self.running.clear();
    }

    fn detail(&self) -> String {
        "see the logs in the run's folder, and `scontrol show job`".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_are_read_from_what_srun_says() {
        assert_eq!(failed_on("srun: error: n1: task 0: Exited with exit code 1"), Some("n1"));
        assert_eq!(failed_on("srun: error: n[1-2]: tasks 0-2: Exited with exit code 1"), Some("n[1-2]"));
        assert_eq!(failed_on("srun: error: Node failure on n1"), None);
        assert_eq!(failed_on("srun: error: n1: task 0: Killed"), None);
    }
}
