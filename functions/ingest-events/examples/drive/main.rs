//! Drives Lambda functions through a Runtime API of its own, against a Kinesis of its own, and measures them side by side.
//!
//! `make bench-ingest` runs it: `infra/bench/ingest.py` writes its plan to standard input, and reads its findings from standard output.
//! Each cell of the plan, one function with one kind of request, runs in a process of its own; a round goes once over all cells, so that
//! what disturbs the machine disturbs all of them. Plain threads and sockets, so that no crate of the functions gets other features.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, reason = "a benchmark stops at what it did not expect")]

mod function;
mod http;
mod kinesis;
mod runtime;

use std::collections::BTreeMap;
use std::io::Write;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::function::Function;
use crate::kinesis::Kinesis;
use crate::runtime::{Invocations, Runtime};

/// What is to be measured.
#[derive(Debug, Deserialize)]
struct Plan {
    /// How often each cell is measured.
    rounds: usize,
    /// How often each function is started for the figures of its cold start.
    starts: usize,
    /// What a function's command begins with, such as `taskset -c 0`.
    prefix: Vec<String>,
    /// By name.
    functions: BTreeMap<String, Start>,
    /// In the order of a round.
    cells: Vec<Cell>,
}

/// How a function is started.
#[derive(Debug, Deserialize)]
struct Start {
    command: Vec<String>,
    environment: BTreeMap<String, String>,
}

/// A function with one kind of request.
#[derive(Debug, Deserialize)]
struct Cell {
    name: String,
    function: String,
    /// What Lambda hands over.
    event: String,
    /// What has to arrive at Kinesis for each invocation, in order.
    records: Vec<serde_json::Value>,
    warm_up: usize,
    invocations: usize,
    /// Whether the first answer is part of the figures of the cold start.
    starts: bool,
}

/// What was measured of one cell in one round.
#[derive(Debug, Serialize)]
struct Finding<'a> {
    cell: &'a str,
    per_second: f64,
    p50_us: f64,
    p99_us: f64,
    cpu_us: f64,
    peak_kib: u64,
}

/// What one start of a function took.
#[derive(Debug, Serialize)]
struct ColdStart<'a> {
    cell: &'a str,
    /// To its first wish for an event.
    ready_ms: f64,
    /// To its first answer.
    answer_ms: f64,
    /// CPU to its first wish for an event.
    ready_cpu_ms: f64,
    /// CPU to its first answer.
    answer_cpu_ms: f64,
}

struct Driver<'a> {
    plan: &'a Plan,
    runtime: Runtime,
    kinesis: Kinesis,
}

impl Driver<'_> {
    /// Starts a cell's function and waits until it asks for an event.
    fn start(&self, cell: &Cell) -> Function {
        let start = &self.plan.functions[&cell.function];
        let addresses = [
            ("AWS_LAMBDA_RUNTIME_API", self.runtime.address().to_string()),
            ("AWS_ENDPOINT_URL_KINESIS", format!("http://{}", self.kinesis.address())),
        ];
        let environment = start.environment.iter().map(|(name, value)| (name.as_str(), value.clone())).chain(addresses);
        let command: Vec<&String> = self.plan.prefix.iter().chain(&start.command).collect();
        self.runtime.expect_another();
        let mut function = Function::start(&command, environment);
        self.runtime.wait_until_idle(&mut function);
        function
    }

    /// Invokes it, and sees to it that every event arrived at Kinesis.
    fn invoke(&self, cell: &Cell, function: &mut Function, times: usize) -> Invocations {
        let made = self.runtime.invoke(&cell.event, times, function);
        let puts = self.kinesis.take();
        assert_eq!(puts.records, times * cell.records.len(), "{}: records at Kinesis after {times} invocations", cell.name);
        if !cell.records.is_empty() {
            assert_eq!(puts.first_events(cell.records.len()), cell.records, "{}: what arrived at Kinesis", cell.name);
        }
        made.assert_all_accepted(&cell.name, cell.records.len());
        made
    }

    fn measure<'a>(&self, cell: &'a Cell) -> Finding<'a> {
        let mut function = self.start(cell);
        self.invoke(cell, &mut function, cell.warm_up);
        let cpu_before = function.cpu();
        let began = Instant::now();
        let mut times = self.invoke(cell, &mut function, cell.invocations).times;
        let wall = began.elapsed();
        let cpu = function.cpu() - cpu_before;
        times.sort_unstable();
        let count = cell.invocations as f64;
        Finding {
            cell: &cell.name,
            per_second: count / wall.as_secs_f64(),
            p50_us: microseconds(times[times.len() / 2]),
            p99_us: microseconds(times[times.len() * 99 / 100]),
            cpu_us: microseconds(cpu) / count,
            peak_kib: function.peak_kib(),
        }
    }

    fn cold_start<'a>(&self, cell: &'a Cell) -> ColdStart<'a> {
        let began = Instant::now();
        let mut function = self.start(cell);
        let ready = self.runtime.idle_since() - began;
        let ready_cpu = function.cpu();
        let invoked = Instant::now();
        let made = self.invoke(cell, &mut function, 1);
        let answer = made.first_answer_at - invoked;
        ColdStart {
            cell: &cell.name,
            ready_ms: milliseconds(ready),
            answer_ms: milliseconds(ready + answer),
            ready_cpu_ms: milliseconds(ready_cpu),
            answer_cpu_ms: milliseconds(function.cpu()),
        }
    }
}

fn microseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e6
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

/// One JSON object a line.
fn print(finding: &impl Serialize) {
    let mut out = std::io::stdout().lock();
    serde_json::to_writer(&mut out, finding).unwrap();
    out.write_all(b"\n").unwrap();
}

fn main() {
    let plan: Plan = serde_json::from_reader(std::io::stdin().lock()).unwrap();
    let driver = Driver { plan: &plan, runtime: Runtime::serve(), kinesis: Kinesis::serve() };
    for _ in 0..plan.starts {
        for cell in plan.cells.iter().filter(|cell| cell.starts) {
            print(&driver.cold_start(cell));
        }
    }
    for _ in 0..plan.rounds {
        for cell in &plan.cells {
            print(&driver.measure(cell));
        }
    }
}
