//! `--engine` and its kin: what carries out a command's work, beyond this process's threads.
//!
//! Invariant: workers, which are started with the same arguments, follow their driver whatever these say. Called by the commands that
//! store results, through [`crate::args::StoreArgs::start`].

use crate::args::{Cli, RunArgs};
use blockwise::cluster::{Gres, Kind, Run, Settings, plan_only, start};
use blockwise::device::Device;
use blockwise::{Error, Result};
use clap::parser::ValueSource;
use clap::{Arg, Args, CommandFactory};
use std::path::PathBuf;

/// What carries out the work.
#[derive(Clone, Debug, Args)]
pub(crate) struct EngineArgs {
    /// What carries out the work: threads of this process, processes of this machine, jobs of slurm, or tasks of hq (HyperQueue)
    #[arg(long, value_name = "ENGINE", default_value = "threads", help_heading = "Engine")]
    engine: String,
    /// Folder on storage that all nodes share, for what lies between stages [default: BLOCKWISE_WORK_DIR]
    #[arg(long, value_name = "DIR", help_heading = "Engine")]
    work_dir: Option<PathBuf>,
    /// Workers at once; each has --memory and --threads
    #[arg(long, value_name = "N", default_value_t = 2, help_heading = "Engine")]
    workers: u32,
    /// Hold one allocation of Slurm for the whole run, instead of a job array a stage
    #[arg(long, help_heading = "Engine")]
    hold: bool,
    /// Time limit of a job or task, as sbatch takes it
    #[arg(long, value_name = "TIME", help_heading = "Engine")]
    time: Option<String>,
    /// Partition of jobs (slurm)
    #[arg(long, value_name = "NAME", help_heading = "Engine")]
    partition: Option<String>,
    /// Account of jobs (slurm)
    #[arg(long, value_name = "NAME", help_heading = "Engine")]
    account: Option<String>,
    /// What each worker needs beside cores and memory, such as scratch:10 (slurm, hq)
    #[arg(long, value_name = "NAME[:MODEL]:N", help_heading = "Engine")]
    gres: Option<Gres>,
    /// One more argument of sbatch or hq submit, such as --engine-flag=--qos=long (repeatable)
    #[arg(long, value_name = "FLAG", allow_hyphen_values = true, help_heading = "Engine")]
    engine_flag: Vec<String>,
    /// How often work that was lost with its node or job is started again
    #[arg(long, value_name = "N", default_value_t = 3, help_heading = "Engine")]
    retries: u32,
}

impl EngineArgs {
    /// Whether other processes do the work.
    pub(crate) fn is_beyond(&self) -> bool {
        self.engine != "threads"
    }

    /// Starts the engine.
    pub(crate) fn start(&self, run: &RunArgs, resume: bool) -> Result<Run> {
        let kind = self.kind(run)?;
        let work_folder = match (work_folder(self.work_dir.as_ref()), kind) {
            (Some(folder), _) => folder,
            (None, Kind::Threads) => PathBuf::new(),
            (None, _) => {
                let why = "needs --work-dir DIR: a folder on storage that all nodes share".to_owned();
                return Err(Error::Argument {
                    what: "run without a work folder",
                    text: self.engine.clone(),
                    why,
                });
            }
        };
        let mut settings = self.settings(kind, work_folder, run)?;
        settings.resume = resume;
        settings.request = request();
        Ok(start(settings)?)
    }

    /// Has plans made as for the engine, and no more: for that no work folder is needed.
    pub(crate) fn plan_only(&self, run: &RunArgs) -> Result<Run> {
        Ok(plan_only(self.settings(self.kind(run)?, PathBuf::new(), run)?)?)
    }

    /// The engine, if it can do what is asked of it.
    fn kind(&self, run: &RunArgs) -> Result<Kind> {
        let kind = self.engine.parse()?;
        if self.gres.as_ref().is_some_and(|gres| gres.gpus() > 0) && run.device()? == Device::Cpu {
            return Err(Error::Refused {
                path: "--gres".to_owned(),
                what: "workers would leave the GPUs idle; add --device cuda, or leave --gres out".to_owned(),
            });
        }
        Ok(kind)
    }

    fn settings(&self, kind: Kind, work_folder: PathBuf, run: &RunArgs) -> Result<Settings> {
        let mut settings = Settings::new(kind, work_folder, self.workers);
        settings.threads = run.threads();
        settings.budget_bytes = run.budget_bytes()?.unwrap_or(settings.budget_bytes);
        settings.hold = self.hold;
        settings.time.clone_from(&self.time);
        settings.partition.clone_from(&self.partition);
        settings.account.clone_from(&self.account);
        settings.gres.clone_from(&self.gres);
        settings.flags.clone_from(&self.engine_flag);
        settings.retries = self.retries;
        Ok(settings)
    }
}

/// What the command is asked for, without the options that only say how that is carried out, limited and shown.
fn request() -> Option<Vec<String>> {
    let program = Cli::command();
    let given = program.clone().try_get_matches().ok()?;
    let (name, given) = given.subcommand()?;
    let options = program.find_subcommand(name)?.get_arguments().filter(|option| !is_manner(option));
    let mut request = vec![name.to_owned()];
    for option in options {
        let id = option.get_id().as_str();
        if given.value_source(id) == Some(ValueSource::CommandLine) {
            request.push(format!("{id}:"));
            let values = given.get_raw(id).into_iter().flatten();
            request.extend(values.map(|value| value.to_string_lossy().into_owned()));
        }
    }
    Some(request)
}

/// Whether an option does not change what a command writes.
fn is_manner(option: &Arg) -> bool {
    matches!(option.get_help_heading(), Some("Engine" | "Output"))
        || ["resume", "overwrite", "spill_dir", "spill_limit"].contains(&option.get_id().as_str())
}

/// The work folder that is given, or that of the environment.
pub(crate) fn work_folder(given: Option<&PathBuf>) -> Option<PathBuf> {
    let known =
        || std::env::var_os("BLOCKWISE_WORK_DIR").filter(|folder| !folder.is_empty()).map(PathBuf::from);
    given.cloned().or_else(known)
}
