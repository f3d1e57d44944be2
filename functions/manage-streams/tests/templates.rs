//! The templates, read as text: that they say what our code passes and expects, and that nothing in them was left soft.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test stops at what it did not expect")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use domain::document::TimestampFormat;
use domain::fakes::active_stream;
use domain::names::{Naming, partition_query};
use domain::record::{Part, S3Settings, SinkKind, SinkRecord};
use domain::stack_request::{Deployment, StackRequest};
use serde_yaml_ng::Value;

/// `TemplateBody` of `CreateStack` (<https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_CreateStack.html>).
const MAX_TEMPLATE_BYTES: usize = 51_200;

/// Actions that AWS lets nobody restrict to a resource, or only by a condition that stands beside them.
const UNSCOPABLE: &[(&str, Option<&str>)] = &[
    ("kinesis:ListStreams", None),
    ("lambda:CreateEventSourceMapping", Some("lambda:FunctionArn")),
    ("lambda:DeleteEventSourceMapping", Some("lambda:FunctionArn")),
    ("lambda:UpdateEventSourceMapping", Some("lambda:FunctionArn")),
];

const TABLE_WRITES: &[&str] = &[
    "dynamodb:PutItem",
    "dynamodb:UpdateItem",
    "dynamodb:DeleteItem",
    "dynamodb:BatchWriteItem",
    "dynamodb:PartiQLInsert",
    "dynamodb:PartiQLUpdate",
    "dynamodb:PartiQLDelete",
];

// ------------------------------------------------------------------ the stacks that the API makes

