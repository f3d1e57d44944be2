//! A stream's processors, compiled and run.

use std::collections::BTreeSet;

use domain::input::Format;
use domain::limits::MAX_JSON_DEPTH;
use domain::process::{Branch, Failure, Gate, Left, Passage, Processors, Route, json_event};
use domain::stats::ProcessorCounters;
use vrl::value::Value;

use crate::action::{Given, depth_of};
use crate::compile::{Resources, Step, compile};
use crate::loops;
use crate::numbers::{self, Numbers};
use crate::{cbor, xml};

/// Events that one event may become. Ours: they keep its partition key, so those of different events are written one after another.
const MAX_FAN_OUT: usize = 100;

/// Bytes that they may have together. Ours: one write to Kinesis takes 10 MiB.
const MAX_FAN_OUT_BYTES: usize = 5 * 1024 * 1024;

/// The longest detail of a failure, in characters.
const MAX_DETAIL: usize = 500;

/// The processors of one config, ready to run.
#[derive(Debug)]
pub struct Compiled {
    steps: Vec<Step>,
    format: Format,
    /// Whether an event can be another one after the steps; else its own text goes on.
    rewrites: bool,
}

/// What one processor did on the way of one event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepReport {
    /// The processor's place: `pipeline.processors[0].mapping`.
    pub path: String,
    /// Events that it was given.
    pub received: usize,
    /// What it gave on.
    pub outputs: Vec<String>,
    /// Why it failed, for each event on which it did.
    pub failures: Vec<Failure>,
}

/// An event on its way, and the last gate that it met.
struct Traveller {
    event: Value,
    gate: Option<usize>,
}

/// What the processors of one event have come to.
#[derive(Default)]
struct Journey {
    gates: Vec<Gate>,
    failed: Vec<Branch<Left>>,
    reports: Option<Vec<StepReport>>,
    /// Bytes that the reports may still have.
    room: usize,
}

impl Compiled {
    /// Compiles the processors of a route, once for a config. Without any there is nothing to run, and JSON goes on as it is.
    ///
    /// # Errors
    /// The first that does not compile, or names a resource that is not given; a document that was checked has neither.
    pub fn new(route: &Route, resources: &Resources) -> Result<Option<Self>, String> {
        let steps = compile(route, resources)?;
        let rewrites = steps.iter().any(|step| step.action.rewrites());
        let is_needed = !steps.is_empty() || route.format == Format::Xml;
        Ok(is_needed.then_some(Self { steps, format: route.format, rewrites }))
    }

    /// Runs the processors as ever, and says what each did, with outputs of at most so many bytes; what is beyond is left out.
    pub fn explain(&self, event: &[u8], room: usize) -> (Passage<Left>, Vec<StepReport>) {
        let mut journey = Journey { reports: Some(Vec::new()), room, ..Journey::default() };
        let passage = self.travel(event, &mut [], &mut journey);
        (passage, journey.reports.unwrap_or_default())
    }

    fn read(&self, event: &[u8]) -> Result<(Vec<Value>, Numbers), Failure> {
        match self.format {
            Format::Xml => {
                let records = xml::read(event).map_err(|fault| Failure::new("undecodable", fault.to_string()))?;
                Ok((records, Numbers::default()))
            }
            Format::Json => {
                let read = numbers::read(json_event(event)?);
                let (event, numbers) = read.map_err(|error| Failure::new("undecodable", format!("not JSON: {error}")))?;
                Ok((vec![event], numbers))
            }
        }
    }

    fn travel(&self, event: &[u8], counts: &mut [ProcessorCounters], journey: &mut Journey) -> Passage<Left> {
        let (events, numbers) = match self.read(event) {
            Ok(read) => read,
            Err(failure) => return Passage::straight(Err(failure)),
        };
        loops::begin_event();
        let most = MAX_FAN_OUT.max(events.len());
        let mut travellers: Vec<Traveller> = events.into_iter().map(|event| Traveller { event, gate: None }).collect();
        let mut uncounted = ProcessorCounters::default();
        for (index, step) in self.steps.iter().enumerate() {
            let count = counts.get_mut(index).unwrap_or(&mut uncounted);
            travellers = step.take((index, most), (travellers, &numbers), count, journey);
            journey.report_outputs(&travellers, &numbers);
            // Behind no gate it is certain.
            if let Some(certain) = journey.failed.iter().find(|branch| branch.gate.is_none()) {
                return Passage { gates: Vec::new(), branches: vec![certain.clone()] };
            }
        }
        let mut branches = std::mem::take(&mut journey.failed);
        branches.extend(self.write(travellers, &numbers, journey.reports.is_some()));
        Passage { gates: std::mem::take(&mut journey.gates), branches }
    }

