//! Messages from the topic: each is read, matched to its stream or sink, and noted.

use aws_lambda_events::event::sns::SnsEvent;
use domain::lifecycle::Effect;
use domain::provision::{Pacer, apply_effect};
use domain::record::{Part, StreamRecord};
use domain::store::StoreFault;
use lambda_runtime::{Error, LambdaEvent};
use telemetry::{InvocationLine, Unit};

use crate::context::Context;
use crate::notification::{News, StackNotification, parse};

/// How often news is applied anew when another writer is first.
const ATTEMPTS: u32 = 5;

/// Notes every message. One that cannot be read, or is about nothing of ours, is logged and left.
///
/// # Errors
/// The store failed; SNS sends the messages again.
pub async fn handle(context: &Context, event: LambdaEvent<SnsEvent>) -> Result<(), Error> {
    let started = context.system.now();
    let (mut noted, mut ignored) = (0_u32, 0_u32);
    for record in &event.payload.records {
        match parse(&record.sns.message, started) {
            Ok(notification) if note(context, &notification).await? => noted += 1,
            Ok(notification) => {
                tracing::info!(stack.name = notification.stack_name, "news of a stack that is nobody's");
                ignored += 1;
            }
            Err(reason) => {
                tracing::debug!(reason = %reason, "a notification without news");
                ignored += 1;
            }
        }
    }
    let finished = context.system.now();
    let mut line = InvocationLine::new("record-stack-status");
    line.field("request.id", event.context.request_id.as_str())
        .metric("notifications.noted", Unit::Count, noted)
        .metric("notifications.ignored", Unit::Count, ignored)
        .metric("duration_ms", Unit::Milliseconds, (finished - started).as_seconds_f64() * 1_000.0);
    line.emit(finished);
    Ok(())
}

/// Returns whether the stack is one of ours.
async fn note(context: &Context, notification: &StackNotification) -> Result<bool, StoreFault> {
    for _ in 0..ATTEMPTS {
        let Some((record, part)) = context.index.find_by_stack(&notification.stack_name).await? else { return Ok(false) };
        let mut after = record.clone();
        // The stack that the name stood for when it was looked up may not be the one behind the part any more.
        if !after.parts().any(|(own, stack)| own == part && stack.stack_name == notification.stack_name) {
            return Ok(false);
        }
        let effect = match &notification.news {
            News::Stack(news) => after.observe(part, news),
            News::ResourceFailed(failure) => after.observe_resource_failure(part, failure),
        };
        let before = record.revision;
        match apply_effect(context.streams.as_ref(), record, after, part, effect).await? {
            // Another writer was first: look again.
            Some(current) if current.revision == before && effect != Effect::None => {}
            Some(current) => {
                go_on(context, current, part, effect).await?;
                return Ok(true);
            }
            None => return Ok(true),
        }
    }
    Err(StoreFault::new("other writers were first, again and again"))
}

/// Sinks come when their stream works or changes, and a stream goes when its last sink is gone: then somebody must say so.
async fn go_on(context: &Context, record: StreamRecord, part: Part, effect: Effect) -> Result<(), StoreFault> {
    let has_ended = effect == Effect::Updated || effect == Effect::Gone || (part == Part::Stream && record.stack.status.is_working());
    let has_more = record.parts().any(|(other, stack)| other != part && stack.status.is_in_progress());
    if has_ended && has_more {
        context.provisioning(&Pacer::default()).go_on(record).await?;
    }
    Ok(())
}
