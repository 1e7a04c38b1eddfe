//! Whether a driver begins a run or takes one up, and how it keeps others from driving it.
//!
//! Invariants: a run is taken up only by the same program with the same request, from the same folder; how the request is carried out
//! (workers, limits, reports) does not tell runs apart. What failed before is forgotten then: the failure may have been mended.
//! Called by [`super::Driver`] and [`crate::runs`].

use crate::error::{Error, Result, text_of};
use crate::folder::{self, Folder, RunFacts, host};
use crate::order::Order;
use crate::settings::Settings;
use std::fs::{self, File, TryLockError};
use std::path::Path;
use std::time::SystemTime;

/// What this program is.
pub(super) fn own_facts(settings: &Settings) -> Result<RunFacts> {
    let command = crate::order::command()?;
    let here = std::env::current_dir()
        .map_err(|source| Error::os(Path::new("."), "finding the current folder", source))?;
    let length = command.first().and_then(|program| fs::metadata(program).ok()).map_or(0, |file| file.len());
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let words = command.iter().map(|word| word.to_string_lossy().into_owned());
    // Whether a run is taken up does not tell it from others.
    let command: Vec<String> = words.filter(|word| word != "--resume").collect();
    Ok(RunFacts {
        id: folder::unique().chars().take(8).collect(),
        request: settings.request.clone().unwrap_or_else(|| command.clone()),
        command,
        folder: text_of(&here)?,
        program: format!("{} {length}", env!("CARGO_PKG_VERSION")),
        engine: settings.kind.name().to_owned(),
        started_secs: since.map_or(0, |since| since.as_secs()),
    })
}

/// The latest run of the same program and request that nobody drives, if one is to be taken up.
pub(super) fn taken_up(settings: &Settings, own: &RunFacts) -> Result<Option<(RunFacts, Folder, File)>> {
    if !settings.resume {
        return Ok(None);
    }
    let is_same = |facts: &RunFacts| {
        (&facts.request, &facts.folder, &facts.program, &facts.engine)
            == (&own.request, &own.folder, &own.program, &own.engine)
    };
    let found = crate::runs::folders(&settings.work_folder)
        .into_iter()
        .filter_map(|folder| Some((folder::read::<RunFacts>(&folder.facts())?, folder)))
        .filter(|(facts, _)| is_same(facts))
        .max_by_key(|(facts, _)| facts.started_secs);
    let Some((facts, folder)) = found else {
        tracing::warn!(
            "no run in {} was left by this program with these arguments, started in this folder with engine {}: nothing to resume there, all is done anew",
            settings.work_folder.display(),
            own.engine
        );
        return Ok(None);
    };
    let Some(lock) = lock(&folder)? else { return Err(busy(&facts.id, &folder)) };
    forget_failures(&folder)?;
    Ok(Some((facts, folder, lock)))
}

/// Removes the notes of what failed under a driver before, and what that was told.
fn forget_failures(folder: &Folder) -> Result<()> {
    let forget = |path: &Path| match fs::remove_file(path) {
        Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
            Err(Error::os(path, "removing", source))
        }
        _ => Ok(()),
    };
    forget(&folder.cancelled())?;
    for plan in folder::names(&folder.root).iter().filter(|name| name.starts_with("plan-")) {
        let plan = folder.root.join(plan);
        for stage in folder::names(&plan).iter().filter(|name| name.starts_with("stage-")) {
            let notes = plan.join(stage).join("failed");
            folder::each_name(&notes).try_for_each(|name| forget(&notes.join(name)))?;
        }
    }
    Ok(())
}

/// The orders that drivers before this one have given, with their numbers.
pub(super) fn earlier_orders(folder: &Folder) -> Vec<(u64, Order)> {
    let number = |name: &String| name.strip_suffix(".json")?.parse::<u64>().ok();
    let mut numbers: Vec<u64> =
        folder::names(&folder.root.join("orders")).iter().filter_map(number).collect();
    numbers.sort_unstable();
    numbers.into_iter().filter_map(|number| Some((number, folder::read(&folder.order(number))?))).collect()
}

/// The right to drive a run; `None` if another process has it.
pub(crate) fn lock(folder: &Folder) -> Result<Option<File>> {
    let path = folder.root.join("driver.lock");
    let failed = |source| Error::os(&path, "locking", source);
    let file =
        File::options().create(true).truncate(false).read(true).write(true).open(&path).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Ok(None),
        Err(TryLockError::Error(error)) => tracing::debug!("{}: no locks here: {error}", path.display()),
    }
    folder::write(
        &folder.root.join("driver.json"),
        &format!("process {} on {}", std::process::id(), host()),
    )?;
    Ok(Some(file))
}

pub(super) fn busy(id: &str, folder: &Folder) -> Error {
    let holder: Option<String> = folder::read(&folder.root.join("driver.json"));
    Error::Busy { id: id.to_owned(), holder: holder.unwrap_or_else(|| "another process".to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Kind;

    #[test]
    fn runs_are_known_by_their_request_and_their_failures_forgotten() {
        let work = tempfile::tempdir().unwrap();
        let mut settings = Settings::new(Kind::Processes, work.path().to_owned(), 2);
        settings.request = Some(vec!["eval x".to_owned()]);
        settings.resume = true;
        let own = own_facts(&settings).unwrap();
        assert!(taken_up(&settings, &own).unwrap().is_none());
        let folder = Folder { root: work.path().join(format!("run-{}", own.id)) };
        let failed = folder.stage(0, 1).join("failed");
        folder::create(&failed).unwrap();
        folder::write(&folder.facts(), &own).unwrap();
        folder::write(&failed.join("3-x"), &1).unwrap();
        folder::write(&folder.cancelled(), &"cancelled").unwrap();
        let again = RunFacts { command: vec!["eval".to_owned(), "--retries".to_owned()], ..own.clone() };
        let (facts, _, _lock) = taken_up(&settings, &again).unwrap().unwrap();
        assert_eq!(facts.id, own.id);
        assert!(folder::names(&failed).is_empty() && !folder.cancelled().exists());
        let other = RunFacts { request: vec!["eval y".to_owned()], ..own };
        assert!(taken_up(&settings, &other).unwrap().is_none());
    }
}