#[test]
fn every_stack_fits_and_declares_exactly_the_parameters_that_we_pass() {
    let mut record = active_stream("refuse-trucks", "1", "waste");
    let sink = SinkRecord {
        settings: S3Settings::default(),
        stack: record.stack.clone(),
        updated_at: record.updated_at,
        updated_by: record.updated_by.clone(),
    };
    record.sinks.insert(SinkKind::S3, sink);
    let deployment = Deployment {
        naming: Naming { name_prefix: "dp".into(), stack_prefix: "mr-test".into() },
        data_bucket: "test-data".into(),
        process_function_arn: "arn:aws:lambda:us-east-1:000000000000:function:test-process-stream".into(),
        permissions_boundary_arn: "arn:aws:iam::000000000000:policy/test".into(),
        default_shards: 1,
        default_retention_hours: 24,
    };
    let parts = [("stream.yaml", Part::Stream), ("sink-s3.yaml", Part::Sink(SinkKind::S3))];
    assert_eq!(stack_files().len(), parts.len(), "each stack is the stack of a part");
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
        assert!(properties["MaximumRecordAgeInSeconds"].as_i64().is_some_and(|age| (60..86_400).contains(&age)), "{name}");
        assert_eq!(texts(&properties["FunctionResponseTypes"]), ["ReportBatchItemFailures"], "{name}");
        let destination = shown(&properties["DestinationConfig"]["OnFailure"]["Destination"]);
        assert!(destination.contains(":s3:::${DataBucket}"), "{name}: the payload is kept, so in S3: {destination}");
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

#[test]
fn no_policy_allows_more_than_it_names() {
    let mut count = 0;
    for path in stack_files().into_iter().chain([template_path()]) {
        for (name, statement) in policies(&read(&path)).into_iter().flat_map(|(name, policy)| statements(&name, &policy)) {
            count += 1;
            if statement["Effect"] == "Deny" {
                continue;
            }
            let actions = texts(&statement["Action"]);
            assert!(!actions.is_empty() && actions.iter().all(|action| !action.contains('*')), "{name}: {actions:?}");
            let is_anything = |resource: &String| resource == "*" || resource.ends_with(":*:*:*");
            if texts(&statement["Resource"]).iter().any(is_anything) {
                for action in actions {
                    let known = UNSCOPABLE.iter().find(|(unscopable, _)| *unscopable == action);
                    let (_, condition) = known.unwrap_or_else(|| panic!("{name}: {action} on every resource"));
                    assert!(condition.is_none_or(|key| condition_keys(&statement).contains(&key.to_owned())), "{name}: {action}");
                }
            }
        }
    }
    assert!(count > 30, "{count} statements were found");
}

// ------------------------------------------------------------------ template.yaml

#[test]
fn api_gateway_has_exactly_our_routes_and_one_for_everything_else() {
    let template = read(&template_path());
    let by_name = |kind: &str| resources(&template, kind).into_iter().collect::<BTreeMap<String, Value>>();
    let functions = by_name("AWS::Serverless::Function");
    let integrations = by_name("AWS::ApiGatewayV2::Integration");
    let binary = |function: &str| shown(&functions[function]["Metadata"]["BuildProperties"]["Binary"]);

    let mut deployed = BTreeSet::new();
    for (name, route) in by_name("AWS::ApiGatewayV2::Route") {
        let target = shown(&route["Properties"]["Target"]);
        let integration = target.strip_prefix("!Sub integrations/${").and_then(|rest| rest.strip_suffix('}')).unwrap();
        let properties = &integrations[integration]["Properties"];
        assert_eq!(properties["PayloadFormatVersion"], "2.0", "{integration}");
        let uri = shown(&properties["IntegrationUri"]);
        let function = uri.strip_prefix("!GetAtt ").and_then(|rest| rest.strip_suffix(".Arn")).unwrap();
        let is_new = deployed.insert((shown(&route["Properties"]["RouteKey"]), binary(function)));
        assert!(is_new, "{name} stands twice");
    }
    let ours = http_edge::ROUTES.iter().map(|route| (format!("{} {}", route.method, route.path), route.function.as_str().to_owned()));
    let expected: BTreeSet<_> = ours.chain([("$default".to_owned(), "manage-streams".to_owned())]).collect();
    assert_eq!(deployed, expected);
}

#[test]
fn every_function_that_serves_http_may_be_invoked_by_the_api_and_no_other() {
    let template = read(&template_path());
    let invoked: BTreeSet<String> = resources(&template, "AWS::Lambda::Permission")
        .iter()
        .map(|(_, permission)| shown(&permission["Properties"]["FunctionName"]))
        .collect();
    let integrated: BTreeSet<String> = resources(&template, "AWS::ApiGatewayV2::Integration")
        .iter()
        .map(|(_, integration)| shown(&integration["Properties"]["IntegrationUri"]).replace("!GetAtt ", "!Ref ").replace(".Arn", ""))
        .collect();
    assert_eq!(invoked, integrated);
    assert!(!invoked.contains("!Ref IssueToken"), "tokens are for IAM callers");
}

#[test]
fn every_access_to_the_table_names_its_partitions_and_only_issue_token_writes_keys() {
    let template = read(&template_path());
    let mut writers_of_keys = Vec::new();
    for (function, policy) in policies(&template) {
        for (name, statement) in statements(&function, &policy) {
            let actions = texts(&statement["Action"]);
            let touches_table = actions.iter().any(|action| action.starts_with("dynamodb:"));
            let is_index = texts(&statement["Resource"]).iter().all(|resource| resource.contains("/index/"));
            if !touches_table || is_index {
                continue;
            }
            let leading = texts(&statement["Condition"]["ForAllValues:StringLike"]["dynamodb:LeadingKeys"]);
            assert!(!leading.is_empty(), "{name} reaches every partition");
            let writes = actions.iter().any(|action| TABLE_WRITES.contains(&action.as_str()));
            if writes && leading.iter().any(|pattern| matches(pattern, "KEYS")) {
                writers_of_keys.push(function.clone());
            }
        }
    }
    assert_eq!(writers_of_keys, ["IssueToken"]);
}

#[test]
fn every_function_has_a_log_group_that_forgets() {
    let template = read(&template_path());
    let groups: BTreeMap<String, Value> = resources(&template, "AWS::Logs::LogGroup").into_iter().collect();
    let functions = resources(&template, "AWS::Serverless::Function");
    assert_eq!(functions.len(), 6);
    let mut used = BTreeSet::new();
    for (name, function) in functions {
        let group = shown(&function["Properties"]["LoggingConfig"]["LogGroup"]).replace("!Ref ", "");
        let properties = &groups[&group]["Properties"];
        let function_name = shown(&function["Properties"]["FunctionName"]).replace("!Sub ", "");
        assert_eq!(shown(&properties["LogGroupName"]), format!("!Sub /aws/lambda/{function_name}"), "{name}");
        assert_eq!(shown(&properties["RetentionInDays"]), "!Ref LogRetentionDays", "{name}");
        assert!(used.insert(group), "{name} shares its log group");
    }
}

// ------------------------------------------------------------------ reading YAML

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn template_path() -> PathBuf {
    root().join("template.yaml")
}

fn stacks_directory() -> PathBuf {
    root().join("infra/stacks")
}

fn stack_files() -> Vec<PathBuf> {
    std::fs::read_dir(stacks_directory()).unwrap().map(|entry| entry.unwrap().path()).collect()
}

fn read(path: &Path) -> Value {
    let text = std::fs::read_to_string(path).unwrap();
    serde_yaml_ng::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn members(mapping: &Value) -> impl Iterator<Item = (&str, &Value)> {
    mapping.as_mapping().unwrap().iter().map(|(name, value)| (name.as_str().unwrap(), value))
}

/// The resources of one type, with their logical ids.
fn resources(template: &Value, kind: &str) -> Vec<(String, Value)> {
    let of_kind = members(&template["Resources"]).filter(|(_, resource)| resource["Type"] == kind);
    of_kind.map(|(name, resource)| (name.to_owned(), resource.clone())).collect()
}

/// The resources of one type in all templates.
fn all_resources(kind: &str) -> Vec<(String, Value)> {
    stack_files().iter().chain([&template_path()]).flat_map(|path| resources(&read(path), kind)).collect()
}

/// A value as one writes it: `!Ref Table`, `text`.
fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Tagged(tagged) => format!("{} {}", tagged.tag, shown(&tagged.value)),
        other => panic!("expected text, got {other:?}"),
    }
}

