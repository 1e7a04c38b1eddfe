//! [`Held`]: workers that are tasks of `srun` in one allocation of Slurm, which is held for the whole run.
//!
//! A stage costs a fifth of a second instead of a turn of the queue. The allocation ends by itself when its driver has not touched
//! a file for ten minutes, and when the run's folder is gone. Invariant: an allocation that is lost is asked for anew with the
//! next order. Called by [`crate::launcher`].

use crate::error::{Error, Result};
use crate::folder::Folder;
use crate::launcher::{Launcher, Place};
use crate::order::{ORDER, RUN, command};
use crate::settings::Settings;
use crate::slurm::{Job, cancel_all, prefix, queue, quoted, requests, sbatch, write_script};
use std::collections::HashSet;
use std::ffi::OsString;
use std::fs::{self, File};
use std::process::{Child, Command, Stdio};
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
    running: Vec<(u64, usize, Child)>,
    /// Orders that wait for the allocation.
    waiting: Vec<(u64, usize)>,
    beaten: Option<Instant>,
}

impl Held {
    pub(crate) fn new(settings: &Settings, folder: &Folder, id: &str) -> Result<Self> {
        let found = crate::launcher::output_of(Command::new("srun").arg("--version"));
        found.map_err(|message| Error::Command { command: "srun --version".to_owned(), message })?;
        let command = command().map_err(|source| Error::os(&folder.root, "finding the program", source))?;
        Ok(Self {
            folder: folder.clone(),
            settings: settings.clone(),
            id: id.to_owned(),
            command,
            running: Vec::new(),
            waiting: Vec::new(),
            beaten: None,
        })
    }

    fn name(&self) -> String {
        format!("{}hold", prefix(&self.id))
    }

    /// Asks for the allocation.
    fn allocate(&self) -> Result<()> {
        let script = self.folder.root.join("orders").join("hold.sh");
        let mut assignment = b"alive=".to_vec();
        assignment.extend(quoted(self.folder.root.join("alive").as_os_str()));
        let look = "while [ -e \"$alive\" ] && [ $(( $(date +%s) - $(stat -c %Y \"$alive\") )) -lt 600 ]; do sleep 5; done";
        write_script(&script, &[assignment, look.as_bytes().to_vec()])?;
        let mut arguments = requests(&self.settings);
        arguments.extend([
            format!("--job-name={}", self.name()),
            format!("--ntasks={}", self.settings.workers),
            "--no-requeue".to_owned(),
            format!("--output={}/hold.log", self.folder.logs().display()),
        ]);
        arguments.extend(self.settings.flags.iter().cloned());
        sbatch(&arguments, &script).map(|job| tracing::info!("allocation: job {job}"))
    }

    fn start(&mut self, job: &str, order: u64, shares: usize) -> Result<()> {
        let failed = |source| Error::os(&self.folder.root, "starting srun", source);
        let log = self.folder.logs().join(format!("{order}.srun"));
        let log = File::create(&log).map_err(|source| Error::os(&log, "creating", source))?;
        let child = Command::new("srun")
            .args([format!("--jobid={job}"), format!("--ntasks={shares}")])
            .arg(format!("--cpus-per-task={}", self.settings.threads))
            .args(["--kill-on-bad-exit=0", "--wait=0", "--input=none"])
            .arg(format!("--output={}/{order}-%t.log", self.folder.logs().display()))
            .args(&self.command)
            .env(RUN, &self.folder.root)
            .env(ORDER, order.to_string())
            .stdin(Stdio::null())
            .stdout(log.try_clone().map_err(failed)?)
            .stderr(log)
            .spawn()
            .map_err(failed)?;
        self.running.push((order, shares, child));
        Ok(())
    }
}

impl Launcher for Held {
    fn submit(&mut self, order: u64, shares: usize) -> Result<()> {
        self.waiting.push((order, shares));
        self.alive().map(|_| ())
    }

    fn alive(&mut self) -> Result<Option<HashSet<Place>>> {
        if self.beaten.is_none_or(|beaten| beaten.elapsed() > BEAT) {
            let path = self.folder.root.join("alive");
            fs::write(&path, "").map_err(|source| Error::os(&path, "writing", source))?;
            self.beaten = Some(Instant::now());
        }
        self.running.retain_mut(|(_, _, child)| matches!(child.try_wait(), Ok(None)));
        if !self.waiting.is_empty() {
            let Some(jobs) = queue(&self.name()) else { return Ok(None) };
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
        }
        let running = self.running.iter().map(|(order, shares, _)| (*order, *shares));
        let all = running.chain(self.waiting.iter().copied());
        Ok(Some(all.flat_map(|(order, shares)| (0..shares).map(move |share| (order, share))).collect()))
    }

    fn stop(&mut self) {
        self.waiting.clear();
        cancel_all(&self.id);
        for (_, _, child) in &mut self.running {
            let _ = child.kill(); // it may have ended
            let _ = child.wait();
        }
        self.running.clear();
    }

    fn detail(&self) -> String {
        "see the logs in the run's folder, and `scontrol show job`".to_owned()
    }
}
