//! A pipeline tried out: what would become of events, and what each processor did with them. Nothing is written.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use domain::dead_letter::Reason;
use domain::input::Format;
use domain::process::{Failure, Fate, Left, Passage, Processors, Route, fates_alone, transform_guarded};
use domain::stats::ProcessorCounters;
use serde::Serialize;
use serde_json::value::RawValue;

use crate::run::{Compiled, StepReport};

/// What would become of one event.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct Trial {
    /// Its place among the events, from 0.
    pub index: usize,
    /// What would become of it.
    pub status: TrialStatus,
    /// What would go on.
    #[schema(value_type = Vec<Object>)]
    pub outputs: Vec<Box<RawValue>>,
    /// Why it would become a dead letter.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<Reason>,
    /// The processor that stopped it, such as `pipeline.processors[0].mapping`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// What each processor did, as far as the event came.
    pub processors: Vec<TriedProcessor>,
}

/// What would become of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum TrialStatus {
    /// It goes on, as one event or several.
    Forwarded,
    /// It is left out on purpose.
    Filtered,
    /// One of the events before it has the same key.
    Deduplicated,
    /// It becomes a dead letter.
    DeadLetter,
}

/// What one processor did with what was left of an event.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct TriedProcessor {
    /// Its place in the document.
    pub path: String,
    /// Events that it was given.
    pub received: usize,
    /// The events that it gave on.
    #[schema(value_type = Vec<Object>)]
    pub outputs: Vec<Box<RawValue>>,
    /// Why it failed.
    pub errors: Vec<Reason>,
}

/// Takes events through the processors of a route, as a batch would be.
///
/// Keys of events that came earlier are not looked up, and rate limits are taken to have room. Maps that would be CBOR are shown as JSON.
///
/// # Errors
/// It would take longer, or say more, than allowed.
pub fn try_out(compiled: Option<&Compiled>, route: &Route, events: &[&[u8]], most: TrialLimits) -> Result<Vec<Trial>, TrialTooLarge> {
    let began = Instant::now();
    let mut room = most.bytes;
    let (mut passages, mut reports) = (Vec::with_capacity(events.len()), Vec::with_capacity(events.len()));
    for event in events {
        if began.elapsed() > most.time {
            return Err(TrialTooLarge::Time(most.time.as_secs()));
        }
        let (passage, report) = pass(compiled, route, event, room);
        let ends = passage.branches.iter().filter_map(|branch| branch.end.as_ref().ok()).map(Vec::len).sum::<usize>();
        let steps = report.iter().flat_map(|step: &StepReport| &step.outputs).map(String::len).sum::<usize>();
        room = room.checked_sub(ends + steps + event.len()).filter(|room| *room > 0).ok_or(TrialTooLarge::Bytes(most.bytes))?;
        passages.push(passage);
        reports.push(report);
    }
    let fates = fates_alone(passages).into_iter().zip(reports).enumerate();
    Ok(fates.map(|(index, (fate, reports))| trial(index, fate, reports)).collect())
}

/// What a trial may take.
#[derive(Debug, Clone, Copy)]
pub struct TrialLimits {
    /// The time after which no further event is begun.
    pub time: Duration,
    /// Bytes of the events, of what they become, and of what the processors give, together.
    pub bytes: usize,
}

/// Why a trial was given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TrialTooLarge {
    /// It took too long.
    #[error("expected events that are tried within {0} s; send fewer")]
    Time(u64),
    /// There was too much to say.
    #[error("expected events that are at most {0} bytes with all that they become; send fewer")]
    Bytes(usize),
}

/// Reads the events of a text: an XML document; or one JSON object, an array of them, or one a line.
///
/// # Errors
/// Why an array cannot be read. A line is an event whatever it is, as on a raw stream.
pub fn events_in(text: &str, format: Format) -> Result<Vec<&str>, String> {
    let text = text.trim();
    if text.is_empty() {
        return Ok(Vec::new());
    }
    if format == Format::Xml || serde_json::from_str::<&RawValue>(text).is_ok_and(|value| !value.get().starts_with('[')) {
        return Ok(vec![text]);
    }
    if text.starts_with('[') {
        let events: Result<Vec<&RawValue>, _> = serde_json::from_str(text);
        return events.map(|events| events.into_iter().map(RawValue::get).collect()).map_err(|error| format!("not JSON: {error}"));
    }
    Ok(text.lines().map(str::trim).filter(|line| !line.is_empty()).collect())
}

/// Notes what each processor did.
struct Watched<'w> {
    compiled: &'w Compiled,
    room: usize,
    reports: Mutex<Vec<StepReport>>,
}

impl Processors for Watched<'_> {
    fn run(&self, event: &[u8], _: &mut [ProcessorCounters]) -> Passage<Left> {
        let (passage, reports) = self.compiled.explain(event, self.room);
        *self.reports.lock().unwrap_or_else(PoisonError::into_inner) = reports;
        passage
    }
}

fn pass(compiled: Option<&Compiled>, route: &Route, event: &[u8], room: usize) -> (Passage<Vec<u8>>, Vec<StepReport>) {
    let watched = compiled.map(|compiled| Watched { compiled, room, reports: Mutex::default() });
    let passage = transform_guarded(event, watched.as_ref().map(|watched| watched as &dyn Processors), route, &mut []);
    let reports = watched.map(|watched| watched.reports.into_inner().unwrap_or_else(PoisonError::into_inner));
    (passage, reports.unwrap_or_default())
}

