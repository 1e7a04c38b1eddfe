//! Command lines of `hq`, and what is made of its answers: of the form that its sources print.

use super::*;
use std::path::PathBuf;

#[test]
fn a_submission_asks_for_what_a_worker_may_take() {
    let mut settings = Settings::new(crate::Kind::HyperQueue, PathBuf::from("/w"), 2);
    (settings.threads, settings.budget_bytes) = (4, 640 << 20);
    settings.time = Some("1:30:00".to_owned());
    settings.gres = Some("gpu:2".parse().unwrap());
    settings.flags = vec!["--priority=3".to_owned()];
    let words = |counts_memory| {
        submission(&settings, "1a2b", (7, 3), counts_memory, "/w/run-1a2b/orders/7.sh".to_owned())
    };
    let expected = [
        "submit",
        "--name=blockwise-1a2b-7",
        "--array=0-2",
        "--cpus=4",
        "--stdout=none",
        "--stderr=none",
        "--resource=mem=1024",
        "--resource=gpus/nvidia=2",
        "--time-limit=5400s",
        "--priority=3",
        "--",
        "/bin/sh",
        "/w/run-1a2b/orders/7.sh",
    ];
    assert_eq!(words(true), expected);
    assert_eq!(
        words(false),
        expected.iter().copied().filter(|word| !word.contains("mem")).collect::<Vec<_>>()
    );
}

#[test]
fn times_of_slurm_become_seconds() {
    for (text, expected) in [
        ("90", "5400s"),
        ("10:30", "630s"),
        ("2:00:00", "7200s"),
        ("1-0", "86400s"),
        ("1-12:30", "131400s"),
        ("2-00:00:01", "172801s"),
        ("2h 30min", "2h 30min"),
        ("1:2:3:4", "1:2:3:4"),
        ("-5", "-5"),
        ("18446744073709551615-0", "18446744073709551615-0"),
    ] {
        assert_eq!(time_limit(text), expected);
    }
}

#[test]
fn a_task_becomes_the_worker_of_its_share() {
    let scratch = tempfile::tempdir().unwrap();
    let folder = Folder { root: scratch.path().join("it's a run") };
    std::fs::create_dir_all(folder.logs()).unwrap();
    let path = scratch.path().join("7.sh");
    let words = ["/bin/sh", "-c", "env; echo broken >&2"].map(OsString::from);
    write_script(&path, &[script_line(&folder, 7, &words)]).unwrap();
    for share in ["2", "11"] {
        assert!(Command::new("/bin/sh").arg(&path).env("HQ_TASK_ID", share).status().unwrap().success());
        let log = std::fs::read_to_string(folder.logs().join(format!("7-{share}.log"))).unwrap();
        let run = format!("BLOCKWISE_WORKER_RUN={}", folder.root.display());
        let share = format!("BLOCKWISE_WORKER_SHARE={share}");
        for line in [&*run, "BLOCKWISE_WORKER_ORDER=7", &share, "broken"] {
            assert!(log.lines().any(|found| found == line), "{line}: {log}");
        }
    }
}

const JOBS: &str = r#"[
  {"id": 3, "is_open": false, "name": "blockwise-1a2b-0", "task_count": 4,
   "task_stats": {"canceled": 0, "failed": 1, "finished": 1, "running": 1, "waiting": 1}},
  {"id": 4, "is_open": false, "name": "blockwise-ffff-0", "task_count": 1,
   "task_stats": {"canceled": 0, "failed": 0, "finished": 0, "running": 1, "waiting": 0}},
  {"id": 12, "is_open": false, "name": "blockwise-1a2b-5", "task_count": 1,
   "task_stats": {"canceled": 0, "failed": 0, "finished": 0, "running": 0, "waiting": 1}},
  {"id": 13, "is_open": true, "name": "job", "task_count": 0,
   "task_stats": {"canceled": 0, "failed": 0, "finished": 0, "running": 0, "waiting": 0}}
]"#;

const TASKS: &str = r#"{
  "12": [{"id": 0, "state": "waiting"}],
  "3": [
    {"cwd": "/home/me", "finished_at": "2026-11-20T08:56:16.438062340Z", "id": 0, "started_at": "2026-11-20T08:56:16.437123396Z",
     "state": "finished", "stderr": null, "stdout": null, "worker": 1},
    {"cwd": "/home/me", "id": 1, "started_at": "2026-11-20T08:56:16.437123396Z", "state": "running", "stderr": null,
     "stdout": null, "worker": 1},
    {"error": "Error: Program terminated with exit code 137", "finished_at": "2026-11-20T08:56:17.4Z", "id": 2,
     "started_at": "2026-11-20T08:56:16.4Z", "state": "failed", "stderr": null, "stdout": null, "worker": 2},
    {"id": 3, "state": "waiting"}
  ]
}"#;

#[test]
fn what_waits_or_runs_is_alive() {
    let jobs = jobs(JOBS, "1a2b").unwrap();
    assert_eq!(jobs, BTreeMap::from([(3, 0), (12, 5)]));
    assert_eq!(places(TASKS, &jobs).unwrap(), HashSet::from([(0, 1), (0, 3), (5, 0)]));
    assert!(super::jobs("[]", "1a2b").unwrap().is_empty());
}

#[test]
fn memory_is_asked_for_where_it_is_counted() {
    let worker = |name: &str| {
        let items = format!(
            r#"[{{"name": "cpus", "kind": "list"}}, {{"name": "{name}", "kind": "sum", "size": 4000}}]"#
        );
        format!(
            r#"[{{"id": 1, "ended": null, "configuration": {{"hostname": "mem", "resources": {{"items": {items}}}}}}}]"#
        )
    };
    assert!(counts_memory("[]").unwrap() && counts_memory(&worker("mem")).unwrap());
    assert!(
        !counts_memory(&worker("gpus/amd").replace(r#""hostname": "mem""#, r#""hostname": "m""#)).unwrap()
    );
    assert!(counts_memory("{}").is_err());
}

#[test]
fn other_answers_are_errors() {
    for text in ["", "{}", "+----+", r#"[{"number": 1}]"#] {
        let error = jobs(text, "1a2b").unwrap_err().to_string();
        assert!(error.contains("hq job list") && error.contains("version"), "{error}");
    }
    assert_eq!(
        reason(r#"{"error": "No online\n  server found\n\nStack backtrace:\n 0: x"}"#, ""),
        "No online server found"
    );
    assert_eq!(reason("", "error: unexpected argument '--no'"), "error: unexpected argument '--no'");
}
