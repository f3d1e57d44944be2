//! A batch from Kinesis: in, through the domain, and back as Lambda wants to hear of it.

use aws_lambda_events::event::kinesis::{KinesisEvent, KinesisEventRecord};
use aws_lambda_events::event::streams::KinesisEventResponse;
use domain::process::{BatchReport, Pipeline, RawRecord};
use domain::publish::Deadline;
use lambda_runtime::{Error, LambdaEvent};
use telemetry::{InvocationLine, Unit};
use time::OffsetDateTime;

use crate::context::Context;

/// Processes a batch. Answers with the sequence number from which it must come again, if it must.
///
/// # Errors
/// The batch cannot be processed at all just now; Lambda sends it again.
pub async fn handle(context: &Context, event: LambdaEvent<KinesisEvent>) -> Result<KinesisEventResponse, Error> {
    let started = context.system.now();
    let records = event.payload.records;
    let Some(first) = records.first() else { return Ok(KinesisEventResponse::default()) };
    // A mapping reads one stream, so a batch has one source.
    let raw_stream = stream_name(first);
    let route = match context.route(raw_stream).await {
        Ok(Some(route)) => route,
        // Nothing is done, so all of it comes again.
        Ok(None) => {
            return Err(refused(context, &event.context.request_id, raw_stream, format!("no stream is known for {raw_stream}").into()));
        }
        Err(fault) => return Err(refused(context, &event.context.request_id, raw_stream, fault.into())),
    };

    let raw: Vec<RawRecord<'_>> = records.iter().map(raw_record).collect();
    let pipeline =
        Pipeline { publisher: context.publisher.as_ref(), dead_letters: context.dead_letters.as_ref(), system: context.system.as_ref() };
    let deadline = Deadline::before_invocation_end(invocation_end(event.context.deadline));
    let report = pipeline.process_batch(&route, &raw, &event.context.request_id, deadline).await;

    log_line(context, &event.context.request_id, raw_stream, &records, report, started);
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
fn stream_name(record: &KinesisEventRecord) -> &str {
    let arn = record.event_source_arn.as_deref().unwrap_or_default();
    arn.rsplit_once('/').map_or(arn, |(_, name)| name)
}

fn raw_record(record: &KinesisEventRecord) -> RawRecord<'_> {
    RawRecord {
        data: &record.kinesis.data.0,
        partition_key: &record.kinesis.partition_key,
        sequence_number: &record.kinesis.sequence_number,
    }
}

fn invocation_end(deadline_milliseconds: u64) -> OffsetDateTime {
    let nanoseconds = i128::from(deadline_milliseconds) * 1_000_000;
    OffsetDateTime::from_unix_timestamp_nanos(nanoseconds).unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

fn log_line(
    context: &Context,
    request_id: &str,
    raw_stream: &str,
    records: &[KinesisEventRecord],
    report: BatchReport,
    started: OffsetDateTime,
) {
    let finished = context.system.now();
    let newest = records.last().map(|record| record.kinesis.approximate_arrival_timestamp.timestamp_millis());
    let age = newest.map_or(0, |arrived| (finished.unix_timestamp_nanos() / 1_000_000) as i64 - arrived);
    let mut line = InvocationLine::new("process-stream");
    line.field("request.id", request_id)
        .field("stream.name", raw_stream)
        .metric("events.read", Unit::Count, report.read)
        .metric("events.forwarded", Unit::Count, report.forwarded)
        .metric("events.dead_lettered", Unit::Count, report.dead_lettered)
        .metric("events.returned", Unit::Count, report.resume_at.map_or(0, |index| report.read - index))
        .metric("iterator_age_ms", Unit::Milliseconds, age.max(0))
        .metric("duration_ms", Unit::Milliseconds, (finished - started).as_seconds_f64() * 1_000.0);
    line.emit(finished);
}
