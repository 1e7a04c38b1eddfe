//! [`Gres`]: what a worker needs beside cores and memory, in Slurm's notation, such as `gpu:a100:2,scratch:10`.
//!
//! Invariant: what parses has names and counts that both engines take. Called by [`crate::settings`] and the launchers.

use crate::error::{Error, Result};
use std::str::FromStr;

/// Generic resources of a worker.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Gres {
    entries: Vec<Entry>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    name: String,
    /// Such as `a100`.
    model: Option<String>,
    count: u32,
}

impl FromStr for Gres {
    type Err = Error;

    /// Reads `name[:model][:count]`, several of them with commas between.
    fn from_str(text: &str) -> Result<Self> {
        let entries = text.split(',').map(entry).collect::<Option<Vec<_>>>();
        entries.map(|entries| Self { entries }).ok_or_else(|| Error::Setting {
            name: "gres",
            value: text.to_owned(),
            why: "is not of the form gpu:1 or gpu:a100:2, with a comma between several".to_owned(),
        })
    }
}

fn entry(text: &str) -> Option<Entry> {
    let is_word = |word: &&str| {
        word.starts_with(|c: char| c.is_ascii_alphabetic()) && !word.contains(char::is_whitespace)
    };
    let mut parts = text.split(':');
    let name = parts.next().filter(is_word)?.to_owned();
    let mut rest: Vec<&str> = parts.collect();
    let count = match rest.last().and_then(|last| last.parse().ok()) {
        Some(0) => return None,
        Some(count) => {
            rest.pop();
            count
        }
        None => 1,
    };
    let model = match rest.as_slice() {
        [] => None,
        [model] => Some((*model).to_owned()).filter(|model| !model.is_empty()),
        _ => return None,
    };
    (rest.is_empty() || model.is_some()).then_some(Entry { name, model, count })
}

impl Gres {
    /// GPUs of a worker.
    #[must_use]
    pub fn gpus(&self) -> u32 {
        let own = self.entries.iter().filter(|entry| entry.is_gpu()).map(|entry| entry.count);
        own.fold(0, u32::saturating_add)
    }

    /// Arguments of `sbatch` and `srun`: GPUs by task, since several tasks of an allocation may share a node. All else is by node.
    pub(crate) fn for_slurm(&self) -> Vec<String> {
        let words = |entry: &Entry| {
            let model = entry.model.as_ref().map_or_else(String::new, |model| format!("{model}:"));
            match entry.is_gpu() {
                true => format!("--gpus-per-task={model}{}", entry.count),
                false => format!("--gres={}:{model}{}", entry.name, entry.count),
            }
        };
        self.entries.iter().map(words).collect()
    }

    /// Arguments of `hq submit`. Models of GPUs are not told apart there: see [`Gres::check_for_hq`].
    pub(crate) fn for_hq(&self) -> Vec<String> {
        let name = |entry: &Entry| if entry.is_gpu() { "gpus/nvidia".to_owned() } else { entry.name.clone() };
        self.entries.iter().map(|entry| format!("--resource={}={}", name(entry), entry.count)).collect()
    }

    /// Whether an allocation of several workers can be asked for it.
    pub(crate) fn check_for_hold(&self) -> Result<()> {
        match self.entries.iter().find(|entry| !entry.is_gpu()) {
            None => Ok(()),
            Some(entry) => Err(refused(entry, "is counted by node: leave --hold out")),
        }
    }

    /// Whether HyperQueue can be asked for it.
    pub(crate) fn check_for_hq(&self) -> Result<()> {
        let is_model = |entry: &&Entry| entry.model.is_some();
        match self.entries.iter().find(is_model) {
            None => Ok(()),
            Some(entry) => Err(refused(entry, "names a model, which HyperQueue does not know: give gpu:N")),
        }
    }
}

impl Entry {
    fn is_gpu(&self) -> bool {
        self.name == "gpu"
    }
}

fn refused(entry: &Entry, why: &str) -> Error {
    let model = entry.model.as_ref().map_or_else(String::new, |model| format!(":{model}"));
    let value = format!("{}{model}:{}", entry.name, entry.count);
    Error::Setting { name: "gres", value, why: why.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_of_both_engines() {
        let gres: Gres = "gpu".parse().unwrap();
        assert_eq!((gres.gpus(), gres.for_slurm()), (1, vec!["--gpus-per-task=1".to_owned()]));
        let gres: Gres = "gpu:2,scratch:10".parse().unwrap();
        assert_eq!(gres.for_slurm(), ["--gpus-per-task=2", "--gres=scratch:10"]);
        assert_eq!(gres.for_hq(), ["--resource=gpus/nvidia=2", "--resource=scratch=10"]);
        assert!(gres.check_for_hq().is_ok());
        assert!(gres.check_for_hold().unwrap_err().to_string().contains("scratch:10"));
        let gres: Gres = "gpu:a100:4".parse().unwrap();
        assert_eq!((gres.gpus(), gres.for_slurm()), (4, vec!["--gpus-per-task=a100:4".to_owned()]));
        assert!(gres.check_for_hq().unwrap_err().to_string().contains("gpu:a100:4"));
        assert_eq!("gpu:a100".parse::<Gres>().unwrap().gpus(), 1);
    }

    #[test]
    fn nonsense_is_refused() {
        for text in ["", "gpu:", "gpu:0", "gpu:a:b:1", "2", "gpu:1,,x", ":1", "gpu::2", "g pu:1"] {
            assert!(text.parse::<Gres>().is_err(), "{text:?}");
        }
    }
}
