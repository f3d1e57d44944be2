//! The stacks that the API makes.

use std::collections::BTreeSet;

use domain::fakes::{active_stream, active_stream_without_raw};
use domain::input::TimestampFormat;
use domain::names::{Naming, partition_query};
use domain::output::S3Settings;
use domain::record::{Part, SinkKind, SinkRecord};
use domain::stack_request::{Deployment, StackRequest};
use serde_yaml_ng::Value;

use crate::yaml::{all_resources, members, read, resources, shown, stack_files, stacks_directory, strings_within, texts};

/// `TemplateBody` of `CreateStack` (<https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_CreateStack.html>).
const MAX_TEMPLATE_BYTES: usize = 51_200;

fn deployment() -> Deployment {
    Deployment {
        naming: Naming { name_prefix: "dp".into(), stack_prefix: "mr-test".into() },
        data_bucket: "test-data".into(),
        process_function_arn: "arn:aws:lambda:us-east-1:000000000000:function:test-process-stream".into(),
        permissions_boundary_arn: "arn:aws:iam::000000000000:policy/test".into(),
        default_shards: 1,
        default_retention_hours: 24,
    }
}

#[test]
fn every_stack_fits_and_declares_exactly_the_parameters_that_we_pass() {
    let mut record = active_stream("refuse-trucks", "1", "waste");
    let sink = SinkRecord {
        wanted: None,
        settings: S3Settings::default(),
        stack: record.stack.clone(),
        updated_at: record.updated_at,
        updated_by: record.updated_by.clone(),
    };
    record.sinks.insert(SinkKind::S3, sink);
    let deployment = deployment();
    let parts = [("stream.yaml", Part::Stream), ("sink-s3.yaml", Part::Sink(SinkKind::S3))];
    assert_eq!(stack_files().len(), parts.len(), "each stack is the stack of a part");
    let without_raw = active_stream_without_raw("refuse-trucks", "1", "waste");
    let names = |request: StackRequest| request.parameters.into_iter().map(|(name, _)| name).collect::<Vec<_>>();
    let [with, without] = [&record, &without_raw].map(|record| names(StackRequest::new(record, Part::Stream, &deployment)));
    assert_eq!(with, without, "a stream without a raw one passes the same");
    for (file, part) in parts {
        let path = stacks_directory().join(file);
        assert!(std::fs::metadata(&path).unwrap().len() <= MAX_TEMPLATE_BYTES as u64, "{file}");
        let template = read(&path);
        let request = StackRequest::new(&record, part, &deployment);
        let passed: BTreeSet<&str> = request.parameters.iter().map(|(name, _)| *name).collect();
        assert_eq!(passed.len(), request.parameters.len(), "{file}: none is passed twice");
        assert!(request.parameters.iter().all(|(_, value)| !value.contains('\n')), "{file}");
        let declared: BTreeSet<&str> = members(&template["Parameters"]).map(|(name, _)| name).collect();
        assert_eq!(declared, passed, "{file}");
        for (name, parameter) in members(&template["Parameters"]) {
            assert!(parameter["Type"].is_string() && parameter["Description"].is_string(), "{file}: {name}");
            assert!(parameter.get("Default").is_none(), "{file}: {name} has a default, and a forgotten value would go unnoticed");
        }
    }
}

