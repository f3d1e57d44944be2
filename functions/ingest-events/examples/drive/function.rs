//! A function as a process: its start, its CPU, its memory, its end.

use std::fs;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

/// A function that runs; it ends with this.
pub(crate) struct Function {
    process: Child,
}

impl Function {
    /// Starts it with this environment and nothing else.
    pub(crate) fn start<'a>(command: &[&String], environment: impl Iterator<Item = (&'a str, String)>) -> Self {
        let process = Command::new(command[0])
            .args(&command[1..])
            .env_clear()
            .envs(environment)
            .stdin(Stdio::null())
            .stdout(if std::env::var_os("DRIVE_SHOWS_LOGS").is_some() { std::io::stderr().into() } else { Stdio::null() })
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}", command[0]));
        Self { process }
    }

    pub(crate) fn has_ended(&mut self) -> bool {
        self.process.try_wait().unwrap().is_some()
    }

    /// What all its threads have computed; it is idle when this is read, so it gets a moment to fall asleep.
    pub(crate) fn cpu(&self) -> Duration {
        thread::sleep(Duration::from_millis(5));
        let tasks = fs::read_dir(format!("/proc/{}/task", self.process.id())).unwrap();
        let nanoseconds = tasks.map(|task| -> u64 {
            let schedstat = fs::read_to_string(task.unwrap().path().join("schedstat")).unwrap();
            schedstat.split(' ').next().unwrap().parse().unwrap()
        });
        Duration::from_nanos(nanoseconds.sum())
    }

    /// The most memory that it held, in KiB.
    pub(crate) fn peak_kib(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.id())).unwrap();
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("Linux says what a process held at most");
        peak.trim().trim_end_matches(" kB").parse().unwrap()
    }
}

impl Drop for Function {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
