//! A batch from Kinesis: in, through the domain, and back as Lambda wants to hear of it.

use aws_lambda_events::event::streams::KinesisEventResponse;
use domain::process::{BatchReport, Gatekeeper, Pipeline, RawRecord, Route};
use domain::publish::Deadline;
use domain::stats::add_in_time;
use domain::store::StoreFault;
use lambda_runtime::{Error, LambdaEvent};
use telemetry::{InvocationLine, Unit};

use crate::context::{Context, Known};
use crate::event::{KinesisBatch, KinesisRecord, from_milliseconds};

/// Processes a batch. Answers with the sequence number from which it must come again, if it must.
///
/// # Errors
/// The batch cannot be processed at all just now; Lambda sends it again.
pub async fn handle(context: &Context, event: LambdaEvent<KinesisBatch>) -> Result<KinesisEventResponse, Error> {
    let started = context.system.now();
    let KinesisBatch { source_arn, records } = event.payload;
    let Some(source_arn) = source_arn else { return Ok(KinesisEventResponse::default()) };
    let raw_stream = stream_name(&source_arn);
    let Known { route, processors, .. } = match context.route(raw_stream).await {
        Ok(Some(known)) => known,
        // Nothing is done, so all of it comes again.
        Ok(None) => {
            return Err(refused(context, &event.context.request_id, raw_stream, format!("no stream is known for {raw_stream}").into()));
        }
        Err(fault) => return Err(refused(context, &event.context.request_id, raw_stream, fault.into())),
    };

    let raw = raw_records(&records);
    let pipeline = Pipeline {
        processors: processors.as_deref().map(|processors| processors as _),
        gatekeeper: Gatekeeper { table: context.seen_keys.as_ref(), memory: &context.keys_in_memory, limits: &context.rate_limiter },
        publisher: context.publisher.as_ref(),
        dead_letters: context.dead_letters.as_ref(),
        system: context.system.as_ref(),
    };
    let deadline = Deadline::before_invocation_end(from_milliseconds(event.context.deadline.into()));
    let report = pipeline.process_batch(&route, &raw, &event.context.request_id, deadline).await;
    let counted = count(context, &route, &report, deadline).await;

    let mut line = InvocationLine::new("process-stream");
    line.field("request.id", event.context.request_id.as_str()).field("stream.name", raw_stream);
    complete(&mut line, &report, counted);
    let finished = context.system.now();
    line.metric("duration_ms", Unit::Milliseconds, (finished - started).as_seconds_f64() * 1_000.0);
    line.emit(finished);

    let mut response = KinesisEventResponse::default();
    if let Some(index) = report.resume_at {
        response.add_failure(raw[index].sequence_number);
    }
    Ok(response)
}

/// Notes a batch that cannot be processed at all.
fn refused(context: &Context, request_id: &str, raw_stream: &str, error: Error) -> Error {
    let mut line = InvocationLine::new("process-stream");
    line.field("request.id", request_id).field("stream.name", raw_stream).field("error", format!("{error:?}"));
    line.metric("batches.refused", Unit::Count, 1);
    line.emit(context.system.now());
    error
}

/// The name is what follows `stream/` in an ARN
/// (<https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonkinesisdatastreams.html>).
fn stream_name(arn: &str) -> &str {
    arn.rsplit_once('/').map_or(arn, |(_, name)| name)
}

/// The records of a batch, as the domain knows them.
pub fn raw_records(records: &[KinesisRecord]) -> Vec<RawRecord<'_>> {
    let mut raw = Vec::with_capacity(records.len());
    for KinesisRecord { data, partition_key, sequence_number, arrived_at } in records {
        raw.push(RawRecord { data, partition_key, sequence_number, arrived_at: *arrived_at });
    }
    raw
}

/// Adds the batch to its stream's stats. Whatever comes of that, the batch is what it is.
async fn count(context: &Context, route: &Route, report: &BatchReport, deadline: Deadline) -> Result<(), StoreFault> {
    match &route.ingest_id {
        Some(stream) => add_in_time(context.stats.as_ref(), context.system.as_ref(), deadline, stream, &report.stats).await,
        None => Ok(()),
    }
}

/// Says what became of the batch.
fn complete(line: &mut InvocationLine, report: &BatchReport, counted: Result<(), StoreFault>) {
    let counters = report.stats.counters;
    let age = u64::try_from(report.stats.iterator_age.as_millis()).unwrap_or(u64::MAX);
    line.metric("events.read", Unit::Count, report.read)
        .metric("events.forwarded", Unit::Count, counters.forwarded)
        .metric("events.filtered", Unit::Count, counters.filtered)
        .metric("events.deduplicated", Unit::Count, counters.deduplicated)
        .metric("events.dead_lettered", Unit::Count, counters.dead_lettered)
        .metric("events.returned", Unit::Count, report.resume_at.map_or(0, |index| report.read - index))
        .metric("iterator_age_ms", Unit::Milliseconds, age)
        .metric("keys.forgotten", Unit::Count, report.keys_forgotten)
        .metric("stats.dropped", Unit::Count, u8::from(counted.is_err()));
    if let Err(fault) = counted {
        line.field("stats.error", fault.chain());
    }
}
