//! [`Slurm`]: workers that are elements of Slurm's job arrays.
//!
//! Jobs are known by their name, which holds the run and the order, never by their number alone: a controller that is killed soon
//! after a submission forgets the job and gives its number to the next. Invariants: a job is never requeued by Slurm itself, which may
//! take minutes; a controller that does not answer is waited for. Called by [`crate::launcher`].

use crate::error::{Error, Result};
use crate::folder::Folder;
use crate::gres::Gres;
use crate::job::{BASELINE_BYTES, ENDING, PATIENCE, job_name, prefix, worker_line, write_script};
use crate::launcher::{Launcher, Place, output_of, slurm};
use crate::order::command;
use crate::settings::Settings;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::ffi::OsString;
use std::path::Path;
use std::time::{Duration, Instant};

/// How long a job may be said to run before its worker signs in. A controller that was killed may list jobs as running that no node
/// has; should the worker come all the same, its batches are carried out twice. A program that is read from slow storage by all workers at
/// once takes its time. As long a job may take to end.
const SIGNING_IN: Duration = Duration::from_secs(120);

/// Workers as job arrays.
#[derive(Debug)]
pub(crate) struct Slurm {
    folder: Folder,
    settings: Settings,
    id: String,
    command: Vec<OsString>,
    /// Since when elements are said to run whose workers have not signed in.
    silent: HashMap<Place, Instant>,
    /// Since when elements are said to end.
    ending: HashMap<Place, Instant>,
    /// The workers that have signed in.
    seen: HashSet<Place>,
    avoided: Avoided,
}

/// Nodes where workers failed: a full disk, a broken one. Others do what was lost there.
#[derive(Debug, Default)]
pub(crate) struct Avoided {
    nodes: BTreeSet<String>,
}

impl Avoided {
    /// Takes note of nodes, as Slurm writes them; whether they are new.
    pub(crate) fn add(&mut self, nodes: &str) -> bool {
        let is_new = !nodes.is_empty() && self.nodes.insert(nodes.to_owned());
        if is_new {
            tracing::warn!("workers failed on {nodes}: what is lost goes to other nodes");
        }
        is_new
    }

    /// As [`sbatch`], on other nodes; on all nodes if no others do.
    pub(crate) fn sbatch(
        &mut self,
        name: &str,
        arguments: &[String],
        script: &Path,
    ) -> Result<Option<String>> {
        if self.nodes.is_empty() {
            return sbatch(name, arguments, script);
        }
        let nodes: Vec<&str> = self.nodes.iter().map(String::as_str).collect();
        let exclude = format!("--exclude={}", nodes.join(","));
        let all: Vec<String> = std::iter::once(exclude).chain(arguments.iter().cloned()).collect();
        match sbatch(name, &all, script) {
            Err(Error::Command { message, .. }) if message.contains("node configuration") => {
                self.nodes.clear();
                sbatch(name, arguments, script)
            }
            outcome => outcome,
        }
    }
}

impl Slurm {
    pub(crate) fn new(settings: &Settings, folder: &Folder, id: &str) -> Result<Self> {
        let found = output_of(slurm("sbatch").arg("--version"));
        found.map_err(|message| Error::Command { command: "sbatch --version".to_owned(), message })?;
        let command = command()?;
        let (folder, settings, id) = (folder.clone(), settings.clone(), id.to_owned());
        Ok(Self {
            folder,
            settings,
            id,
            command,
            silent: HashMap::new(),
            ending: HashMap::new(),
            seen: HashSet::new(),
            avoided: Avoided::default(),
        })
    }
}

/// What a worker may take, as `sbatch` and `srun` take it.
pub(crate) fn requests(settings: &Settings) -> Vec<String> {
    let memory_bytes = settings.budget_bytes.saturating_add(BASELINE_BYTES);
    let mut all = vec![
        format!("--cpus-per-task={}", settings.threads),
        // By core, since a task of an allocation is not a node.
        format!("--mem-per-cpu={}K", memory_bytes.div_ceil(1024).div_ceil(settings.threads.max(1) as u64)),
    ];
    let named =
        [("time", &settings.time), ("partition", &settings.partition), ("account", &settings.account)];
    all.extend(named.into_iter().filter_map(|(name, value)| Some(format!("--{name}={}", value.as_ref()?))));
    all.extend(settings.gres.iter().flat_map(Gres::for_slurm));
    all
}