#[test]
fn a_stream_without_a_raw_one_has_no_pipeline_and_keeps_the_rest() {
    let template = read(&stacks_directory().join("stream.yaml"));
    assert_eq!(shown(&template["Conditions"]["HasRaw"]), r#"!Not [!Equals [!Ref RawStreamName, ]]"#);
    let conditional: BTreeSet<&str> =
        members(&template["Resources"]).filter(|(_, resource)| resource["Condition"] == "HasRaw").map(|(name, _)| name).collect();
    assert_eq!(conditional, BTreeSet::from(["RawDataStream", "RawPipelineTrigger"]));
    for (name, resource) in members(&template["Resources"]) {
        let text = serde_yaml_ng::to_string(resource).unwrap();
        let names_what_may_be_missing = ["RawDataStream", "RawStreamName", "RawPipelineTrigger"].iter().any(|part| text.contains(part));
        assert!(conditional.contains(name) || !names_what_may_be_missing, "{name}");
    }
}

#[test]
fn every_event_source_mapping_is_bounded_in_every_direction() {
    let mappings: Vec<(String, Value)> = all_resources("AWS::Lambda::EventSourceMapping");
    assert!(!mappings.is_empty());
    for (name, mapping) in mappings {
        let properties = &mapping["Properties"];
        assert_eq!(properties["StartingPosition"], "TRIM_HORIZON", "{name}");
        assert_eq!(properties["BisectBatchOnFunctionError"], true, "{name}");
        // Left out or -1, a batch would be tried for ever; 10,000 is the most
        // (<https://docs.aws.amazon.com/lambda/latest/api/API_CreateEventSourceMapping.html>).
        assert!(properties["MaximumRetryAttempts"].as_i64().is_some_and(|times| (0..=10_000).contains(&times)), "{name}");
        // Bounded by the parameter, whose value is below the retention (see below): what expires first is lost.
        assert_eq!(shown(&properties["MaximumRecordAgeInSeconds"]), "!Ref MaximumRecordAgeSeconds", "{name}");
        assert_eq!(texts(&properties["FunctionResponseTypes"]), ["ReportBatchItemFailures"], "{name}");
        let destination = shown(&properties["DestinationConfig"]["OnFailure"]["Destination"]);
        assert!(destination.contains(":s3:::${DataBucket}"), "{name}: the payload is kept, so in S3: {destination}");
    }
}

#[test]
fn the_pipeline_gives_up_before_an_event_expires() {
    let deployment = deployment();
    for (hours, expected) in [(24, 82_800), (48, 169_200), (8_760, 604_800)] {
        let mut record = active_stream("refuse-trucks", "1", "waste");
        record.resources.retention_hours = hours;
        let request = StackRequest::new(&record, Part::Stream, &deployment);
        let age = request.parameters.iter().find(|(name, _)| *name == "MaximumRecordAgeSeconds").unwrap();
        assert_eq!(age.1, expected.to_string());
        assert!(expected < hours * 3_600);
    }
}

#[test]
fn every_kinesis_stream_is_encrypted() {
    let streams = all_resources("AWS::Kinesis::Stream");
    assert_eq!(streams.len(), 2, "raw and processed");
    for (name, stream) in streams {
        assert_eq!(stream["Properties"]["StreamEncryption"]["EncryptionType"], "KMS", "{name}");
        assert!(stream["Properties"]["StreamEncryption"]["KeyId"].is_string(), "{name}");
        assert_eq!(shown(&stream["Properties"]["RetentionPeriodHours"]), "!Ref RetentionHours", "{name}");
    }
}

#[test]
fn every_role_of_a_stack_has_the_boundary_and_a_name_from_its_stack() {
    let mut count = 0;
    for path in stack_files() {
        for (name, role) in resources(&read(&path), "AWS::IAM::Role") {
            assert_eq!(shown(&role["Properties"]["PermissionsBoundary"]), "!Ref PermissionsBoundaryArn", "{name}");
            assert!(role["Properties"].get("RoleName").is_none(), "{name}: the service role may make none but the stack's own names");
            assert!(role["Properties"].get("ManagedPolicyArns").is_none(), "{name}");
            count += 1;
        }
    }
    assert_eq!(count, 2);
}

#[test]
fn prefixes_sort_by_time() {
    let mut count = 0;
    for (name, delivery) in all_resources("AWS::KinesisFirehose::DeliveryStream") {
        let destination = &delivery["Properties"]["ExtendedS3DestinationConfiguration"];
        for prefix in strings_within(&destination["Prefix"]).chain(strings_within(&destination["ErrorOutputPrefix"])) {
            let Some((_, partitions)) = prefix.split_once("/year=") else { continue };
            let by_arrival = "!{timestamp:yyyy}/month=!{timestamp:MM}/day=!{timestamp:dd}/hour=!{timestamp:HH}/";
            let key = |part: &str| format!("!{{partitionKeyFromQuery:{part}}}");
            let by_event_time = format!("{}/month={}/day={}/hour={}/", key("year"), key("month"), key("day"), key("hour"));
            assert!(partitions == by_arrival || partitions == by_event_time, "{name}: {prefix}");
            count += 1;
        }
    }
    assert_eq!(count, 5, "sink by arrival, sink by event time, dead letters, and two for errors");
    // Two digits of RFC 3339 text stay two digits; strftime pads.
    let query = |format| partition_query(&"$.time".parse().unwrap(), format);
    assert!(query(TimestampFormat::Rfc3339).contains(r#"month:.["time"][5:7]"#));
    assert!(query(TimestampFormat::EpochSeconds).contains(r#"month:.["time"]|strftime("%m")"#));
}