fn trial(index: usize, fate: Fate, reports: Vec<StepReport>) -> Trial {
    let processors = reports.into_iter().map(|StepReport { path, received, outputs, failures }| TriedProcessor {
        path,
        received,
        outputs: outputs.into_iter().filter_map(raw).collect(),
        errors: failures.into_iter().map(|failure| failure.reason).collect(),
    });
    let (status, records, failure) = match fate {
        Fate::Forwarded(records, _) => (TrialStatus::Forwarded, records, None),
        Fate::Filtered => (TrialStatus::Filtered, Vec::new(), None),
        Fate::Deduplicated => (TrialStatus::Deduplicated, Vec::new(), None),
        Fate::Dead(failure) => (TrialStatus::DeadLetter, Vec::new(), Some(failure)),
    };
    let (reason, path) = failure.map_or((None, None), |Failure { reason, path }| (Some(reason), path));
    let outputs = records.into_iter().filter_map(|record| raw(String::from_utf8(record).ok()?)).collect();
    Trial { index, status, outputs, reason, path, processors: processors.collect() }
}

fn raw(text: String) -> Option<Box<RawValue>> {
    RawValue::from_string(text.trim_end().to_owned()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Resources;
    use domain::resource::{ResourceKey, ResourceKind};
    use serde_json::{Value, json};

    fn tried(format: Format, processors: Value, events: &[&str]) -> Value {
        let route = json!({"processed_stream": "", "dead_letter_stream": "", "ingest_id": "is-00000001", "owner": "waste", "processors": processors});
        let route = Route { format, ..serde_json::from_value(route).unwrap() };
        let of = |kind, id: &str, config| (ResourceKey { kind, id: id.parse().unwrap() }, serde_json::from_value(config).unwrap());
        let resources = Resources::from([
            of(ResourceKind::Cache, "seen", json!({"cache": {"dynamodb": {"ttl": "5m"}}})),
            of(ResourceKind::RateLimit, "slow", json!({"rate_limit": {"local": {"count": 1, "interval": "10s"}}})),
        ]);
        let compiled = Compiled::new(&route, &resources).unwrap();
        let events: Vec<&[u8]> = events.iter().map(|event| event.as_bytes()).collect();
        json!(try_out(compiled.as_ref(), &route, &events, MOST).unwrap())
    }

    const MOST: TrialLimits = TrialLimits { time: Duration::from_secs(10), bytes: 100_000 };

    #[test]
    fn a_trial_that_is_too_large_is_given_up() {
        let route: Route = serde_json::from_value(json!({"processed_stream": "", "dead_letter_stream": ""})).unwrap();
        let tried = |most| try_out(None, &route, &[b"{\"a\": 1}", b"{}"], most).map(|_| ()).unwrap_err();
        assert_eq!(tried(TrialLimits { bytes: 15, ..MOST }), TrialTooLarge::Bytes(15));
        assert_eq!(tried(TrialLimits { time: Duration::ZERO, ..MOST }), TrialTooLarge::Time(0));
    }

    #[test]
    fn each_event_says_what_would_become_of_it_and_each_processor_what_it_did() {
        let processors = json!([{"filter": "exists(.n)"}, {"dedupe": {"key": "$.n", "cache": "seen"}}, {"rate_limit": "slow"}, {"mapping": ".n = to_int!(.n)"}]);
        let found = tried(Format::Json, processors, &[r#"{"n":"1"}"#, "{}", r#"{"n":"1"}"#, r#"{"n":"x"}"#, "nonsense"]);
        let statuses: Vec<&str> = found.as_array().unwrap().iter().map(|trial| trial["status"].as_str().unwrap()).collect();
        assert_eq!(statuses, ["forwarded", "filtered", "deduplicated", "dead_letter", "dead_letter"]);
        assert_eq!(found[0]["outputs"], json!([{"n": 1}]));
        assert_eq!(found[1]["processors"][0], json!({"path": "pipeline.processors[0].filter", "received": 1, "outputs": [], "errors": []}));
        assert_eq!((&found[3]["path"], &found[3]["reason"]["code"]), (&json!("pipeline.processors[3].mapping"), &json!("mapping")));
        assert_eq!(found[3]["processors"][3]["errors"][0], found[3]["reason"]);
        assert_eq!((&found[4]["reason"]["code"], &found[4]["processors"]), (&json!("undecodable"), &json!([])));
    }

    #[test]
    fn events_are_read_by_what_the_text_is() {
        let events = |text| events_in(text, Format::Json);
        assert_eq!(events("{\"a\":\n1}").unwrap(), ["{\"a\":\n1}"]);
        assert_eq!(events(" [{\"a\":1}, 5]\n").unwrap(), ["{\"a\":1}", "5"]);
        assert_eq!(events("{\"a\":1}\n\nnonsense\r\n{}").unwrap(), ["{\"a\":1}", "nonsense", "{}"]);
        assert_eq!(events(" ").unwrap(), [""; 0]);
        assert_eq!(events("[1,").unwrap_err(), "not JSON: EOF while parsing a value at line 1 column 3");
        assert_eq!(events_in("<a>\n</a>\n", Format::Xml).unwrap(), ["<a>\n</a>"]);
    }

    #[test]
    fn a_pipeline_without_processors_and_one_of_xml_are_tried_too() {
        assert_eq!(tried(Format::Json, json!([]), &[r#"{ "n": 1.10 }"#])[0]["outputs"], json!([{"n": 1.1}]));
        let found = tried(Format::Xml, json!([{"filter": ".n != \"1\""}]), &["<r><record><n>1</n></record><record><n>2</n></record></r>"]);
        assert_eq!(found[0]["outputs"], json!([{"n": "2"}]));
        assert_eq!(found[0]["processors"][0]["received"], json!(2));
    }
}
