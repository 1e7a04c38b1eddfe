//! What this machine offers a run: cores, memory, what the container or job allows, and what the process has used.
//!
//! Invariant: a limit set by a cgroup wins over what the machine has, since passing it is fatal. Called by programs
//! that choose a budget: the command line's defaults, `doctor` and `demo`. Linux only; elsewhere memory is unknown
//! and [`default_budget_bytes`] is a fixed 1 GiB.

use crate::engine;
use crate::plan::Resources;
use std::fs;
use std::path::Path;

/// Budget where the memory of the machine is unknown, in bytes.
const UNKNOWN_MACHINE_BYTES: u64 = 1 << 30;

/// Memory of the machine in bytes, and the limit that a cgroup sets on this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    /// What the machine has; `None` where that cannot be told.
    pub total_bytes: Option<u64>,
    /// What programs may still take, as the kernel estimates it.
    pub available_bytes: Option<u64>,
    /// The lowest limit among the control groups this process is in.
    pub cgroup_bytes: Option<u64>,
}

impl Memory {
    /// Reads it from the system.
    #[must_use]
    pub fn detect() -> Self {
        let text = fs::read_to_string("/proc/meminfo").unwrap_or_default();
        Self {
            total_bytes: kibibytes_field(&text, "MemTotal:"),
            available_bytes: kibibytes_field(&text, "MemAvailable:"),
            cgroup_bytes: cgroup_limit_bytes(),
        }
    }

    /// What this process can count on at most, in bytes.
    #[must_use]
    pub fn usable_bytes(&self) -> Option<u64> {
        match (self.total_bytes, self.cgroup_bytes) {
            (Some(total), Some(cgroup)) => Some(total.min(cgroup)),
            (total, cgroup) => total.or(cgroup),
        }
    }
}

/// The memory budget of a run that is given none: half of what the machine or cgroup offers, in bytes, or what the engine that is
/// installed says.
#[must_use]
pub fn default_budget_bytes() -> u64 {
    if let Some(engine) = engine::installed() {
        return engine.budget_bytes();
    }
    usable_budget_bytes()
}

/// Half of what the machine or cgroup of this process offers, in bytes, whatever engine is installed.
#[must_use]
pub fn usable_budget_bytes() -> u64 {
    Memory::detect().usable_bytes().map_or(UNKNOWN_MACHINE_BYTES, |bytes| bytes / 2)
}

/// What a run may use: `budget_bytes` of memory, every core (or those of a worker of the engine that is installed), the system's folder
/// for temporary files.
#[must_use]
pub fn resources(budget_bytes: u64) -> Resources {
    let engine = engine::installed().cloned();
    let threads = engine.as_ref().map_or_else(cores, |engine| engine.threads());
    let spill_folder = std::env::temp_dir();
    Resources { budget_bytes, threads, spill_folder, spill_limit_bytes: None, engine, device: None }
}

/// Threads that can run at once, as the scheduler and the cgroup allow.
#[must_use]
pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get)
}

/// The most memory this process has had resident so far, in bytes; `None` where the system does not say.
#[must_use]
pub fn peak_resident_bytes() -> Option<u64> {
    kibibytes_field(&fs::read_to_string("/proc/self/status").ok()?, "VmHWM:")
}

/// Bytes that an unprivileged program may still write on the disk that holds `folder`.
#[must_use]
pub fn free_bytes(folder: &Path) -> Option<u64> {
    crate::spill::free_bytes(folder).ok()
}

/// The widest vector instructions that the kernels can use here.
#[must_use]
pub fn simd_level() -> &'static str {
    #[cfg(target_arch = "x86_64")]
    {
        if std::arch::is_x86_feature_detected!("avx512f") {
            return "AVX-512";
        }
        if std::arch::is_x86_feature_detected!("avx2") {
            return "AVX2";
        }
        "SSE2"
    }
    #[cfg(target_arch = "aarch64")]
    {
        "NEON"
    }
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    {
        "scalar"
    }
}

fn kibibytes_field(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.trim().trim_end_matches("kB").trim().parse::<u64>().ok()?.checked_mul(1024)
}

/// The lowest memory limit from this process's control group up to the root, version 2 or 1.
fn cgroup_limit_bytes() -> Option<u64> {
    let groups = fs::read_to_string("/proc/self/cgroup").ok()?;
    groups.lines().filter_map(group_limit_bytes).min()
}

/// The lowest limit along one line of `/proc/self/cgroup`: `ID:CONTROLLERS:PATH`.
fn group_limit_bytes(line: &str) -> Option<u64> {
    let mut fields = line.splitn(3, ':');
    let (_, controllers, path) = (fields.next()?, fields.next()?, fields.next()?);
    let (root, file) = if controllers.is_empty() {
        (Path::new("/sys/fs/cgroup"), "memory.max")
    } else if controllers.split(',').any(|name| name == "memory") {
        (Path::new("/sys/fs/cgroup/memory"), "memory.limit_in_bytes")
    } else {
        return None;
    };
    // Inside a container the path may be the host's and absent here; its ancestors and the root still count.
    let relative = Path::new(path.trim_start_matches('/'));
    let limits = relative.ancestors().filter_map(|folder| {
        let text = fs::read_to_string(root.join(folder).join(file)).ok()?;
        // Version 1 says "no limit" as a number near 2^63.
        text.trim().parse::<u64>().ok().filter(|bytes| *bytes < 1 << 60)
    });
    limits.min()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_proc_files() {
        let text = "MemTotal:       16318480 kB\nMemFree: 12 kB\n";
        assert_eq!(kibibytes_field(text, "MemTotal:"), Some(16_318_480 * 1024));
        assert_eq!(kibibytes_field(text, "MemAvailable:"), None);
        assert_eq!(group_limit_bytes("2:cpu,cpuacct:/a"), None);
        assert_eq!(group_limit_bytes("nonsense"), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_machine_has_memory_and_a_core() {
        assert!(cores() >= 1 && default_budget_bytes() > 1 << 20);
        assert!(peak_resident_bytes().unwrap() > 1 << 16);
        assert!(free_bytes(&std::env::temp_dir()).is_some());
    }
}
