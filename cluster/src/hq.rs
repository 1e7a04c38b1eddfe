//! [`HyperQueue`]: workers that are tasks of HyperQueue's task arrays.
//!
//! Everything goes through the command `hq`, which finds the server as its user has set it up (`HQ_SERVER_DIR`). A worker of HyperQueue that
//! is lost takes its task with it, which the server starts again by itself: to the driver it has never been away. A
//! server that was started anew without its journal knows no job: then all that has no mark is submitted again. Invariants: jobs are
//! known by their name, never by their number alone; a server that does not answer is waited for, but not for ever, since nobody but the
//! user starts it again. Called by [`crate::launcher`].

use crate::error::{Error, Result, text_of};
use crate::folder::Folder;
use crate::job::{BASELINE_BYTES, ENDING, PATIENCE, job_name, prefix, quoted, worker_line, write_script};
use crate::launcher::{Launcher, Place};
use crate::order::{SHARE, command};
use crate::settings::Settings;
use serde::Deserialize;
use std::collections::{BTreeMap, HashSet};
use std::ffi::{OsStr, OsString};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Workers as task arrays.
#[derive(Debug)]
pub(crate) struct HyperQueue {
    folder: Folder,
    settings: Settings,
    id: String,
    command: Vec<OsString>,
    /// Whether workers of HyperQueue count their memory.
    counts_memory: bool,
    /// Since when the server does not answer.
    away: Option<Instant>,
}

impl HyperQueue {
    pub(crate) fn new(settings: &Settings, folder: &Folder, id: &str) -> Result<Self> {
        hq(&["server", "info"]).map_err(|message| failed("server info", message))?;
        let workers = hq(&["worker", "list"]).map_err(|message| failed("worker list", message))?;
        let counts_memory = counts_memory(&workers)?;
        if !counts_memory {
            tracing::warn!(
                "no worker of HyperQueue counts its memory (resource 'mem'): tasks ask for cores alone"
            );
        }
        let command = command()?;
        Ok(Self {
            folder: folder.clone(),
            settings: settings.clone(),
            id: id.to_owned(),
            command,
            counts_memory,
            away: None,
        })
    }

    /// What a question gives, or `None` while the server does not answer.
    fn asked(&mut self, question: &[&str]) -> Result<Option<String>> {
        match hq(question) {
            Ok(answer) => {
                self.away = None;
                Ok(Some(answer))
            }
            Err(message) => {
                let since = *self.away.get_or_insert_with(Instant::now);
                if since.elapsed() > PATIENCE {
                    return Err(failed(&question.join(" "), message));
                }
                tracing::warn!("hq {}: {message}; waiting", question.join(" "));
                Ok(None)
            }
        }
    }
}

/// A job of the server, as `hq job list` prints it.
#[derive(Debug, Deserialize)]
struct Job {
    id: u64,
    name: String,
}

/// A task of a job, as `hq task list` prints it.
#[derive(Debug, Deserialize)]
struct Task {
    id: usize,
    state: String,
}

/// Jobs of a run that are not over, and the order of each, from what `hq job list` printed.
fn jobs(text: &str, id: &str) -> Result<BTreeMap<u64, u64>> {
    let all: Vec<Job> = parsed("job list", text)?;
    let prefix = prefix(id);
    let order = |job: &Job| Some((job.id, job.name.strip_prefix(&prefix)?.parse().ok()?));
    Ok(all.iter().filter_map(order).collect())
}

/// The places of the tasks that wait or run, from what `hq task list` printed of `jobs`.
fn places(text: &str, jobs: &BTreeMap<u64, u64>) -> Result<HashSet<Place>> {
    let all: BTreeMap<String, Vec<Task>> = parsed("task list", text)?;
    let mut places = HashSet::new();
    for (job, tasks) in all {
        let Some(order) = job.parse().ok().and_then(|job: u64| jobs.get(&job)) else { continue };
        let live = tasks.iter().filter(|task| ["waiting", "running"].contains(&&*task.state));
        places.extend(live.map(|task| (*order, task.id)));
    }
    Ok(places)
}