/// One text or a list of them; nothing is an empty list.
fn texts(value: &Value) -> Vec<String> {
    match value {
        Value::Null => Vec::new(),
        Value::Sequence(list) => list.iter().map(shown).collect(),
        one => vec![shown(one)],
    }
}

/// Every text within a value, tags left out.
fn strings_within(value: &Value) -> Box<dyn Iterator<Item = &str> + '_> {
    match value {
        Value::String(text) => Box::new(std::iter::once(text.as_str())),
        Value::Tagged(tagged) => strings_within(&tagged.value),
        Value::Sequence(list) => Box::new(list.iter().flat_map(strings_within)),
        _ => Box::new(std::iter::empty()),
    }
}

/// Every policy document that gives a role or a function its rights, with the logical id of its resource.
fn policies(template: &Value) -> Vec<(String, Value)> {
    let mut found = Vec::new();
    for (name, resource) in members(&template["Resources"]) {
        let properties = &resource["Properties"];
        match resource["Type"].as_str().unwrap() {
            "AWS::Serverless::Function" => {
                let listed = properties["Policies"].as_sequence().unwrap_or_else(|| panic!("{name} has no policies of its own"));
                found.extend(listed.iter().map(|policy| (name.to_owned(), policy.clone())));
            }
            "AWS::IAM::Role" => {
                let listed = properties["Policies"].as_sequence().unwrap();
                found.extend(listed.iter().map(|policy| (name.to_owned(), policy["PolicyDocument"].clone())));
            }
            "AWS::IAM::ManagedPolicy" | "AWS::IAM::Policy" => found.push((name.to_owned(), properties["PolicyDocument"].clone())),
            _ => {}
        }
    }
    found
}

/// The statements of a policy, each with a name for messages.
fn statements(owner: &str, policy: &Value) -> Vec<(String, Value)> {
    let listed = policy["Statement"].as_sequence().unwrap_or_else(|| panic!("{owner}: not a policy document: {policy:?}"));
    listed.iter().map(|statement| (format!("{owner}.{}", shown(&statement["Sid"])), statement.clone())).collect()
}

fn condition_keys(statement: &Value) -> Vec<String> {
    let operators = statement["Condition"].as_mapping().into_iter().flat_map(|operators| operators.values());
    operators.flat_map(members).map(|(key, _)| key.to_owned()).collect()
}

/// IAM's `StringLike`, as far as our patterns go: a star at the end.
fn matches(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        Some((begin, rest)) => text.starts_with(begin) && (rest.is_empty() || text.ends_with(rest)),
        None => pattern == text,
    }
}