/// Submits a script as a job of this name; tries again while the controller does not answer. `None`: its user has as many jobs as are
/// allowed now.
pub(crate) fn sbatch(name: &str, arguments: &[String], script: &Path) -> Result<Option<String>> {
    let began = Instant::now();
    let is_live = |job: &Job| ["PENDING", "RUNNING", "CONFIGURING"].contains(&&*job.state);
    loop {
        let mut submission = slurm("sbatch");
        submission.args(["--parsable", &format!("--job-name={name}")]).args(arguments).arg(script);
        let message = match output_of(&mut submission) {
            Ok(job) => return Ok(Some(job)),
            Err(message) => message,
        };
        if is_full(&message) {
            tracing::warn!("sbatch: {message}; waiting for other jobs to end");
            return Ok(None);
        }
        if !is_away(&message) || began.elapsed() > PATIENCE {
            return Err(Error::Command { command: "sbatch".to_owned(), message });
        }
        tracing::warn!("sbatch: {message}; trying again");
        // What was not answered may have been heard: it is not submitted again before the queue was seen without it.
        loop {
            std::thread::sleep(Duration::from_secs(1));
            match queue(name) {
                Some(jobs) => match jobs.into_iter().find(|job| job.name == name && is_live(job)) {
                    Some(job) => return Ok(Some(job.number)),
                    None => break,
                },
                None if began.elapsed() > PATIENCE => {
                    return Err(Error::Command { command: "sbatch".to_owned(), message });
                }
                None => {}
            }
        }
    }
}

/// Whether a message says that a limit on a user's jobs is reached, which the end of others changes.
fn is_full(message: &str) -> bool {
    ["MaxSubmitJob", "MaxSubmitPU", "MaxSubmitPA", "job limit reached", "temporarily unable to accept job"]
        .iter()
        .any(|sign| message.to_ascii_lowercase().contains(&sign.to_ascii_lowercase()))
}

/// Whether a message says that the controller does not answer now.
fn is_away(message: &str) -> bool {
    ["Unable to contact slurm controller", "Connection refused", "timed out", "temporarily", "try again"]
        .iter()
        .any(|sign| message.to_ascii_lowercase().contains(&sign.to_ascii_lowercase()))
}

/// A job in the queue, or an element of an array.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) number: String,
    pub(crate) name: String,
    pub(crate) element: Option<usize>,
    pub(crate) state: String,
    /// Where it runs or ran, as Slurm writes it.
    nodes: String,
}

/// The jobs in the queue whose names begin with `prefix`; `None` if the controller does not answer.
pub(crate) fn queue(prefix: &str) -> Option<Vec<Job>> {
    listed(prefix, &[])
}

/// As [`queue`], with more arguments of `squeue`.
fn listed(prefix: &str, more: &[&str]) -> Option<Vec<Job>> {
    let squeue = || {
        let mut command = slurm("squeue");
        command.args(["--noheader", "--array", "--format=%A|%j|%K|%T|%N"]).args(more);
        command
    };
    let text = output_of(squeue().arg("--me")).or_else(|message| {
        // Older than 21.08: no --me.
        if message.contains("unrecognized option") { output_of(&mut squeue()) } else { Err(message) }
    });
    let text = text.map_err(|message| tracing::debug!("squeue: {message}")).ok()?;
    let parsed = text.lines().filter_map(|line| {
        let mut fields = line.split('|');
        let (number, name) = (fields.next()?.to_owned(), fields.next()?.to_owned());
        let (element, state) = (fields.next()?.parse().ok(), fields.next()?.to_owned());
        let nodes = fields.next()?.to_owned();
        name.starts_with(prefix).then_some(Job { number, name, element, state, nodes })
    });
    Some(parsed.collect())
}

/// The order and the share of a job.
fn place(job: &Job, prefix: &str) -> Option<Place> {
    Some((job.name.strip_prefix(prefix)?.parse().ok()?, job.element.unwrap_or(0)))
}