/// Whether some worker has the resource `mem`, from what `hq worker list` printed. Where there is no worker yet, those that come detect it: so
/// they do by default, and a task that asks for what nobody has would wait for ever.
fn counts_memory(text: &str) -> Result<bool> {
    let workers: Vec<serde_json::Value> = parsed("worker list", text)?;
    let resources = workers.iter().filter_map(|worker| worker.pointer("/configuration/resources"));
    Ok(workers.is_empty() || resources.into_iter().any(|own| own.to_string().contains("\"mem\"")))
}

fn parsed<'a, T: Deserialize<'a>>(question: &str, text: &'a str) -> Result<T> {
    serde_json::from_str(text).map_err(|error| {
        failed(
            question,
            format!("it printed what this program does not know, perhaps of another version: {error}"),
        )
    })
}

fn failed(question: &str, message: String) -> Error {
    Error::Command { command: format!("hq {question}"), message }
}

/// Runs `hq`; what it printed, or why it failed.
fn hq<S: AsRef<OsStr>>(words: &[S]) -> std::result::Result<String, String> {
    let mut command = Command::new("hq");
    command.arg("--output-mode=json").args(words).stdin(Stdio::null());
    let output = command.output().map_err(|error| error.to_string())?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    match output.status.success() {
        true => Ok(text(&output.stdout)),
        false => Err(reason(&text(&output.stdout), &text(&output.stderr))),
    }
}

