//! What the engines that submit jobs have in common: job scripts, names of jobs, how long is waited.
//!
//! Invariant: a job is known by its name, which holds the run and the order. Called by [`crate::slurm`], [`crate::held`] and
//! [`crate::hq`].

use crate::error::{Error, Result};
use crate::order::{ORDER, RUN, SHARE_IN};
use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::Duration;

/// How long a submission is tried while the engine does not answer.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);
/// How long cancelled jobs are waited for.
pub(crate) const ENDING: Duration = Duration::from_secs(10);
/// Bytes of memory that a worker takes beyond its budget: the program, stacks, buffers of libraries.
pub(crate) const BASELINE_BYTES: u64 = 384 << 20;

/// The name of an order's job.
pub(crate) fn job_name(id: &str, order: u64) -> String {
    format!("{}{order}", prefix(id))
}

/// What the names of all jobs of a run begin with.
pub(crate) fn prefix(id: &str) -> String {
    format!("blockwise-{id}-")
}

/// The line of a shell that becomes a worker for an order: assignments, then `command`. `share_in` is the variable of the engine that
/// says the share, if one does.
pub(crate) fn worker_line(run: &Path, order: u64, share_in: Option<&str>, command: &[OsString]) -> Vec<u8> {
    let mut line = format!("{RUN}=").into_bytes();
    line.extend(quoted(run.as_os_str()));
    line.extend(format!(" {ORDER}={order}").bytes());
    line.extend(share_in.into_iter().flat_map(|name| format!(" {SHARE_IN}={name}").into_bytes()));
    line.extend(b" exec ");
    line.extend(quoted_command(command));
    line
}

/// A job script that runs `lines` in the folder that the driver was started in.
pub(crate) fn write_script(path: &Path, lines: &[Vec<u8>]) -> Result<()> {
    let mut script = b"#!/bin/sh\n".to_vec();
    for line in lines {
        script.extend_from_slice(line);
        script.push(b'\n');
    }
    fs::write(path, script).map_err(|source| Error::os(path, "writing", source))
}

/// A word as a shell takes it.
pub(crate) fn quoted(word: &OsStr) -> Vec<u8> {
    let mut quoted = b"'".to_vec();
    for byte in word.as_bytes() {
        if *byte == b'\'' {
            quoted.extend_from_slice(b"'\\''");
        } else {
            quoted.push(*byte);
        }
    }
    quoted.push(b'\'');
    quoted
}

/// A program with its arguments, as a shell takes them.
fn quoted_command(words: &[OsString]) -> Vec<u8> {
    words.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(&b' ')
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn words_survive_a_shell() {
        let words = ["it's", "a b", "$HOME", "`x`\\", ""].map(OsString::from);
        let mut line = b"printf '%s\\n' ".to_vec();
        line.extend(quoted_command(&words));
        let printed = Command::new("sh").arg("-c").arg(String::from_utf8(line).unwrap()).output().unwrap();
        assert_eq!(String::from_utf8(printed.stdout).unwrap(), "it's\na b\n$HOME\n`x`\\\n\n");
    }
}