    /// Writes what is left. To be read by people, it is JSON whatever the format.
    fn write(&self, travellers: Vec<Traveller>, numbers: &Numbers, for_people: bool) -> Vec<Branch<Left>> {
        let mut bytes = 0;
        let mut branches = Vec::with_capacity(travellers.len());
        for Traveller { event, gate } in travellers {
            let written = match self.format {
                // Of JSON it is told from the text.
                Format::Xml if depth_of(&event) > MAX_JSON_DEPTH => {
                    Err(Failure::new("too_deep", format!("after the processors: nested deeper than {MAX_JSON_DEPTH} levels")))
                }
                Format::Xml if !for_people => Ok(Left::Cbor(cbor::write(&event))),
                Format::Json if !self.rewrites => Ok(Left::Unchanged),
                Format::Json | Format::Xml => {
                    numbers.write(&event).map(Left::Json).map_err(|error| Failure::new("unwritable", error.to_string()))
                }
            };
            bytes += match &written {
                Ok(Left::Json(text)) => text.len(),
                Ok(Left::Cbor(map)) => map.len(),
                Ok(Left::Unchanged) | Err(_) => 0,
            };
            let end = if bytes > MAX_FAN_OUT_BYTES {
                Err(Failure::new("fan_out", format!("expected at most {MAX_FAN_OUT_BYTES} bytes out of one event")))
            } else {
                written
            };
            branches.push(Branch { gate, end });
        }
        branches
    }
}

impl Processors for Compiled {
    fn run(&self, event: &[u8], counts: &mut [ProcessorCounters]) -> Passage<Left> {
        self.travel(event, counts, &mut Journey::default())
    }
}

impl Step {
    /// Takes events through one processor, which stands at a place and may leave so many.
    fn take(
        &self,
        (index, most): (usize, usize),
        (travellers, numbers): (Vec<Traveller>, &Numbers),
        count: &mut ProcessorCounters,
        journey: &mut Journey,
    ) -> Vec<Traveller> {
        if let Some(reports) = &mut journey.reports {
            let received = travellers.len();
            reports.push(StepReport { path: self.path.clone(), received, outputs: Vec::new(), failures: Vec::new() });
        }
        let mut left = Vec::with_capacity(travellers.len());
        for Traveller { event, gate } in travellers {
            count.received += 1;
            match self.action.apply(event, numbers) {
                Ok(Given::One(event)) => {
                    count.sent += 1;
                    left.push(Traveller { event, gate });
                }
                Ok(Given::Many(events)) if left.len() + events.len() > most => {
                    count.failed += 1;
                    let failure = Failure::at(&self.path, "fan_out", format!("expected at most {most} events out of one"));
                    // Whichever gate is open, the event has failed.
                    let gates: BTreeSet<Option<usize>> = left.iter().map(|traveller: &Traveller| traveller.gate).chain([gate]).collect();
                    gates.into_iter().for_each(|gate| journey.fail(gate, failure.clone()));
                    return Vec::new();
                }
                Ok(Given::Many(events)) => {
                    count.sent += events.len() as u64;
                    left.extend(events.into_iter().map(|event| Traveller { event, gate }));
                }
                Ok(Given::Asks(event, question)) => {
                    count.sent += 1;
                    let gate = question.map_or(gate, |question| {
                        journey.gates.push(Gate { before: gate, processor: index, question });
                        Some(journey.gates.len() - 1)
                    });
                    left.push(Traveller { event, gate });
                }
                Err((code, detail)) => {
                    count.failed += 1;
                    journey.fail(gate, Failure::at(&self.path, code, detail.chars().take(MAX_DETAIL).collect::<String>()));
                    if gate.is_none() {
                        return Vec::new();
                    }
                }
            }
        }
        left
    }
}

impl Journey {
    fn report_outputs(&mut self, travellers: &[Traveller], numbers: &Numbers) {
        let Some(report) = self.reports.as_mut().and_then(|reports| reports.last_mut()) else { return };
        for text in travellers.iter().filter_map(|traveller| numbers.write(&traveller.event).ok()) {
            self.room = self.room.saturating_sub(text.len());
            if self.room == 0 {
                break;
            }
            report.outputs.push(text);
        }
    }

    fn fail(&mut self, gate: Option<usize>, failure: Failure) {
        if let Some(report) = self.reports.as_mut().and_then(|reports| reports.last_mut()) {
            report.failures.push(failure.clone());
        }
        self.failed.push(Branch { gate, end: Err(failure) });
    }
}

#[cfg(test)]
mod tests;
