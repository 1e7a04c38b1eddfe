//! `runs`: the runs of a work folder, how far they are, and how one is cancelled.
//!
//! Called by [`super::run`].

use crate::args::OutputArgs;
use crate::engine::work_folder;
use crate::text;
use blockwise::cluster::{RunState, StageState, cancel, list, show};
use blockwise::{Error, Result};
use clap::{Args, Subcommand};
use serde_json::{Value, json};
use std::path::PathBuf;

/// List the runs of a work folder, show where one stands, or cancel one
#[derive(Debug, Args)]
#[command(after_help = "EXAMPLES:
  arrayctl runs --work-dir /shared/me
  arrayctl runs show 1a2b3c4d --work-dir /shared/me
  BLOCKWISE_WORK_DIR=/shared/me arrayctl runs cancel 1a2b3c4d

A run that nobody drives was left by a driver that died or failed: its command with --resume goes on with it, cancel removes it.")]
pub(crate) struct Arguments {
    /// The work folder [default: BLOCKWISE_WORK_DIR]
    #[arg(long, value_name = "DIR", global = true)]
    work_dir: Option<PathBuf>,
    #[command(subcommand)]
    action: Option<Action>,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Where each stage of a run stands
    Show {
        /// The run
        id: String,
    },
    /// Stop a run and its jobs, and remove its folder
    Cancel {
        /// The run
        id: String,
    },
}

pub(crate) fn run(arguments: &Arguments, output: &OutputArgs) -> Result<()> {
    let folder = work_folder(arguments.work_dir.as_ref()).ok_or_else(|| Error::Usage {
        path: "runs".to_owned(),
        what: "give --work-dir DIR, or set BLOCKWISE_WORK_DIR".to_owned(),
    })?;
    match &arguments.action {
        Some(Action::Cancel { id }) => Ok(cancel(&folder, id)?),
        Some(Action::Show { id }) => {
            let run = show(&folder, id)?;
            if output.json {
                text::print(&as_json(&run).to_string());
            } else {
                text::print(&text::printable_lines(&shown(&run)));
            }
            Ok(())
        }
        None => {
            let runs = list(&folder)?;
            if output.json {
                let all: Vec<Value> = runs.iter().map(as_json).collect();
                text::print(&json!({ "runs": all }).to_string());
            } else {
                let lines: Vec<String> = runs.iter().map(line).collect();
                text::print(&text::printable_lines(&lines.join("\n")));
            }
            Ok(())
        }
    }
}

fn done(run: &RunState) -> (u64, u64) {
    let sum = |of: &dyn Fn(&StageState) -> u64| run.stages.iter().map(of).sum();
    (sum(&|stage| stage.done), sum(&|stage| stage.batches))
}

fn driver(run: &RunState) -> &str {
    run.driver.as_deref().unwrap_or("nobody: resume or cancel it")
}

fn line(run: &RunState) -> String {
    let (done, all) = done(run);
    let command = run.command.iter().skip(1).cloned().collect::<Vec<_>>().join(" ");
    format!("{}  {}  {done}/{all} batches  driven by {}  {command}", run.id, run.engine, driver(run))
}

fn shown(run: &RunState) -> String {
    let mut lines = vec![
        format!("run {}: {}", run.id, run.command.join(" ")),
        format!("in {}, engine {}, driven by {}", run.folder, run.engine, driver(run)),
    ];
    lines.extend(run.stages.iter().map(|stage| {
        let StageState { plan, stage, name, done, batches, failures } = stage;
        let failed = if *failures > 0 { format!(", {failures} failures") } else { String::new() };
        format!("plan {plan}, stage {stage} ({name}): {done} of {batches} batches done{failed}")
    }));
    lines.join("\n")
}

fn as_json(run: &RunState) -> Value {
    let stages: Vec<Value> = run
        .stages
        .iter()
        .map(|stage| {
            json!({
                "plan": stage.plan, "stage": stage.stage, "name": stage.name, "done": stage.done,
                "batches": stage.batches, "failures": stage.failures,
            })
        })
        .collect();
    json!({
        "id": run.id, "command": run.command, "folder": run.folder, "engine": run.engine,
        "started_secs": run.started_secs, "driver": run.driver, "stages": stages,
    })
}
