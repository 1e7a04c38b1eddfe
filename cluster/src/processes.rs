//! [`Processes`]: workers that are processes of this machine.
//!
//! To try a program out before it goes to a cluster, and to test everything but the cluster. Invariant: no worker outlives the
//! launcher, unless the driver is killed. Called by [`crate::launcher`].

use crate::error::{Error, Result};
use crate::folder::Folder;
use crate::launcher::{Launcher, Place};
use crate::order::{ORDER, RUN, SHARE, command};
use std::collections::HashSet;
use std::ffi::OsString;
use std::fs::File;
use std::process::{Child, Command, Stdio};

/// Workers on this machine.
#[derive(Debug)]
pub(crate) struct Processes {
    folder: Folder,
    command: Vec<OsString>,
    running: Vec<(Place, Child)>,
}

impl Processes {
    pub(crate) fn new(folder: &Folder) -> Result<Self> {
        let command = command()?;
        Ok(Self { folder: folder.clone(), command, running: Vec::new() })
    }
}

impl Launcher for Processes {
    fn submit(&mut self, order: u64, shares: usize) -> Result<bool> {
        let failed = |source| Error::os(&self.folder.root, "starting a worker", source);
        for share in 0..shares {
            let log = self.folder.logs().join(format!("{order}-{share}.log"));
            let log = File::create(&log).map_err(|source| Error::os(&log, "creating", source))?;
            let mut words = self.command.iter();
            let child = Command::new(words.next().cloned().unwrap_or_default())
                .args(words)
                .env(RUN, &self.folder.root)
                .env(ORDER, order.to_string())
                .env(SHARE, share.to_string())
                .stdin(Stdio::null())
                .stdout(log.try_clone().map_err(failed)?)
                .stderr(log)
                .spawn()
                .map_err(failed)?;
            self.running.push(((order, share), child));
        }
        Ok(true)
    }

    fn alive(&mut self) -> Result<Option<HashSet<Place>>> {
        self.running.retain_mut(|(_, child)| matches!(child.try_wait(), Ok(None)));
        Ok(Some(self.running.iter().map(|(place, _)| *place).collect()))
    }

    fn stop(&mut self) {
        for (_, child) in &mut self.running {
            let _ = child.kill(); // it may have ended
            let _ = child.wait();
        }
        self.running.clear();
    }

    fn detail(&self) -> String {
        "they ran on this machine".to_owned()
    }
}

impl Drop for Processes {
    fn drop(&mut self) {
        self.stop();
    }
}