/// Why `hq` failed: an object with one text, and perhaps where in its program that was; or what it printed as an error.
fn reason(printed: &str, errors: &str) -> String {
    #[derive(Deserialize)]
    struct Failure {
        error: String,
    }
    let said = serde_json::from_str::<Failure>(printed).map(|failure| failure.error);
    let said = said.unwrap_or_else(|_| if errors.is_empty() { printed } else { errors }.to_owned());
    said.split("Stack backtrace").next().unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Arguments of `hq` that submit `script` as workers for the shares of an order.
fn submission(
    settings: &Settings,
    id: &str,
    (order, shares): (u64, usize),
    counts_memory: bool,
    script: String,
) -> Vec<String> {
    let memory_bytes = settings.budget_bytes.saturating_add(BASELINE_BYTES);
    let mut words = vec![
        "submit".to_owned(),
        format!("--name={}", job_name(id, order)),
        format!("--array=0-{}", shares.saturating_sub(1)),
        format!("--cpus={}", settings.threads),
        // The script says where output goes, both kinds to one file.
        "--stdout=none".to_owned(),
        "--stderr=none".to_owned(),
    ];
    // Workers of HyperQueue count their memory in MiB.
    let memory = format!("--resource=mem={}", memory_bytes.div_ceil(1 << 20));
    words.extend(counts_memory.then_some(memory));
    words.extend(settings.gres.iter().flat_map(|gres| gres.for_hq()));
    words.extend(settings.time.iter().map(|time| format!("--time-limit={}", time_limit(time))));
    words.extend(settings.flags.iter().cloned());
    words.extend(["--".to_owned(), "/bin/sh".to_owned(), script]);
    words
}

/// A time limit as HyperQueue takes it: in seconds, if it is one of Slurm's forms (`MM`, `MM:SS`, `HH:MM:SS`, `D-HH`, `D-HH:MM`,
/// `D-HH:MM:SS`), else as it is.
fn time_limit(text: &str) -> String {
    let (days, clock) = match text.split_once('-') {
        Some((days, clock)) => (Some(days), clock),
        None => (None, text),
    };
    let numbers: Option<Vec<u64>> = clock.split(':').map(|number| number.parse().ok()).collect();
    let secs = numbers.as_deref().and_then(|numbers| {
        let (hours, minutes, secs) = match (days, numbers) {
            (None, [minutes]) => (0, *minutes, 0),
            (None, [minutes, secs]) => (0, *minutes, *secs),
            (Some(_), [hours]) => (*hours, 0, 0),
            (Some(_), [hours, minutes]) => (*hours, *minutes, 0),
            (_, [hours, minutes, secs]) => (*hours, *minutes, *secs),
            _ => return None,
        };
        let days: u64 = days.map_or(Some(0), |days| days.parse().ok())?;
        let in_units = |value: u64, unit: u64| value.checked_mul(unit);
        in_units(days, 86400)?
            .checked_add(in_units(hours, 3600)?)?
            .checked_add(in_units(minutes, 60)?)?
            .checked_add(secs)
    });
    secs.map_or_else(|| text.to_owned(), |secs| format!("{secs}s"))
}

/// The job script: as a worker for the share that the task's number says, with its output in a log.
fn script_line(folder: &Folder, order: u64, command: &[OsString]) -> Vec<u8> {
    let mut line = format!("{SHARE}=\"$HQ_TASK_ID\" ").into_bytes();
    line.extend(worker_line(&folder.root, order, None, command));
    line.extend(b" >>");
    line.extend(quoted(folder.logs().as_os_str()));
    line.extend(format!("/{order}-\"$HQ_TASK_ID\".log 2>&1").bytes());
    line
}

/// Cancels all jobs of a run and waits a moment until they are gone.
pub(crate) fn cancel_all(id: &str) {
    let began = Instant::now();
    while began.elapsed() < ENDING {
        let found = hq(&["job", "list"]).map(|text| jobs(&text, id).unwrap_or_default());
        match found {
            Ok(found) if found.is_empty() => return,
            Ok(found) => {
                let numbers = found.keys().map(u64::to_string).collect::<Vec<_>>().join(",");
                if let Err(message) = hq(&["job", "cancel", &numbers]) {
                    tracing::warn!("hq job cancel {numbers}: {message}");
                }
            }
            Err(message) => tracing::debug!("hq job list: {message}"),
        }
        std::thread::sleep(Duration::from_millis(200));
    }
    tracing::warn!(
        "some jobs of run {id} may be left: hq job cancel those whose names begin with {}",
        prefix(id)
    );
}

impl Launcher for HyperQueue {
    fn submit(&mut self, order: u64, shares: usize) -> Result<bool> {
        let script = self.folder.root.join("orders").join(format!("{order}.sh"));
        write_script(&script, &[script_line(&self.folder, order, &self.command)])?;
        let script = text_of(&script)?;
        let words = submission(&self.settings, &self.id, (order, shares), self.counts_memory, script);
        let began = Instant::now();
        loop {
            match hq(&words) {
                Ok(job) => {
                    tracing::info!("order {order}: {job}");
                    return Ok(true);
                }
                // Whether the server or the request is at fault is asked of the server, not of the message.
                Err(message) if hq(&["server", "info"]).is_ok() || began.elapsed() > PATIENCE => {
                    return Err(failed("submit", message));
                }
                Err(message) => {
                    tracing::warn!("hq submit: {message}; trying again");
                    std::thread::sleep(Duration::from_secs(1));
                }
            }
        }
    }

    fn alive(&mut self) -> Result<Option<HashSet<Place>>> {
        let Some(text) = self.asked(&["job", "list"])? else { return Ok(None) };
        let jobs = jobs(&text, &self.id)?;
        if jobs.is_empty() {
            return Ok(Some(HashSet::new()));
        }
        let numbers = jobs.keys().map(u64::to_string).collect::<Vec<_>>().join(",");
        let Some(text) = self.asked(&["task", "list", &numbers])? else { return Ok(None) };
        places(&text, &jobs).map(Some)
    }

    fn stop(&mut self) {
        cancel_all(&self.id);
    }

    fn detail(&self) -> String {
        "see `hq job list --all`, `hq task list` and `hq worker list`".to_owned()
    }
}

#[cfg(test)]
mod tests;
