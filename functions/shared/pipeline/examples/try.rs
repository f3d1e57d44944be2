//! Tries a stream document's pipeline on events of a file: `try STREAM_FILE EVENTS_FILE`, as `make try` does.
//!
//! Prints one line of JSON for each event, as `POST /streams/{id}/{version}/test` answers it, and the totals on the standard error. Resources
//! that the document names are read from `resources/{type}/{id}.yaml` (or `.yml`, `.json`) beside it, where `make apply` finds them.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command of people")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;
use std::{env, fs};

use domain::declaration::{Draft, Leniency};
use domain::document::StreamDocument;
use domain::process::{EventTime, Route};
use domain::reference::unknown_resources;
use domain::resource::{ResourceKey, ResourceKind};
use domain::resource_config::ResourceConfig;
use domain::resource_declaration::ResourceDeclaration;
use pipeline::Resources;
use pipeline::run::Compiled;
use pipeline::trial::{TrialLimits, TrialStatus, events_in, try_out};

/// What a trial may take: what people wait for, and what a machine holds.
const MOST: TrialLimits = TrialLimits { time: Duration::from_secs(600), bytes: 1024 * 1024 * 1024 };

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [stream, events] = &arguments[..] else {
        eprintln!("usage: make try STREAM=file.yaml EVENTS=file.ndjson");
        return ExitCode::FAILURE;
    };
    match run(Path::new(stream), Path::new(events)) {
        Ok(summary) => {
            eprintln!("{summary}");
            ExitCode::SUCCESS
        }
        Err(problems) => {
            problems.iter().for_each(|problem| eprintln!("{problem}"));
            ExitCode::FAILURE
        }
    }
}

/// Prints the trials and gives the totals, or everything that is wrong with the files.
fn run(stream: &Path, events: &Path) -> Result<String, Vec<String>> {
    let folder = stream.parent().unwrap_or(Path::new("."));
    let (document, resources) = declared(&read(stream)?, stream, folder)?;
    let route = route(&document);
    let compiled = Compiled::new(&route, &resources).map_err(|fault| vec![fault])?;
    let text = read(events)?;
    let events = events_in(&text, route.format).map_err(|fault| vec![format!("{}: {fault}", events.display())])?;
    let bytes: Vec<&[u8]> = events.iter().map(|event| event.as_bytes()).collect();
    let trials = try_out(compiled.as_ref(), &route, &bytes, MOST).map_err(|fault| vec![fault.to_string()])?;
    let mut counts = BTreeMap::new();
    for trial in &trials {
        *counts.entry(trial.status).or_insert(0) += 1;
        println!("{}", serde_json::to_string(trial).map_err(|error| vec![error.to_string()])?);
    }
    let of = |status| counts.get(&status).copied().unwrap_or(0);
    Ok(format!(
        "{} events: {} forwarded, {} filtered, {} deduplicated, {} dead letters",
        trials.len(),
        of(TrialStatus::Forwarded),
        of(TrialStatus::Filtered),
        of(TrialStatus::Deduplicated),
        of(TrialStatus::DeadLetter)
    ))
}

fn read(file: &Path) -> Result<String, Vec<String>> {
    fs::read_to_string(file).map_err(|error| vec![format!("{}: {error}", file.display())])
}

/// The document, checked as the API would, with the resources that it names.
fn declared(text: &str, file: &Path, folder: &Path) -> Result<(StreamDocument, Resources), Vec<String>> {
    let mut draft = Draft::parse(text, Leniency::Strict);
    let faults = pipeline::faults(draft.tree());
    draft.add(faults);
    let mut resources = Resources::new();
    if let Some(document) = draft.document() {
        let mut named: Vec<ResourceKey> = document.references().into_iter().map(|reference| reference.key).collect();
        while let Some(key) = named.pop() {
            if let Some(config) = resource(&key, folder)? {
                named.extend(config.references());
                resources.insert(key, config);
            }
        }
        let known: BTreeSet<ResourceKey> = resources.keys().cloned().collect();
        let faults = unknown_resources(draft.tree(), document, &known);
        draft.add(faults);
        draft.resolve(&resources);
    }
    let declaration =
        draft.finish().map_err(|faults| faults.iter().map(|fault| format!("{} {fault}", file.display())).collect::<Vec<_>>())?;
    Ok((declaration.document, resources))
}

fn resource(key: &ResourceKey, folder: &Path) -> Result<Option<ResourceConfig>, Vec<String>> {
    let files =
        ["yaml", "yml", "json"].map(|ending| folder.join("resources").join(key.kind.to_string()).join(format!("{}.{ending}", key.id)));
    let Some(file) = files.iter().find(|file| file.is_file()) else { return Ok(None) };
    let check = |draft: &mut Draft| {
        let faults = match key.kind {
            ResourceKind::Input => draft.tree().at(&["input"]).map_or_else(Vec::new, pipeline::input_faults),
            _ => pipeline::faults(draft.tree()),
        };
        draft.add(faults);
    };
    let declared = ResourceDeclaration::parse(key.kind, &read(file)?, Leniency::Strict, check);
    let named = |faults: Vec<String>| faults.iter().map(|fault| format!("{} {fault}", file.display())).collect::<Vec<_>>();
    declared.map(|declared| Some(declared.config)).map_err(named)
}

/// The way of events through a stream that is nowhere.
fn route(document: &StreamDocument) -> Route {
    let input = &document.input;
    Route {
        processed_stream: String::new(),
        dead_letter_stream: String::new(),
        stream: None,
        ingest_id: None,
        owner: None,
        format: input.format,
        event_id: input.event_id.clone(),
        processors: document.pipeline.processors.clone(),
        timestamp: input.timestamp.clone().map(|path| EventTime { path, format: input.timestamp_format }),
    }
}
