//! The function on fakes, and notifications as CloudFormation sends them.

use std::sync::Arc;

use aws_lambda_events::event::sns::SnsEvent;
use domain::fakes::{FakeStacks, FakeStore, FakeSystem, active_stream};
use domain::ids::StreamKey;
use domain::lifecycle::{StackState, Status};
use domain::names::Naming;
use domain::output::S3Settings;
use domain::record::{SinkKind, SinkRecord, StreamRecord};
use domain::stack_request::Deployment;
use domain::system::System;
use lambda_runtime::{Error, LambdaEvent};
use record_stack_status::context::Context;
use record_stack_status::handler::handle;
use serde_json::{Value, json};

/// The stacks as the fixture names the first of them.
pub(crate) const STREAM_STACK: &str = "mr-test-stream-refuse-trucks-1-0000002a";
pub(crate) const SINK_STACK: &str = "mr-test-sink-s3-refuse-trucks-1-0000002b";
pub(crate) const REASON: &str = "The following resource(s) failed to create: [RawStream]. Rollback requested by user.";

/// The function and everything behind it: `refuse-trucks/1`, being created.
pub(crate) struct Bench {
    pub(crate) store: Arc<FakeStore>,
    pub(crate) stacks: Arc<FakeStacks>,
    pub(crate) system: Arc<FakeSystem>,
    context: Context,
}

impl Bench {
    pub(crate) fn new() -> Self {
        let (store, system) = (Arc::new(FakeStore::default()), Arc::new(FakeSystem::new()));
        let mut record = active_stream("refuse-trucks", "1", "waste");
        record.stack = creating(STREAM_STACK, system.as_ref());
        store.insert(record);
        let deployment = Deployment {
            naming: Naming { name_prefix: "dp".into(), stack_prefix: "mr-test".into() },
            data_bucket: "bucket".into(),
            process_function_arn: "arn:process".into(),
            permissions_boundary_arn: "arn:boundary".into(),
            default_shards: 1,
            default_retention_hours: 24,
        };
        let stacks = Arc::new(FakeStacks::default());
        let context = Context { index: store.clone(), streams: store.clone(), stacks: stacks.clone(), deployment, system: system.clone() };
        Self { store, stacks, system, context }
    }

    /// The stream is `ACTIVE`, its S3 sink is being created.
    pub(crate) fn with_sink() -> Self {
        let bench = Self::new();
        bench.change(|record| {
            record.stack.status = Status::Active;
            let stack = creating(SINK_STACK, bench.system.as_ref());
            let sink = SinkRecord {
                settings: S3Settings::default(),
                wanted: None,
                stack,
                updated_at: bench.system.now(),
                updated_by: "tester".into(),
            };
            record.sinks.insert(SinkKind::S3, sink);
        });
        bench
    }

    pub(crate) fn change(&self, change: impl FnOnce(&mut StreamRecord)) {
        let mut record = self.stored().unwrap();
        change(&mut record);
        self.store.insert(record);
    }

    pub(crate) fn stored(&self) -> Option<StreamRecord> {
        self.store.stored(&StreamKey { id: "refuse-trucks".parse().unwrap(), version: "1".parse().unwrap() })
    }

    pub(crate) fn sink(&self) -> Option<SinkRecord> {
        self.stored().unwrap().sinks.get(&SinkKind::S3).cloned()
    }

    /// The stream's status and reason.
    pub(crate) fn status(&self) -> (Status, Option<String>) {
        let stack = self.stored().unwrap().stack;
        (stack.status, stack.reason)
    }

    pub(crate) async fn hear(&self, messages: &[String]) -> Result<(), Error> {
        let event: SnsEvent = serde_json::from_value(event(messages)).unwrap();
        handle(&self.context, LambdaEvent::new(event, lambda_runtime::Context::default())).await
    }
}

pub(crate) fn creating(stack_name: &str, system: &FakeSystem) -> StackState {
    let mut stack = StackState::creating(stack_name.to_owned(), system.now());
    stack.stack_id = Some(stack_id(stack_name));
    stack
}

/// The recorded event.
pub(crate) fn recorded() -> Value {
    serde_json::from_str(include_str!("../fixtures/stack-notification.json")).unwrap()
}

/// The recorded event, with these messages in records of their own.
pub(crate) fn event(messages: &[String]) -> Value {
    let record = &recorded()["Records"][0];
    let records = messages.iter().map(|message| {
        let mut record = record.clone();
        record["Sns"]["Message"] = json!(message);
        record
    });
    json!({"Records": records.collect::<Vec<_>>()})
}

/// The recorded message, which says `CREATE_COMPLETE`.
pub(crate) fn create_complete() -> String {
    recorded()["Records"][0]["Sns"]["Message"].as_str().unwrap().to_owned()
}

/// The recorded message with other words in these fields.
pub(crate) fn message(changes: &[(&str, &str)]) -> String {
    let line = |line: &str| {
        let (key, _) = line.split_once('=').unwrap();
        match changes.iter().find(|(changed, _)| *changed == key) {
            Some((_, value)) => format!("{key}='{value}'\n"),
            None => format!("{line}\n"),
        }
    };
    create_complete().lines().map(line).collect()
}

/// What CloudFormation says of a stack of ours.
pub(crate) fn news(stack_name: &str, status: &str, reason: &str) -> String {
    let id = stack_id(stack_name);
    let stack = [("StackName", stack_name), ("StackId", &id), ("PhysicalResourceId", &id), ("LogicalResourceId", stack_name)];
    message(&[&stack[..], &[("ResourceStatus", status), ("ResourceStatusReason", reason)]].concat())
}

/// What CloudFormation says of a resource of a stack of ours.
pub(crate) fn resource_news(stack_name: &str, resource: &str, status: &str, reason: &str) -> String {
    message(&[
        ("StackName", stack_name),
        ("StackId", &stack_id(stack_name)),
        ("LogicalResourceId", resource),
        ("PhysicalResourceId", ""),
        ("ResourceType", "AWS::Kinesis::Stream"),
        ("ResourceStatus", status),
        ("ResourceStatusReason", reason),
    ])
}

pub(crate) fn stack_id(stack_name: &str) -> String {
    format!("arn:aws:cloudformation:eu-west-1:000000000000:stack/{stack_name}/6fd0cd70-e6a8-11f0-9c2b-0a3d1f7e5b11")
}