/// Cancels all jobs of a run and waits a moment until they are gone; whether they are.
pub(crate) fn cancel_all(id: &str) -> bool {
    let began = Instant::now();
    let mut cancelled = HashSet::new();
    while began.elapsed() < ENDING {
        if let Some(jobs) = queue(&prefix(id)) {
            if jobs.is_empty() {
                return true;
            }
            for Job { name, .. } in jobs {
                if cancelled.insert(name.clone())
                    && let Err(message) = output_of(slurm("scancel").arg(format!("--name={name}")))
                {
                    tracing::warn!("scancel --name={name}: {message}");
                    cancelled.remove(&name);
                }
            }
        }
        std::thread::sleep(Duration::from_millis(200));
    }
    tracing::warn!(
        "some jobs of run {id} are still in the queue: scancel them by their names, {}*",
        prefix(id)
    );
    false
}

impl Launcher for Slurm {
    fn submit(&mut self, order: u64, shares: usize) -> Result<bool> {
        let script = self.folder.root.join("orders").join(format!("{order}.sh"));
        write_script(
            &script,
            &[worker_line(&self.folder.root, order, Some("SLURM_ARRAY_TASK_ID"), &self.command)],
        )?;
        let mut arguments = requests(&self.settings);
        arguments.extend([
            "--ntasks=1".to_owned(),
            "--no-requeue".to_owned(),
            format!("--output={}/{order}-%a.log", self.folder.logs().display()),
            format!("--array=0-{}%{}", shares.saturating_sub(1), self.settings.workers),
        ]);
        arguments.extend(self.settings.flags.iter().cloned());
        let job = self.avoided.sbatch(&job_name(&self.id, order), &arguments, &script)?;
        Ok(job.inspect(|job| tracing::info!("order {order}: job {job}")).is_some())
    }

    fn alive(&mut self) -> Result<Option<HashSet<Place>>> {
        let prefix = prefix(&self.id);
        let Some(jobs) = queue(&prefix) else { return Ok(None) };
        let mut alive = HashSet::new();
        let is_new = |job: &Job| {
            job.state == "RUNNING" && place(job, &prefix).is_some_and(|at| !self.seen.contains(&at))
        };
        if jobs.iter().any(is_new) {
            self.seen.extend(self.folder.signed_in());
        }
        for job in &jobs {
            let Some(place) = place(job, &prefix) else { continue };
            let waits = match &*job.state {
                "RUNNING" if !self.seen.contains(&place) => Some(&mut self.silent),
                // On a node that does not answer, for ever.
                "COMPLETING" => Some(&mut self.ending),
                _ => None,
            };
            let since = waits.map(|waits| *waits.entry(place).or_insert_with(Instant::now));
            if since.is_some_and(|since| since.elapsed() > SIGNING_IN) {
                continue;
            }
            alive.insert(place);
        }
        Ok(Some(alive))
    }

    fn suspect(&mut self, lost: &HashSet<Place>) {
        let prefix = prefix(&self.id);
        // Jobs that have ended are listed for some minutes.
        for job in listed(&prefix, &["--states=FAILED"]).unwrap_or_default() {
            if place(&job, &prefix).is_some_and(|place| lost.contains(&place)) {
                self.avoided.add(&job.nodes);
            }
        }
    }

    fn stop(&mut self) {
        cancel_all(&self.id);
    }

    fn detail(&self) -> String {
        "see `scontrol show job` and the logs of the nodes".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    #[test]
    fn requests_are_of_a_worker() {
        let mut settings = Settings::new(crate::Kind::Slurm, PathBuf::from("/w"), 2);
        (settings.threads, settings.budget_bytes) = (4, 640 << 20);
        settings.partition = Some("gpu".to_owned());
        settings.gres = Some("gpu:2".parse().unwrap());
        assert_eq!(
            requests(&settings),
            ["--cpus-per-task=4", "--mem-per-cpu=262144K", "--partition=gpu", "--gpus-per-task=2"]
        );
        assert!(is_away(
            "sbatch: error: Batch job submission failed: Unable to contact slurm controller (connect failure)"
        ));
        assert!(!is_away("sbatch: error: invalid partition specified: x"));
        assert!(is_full(
            "sbatch: error: AssocMaxSubmitJobLimit sbatch: error: Batch job submission failed: Job violates accounting/QOS policy (job submit limit, user's size and/or time limits)"
        ));
        assert!(!is_full("sbatch: error: Batch job submission failed: Requested time limit is invalid"));
    }
}
