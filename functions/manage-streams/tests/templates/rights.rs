//! What the functions and roles may do.

use std::collections::BTreeSet;

use serde_yaml_ng::Value;

use crate::yaml::{members, policies, read, serving_functions, shown, stack_files, statements, strings_within, template_path, texts};

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

/// Everything in the table, and who may write it. Whoever writes `KEYS` can make tokens; whoever writes API keys can keep theirs alive.
const WRITERS: &[(&str, &[&str])] = &[
    ("OWNER#waste", &["ManageStreams", "RecordStackStatus"]),
    ("CLAIM#refuse-trucks", &["ManageStreams"]),
    ("SOURCE#dp.green.refuse-trucks.raw.1.json", &["ManageStreams", "RecordStackStatus"]),
    ("STACK#mr-millrace--a", &["ManageStreams", "RecordStackStatus"]),
    ("STATS#is-0123abcd", &["ManageStreams", "ProcessStream", "RecordStackStatus"]),
    ("INGEST#is-0123abcd", &["ManageStreams", "RecordStackStatus"]),
    ("IDEMPOTENCY#9f86d081", &["IngestEvents"]),
    ("RATE#waste#slow#1767225600000", &["IngestEvents"]),
    ("SEEN#9f86d081", &["ProcessStream"]),
    ("LETTERS#is-0123abcd#dl-1767225597000-4959", &["QueryHistory"]),
    ("APIKEYS#waste", &["ManageKeys"]),
    ("APIKEY#ak-0123456789", &["ManageKeys"]),
    ("KEYS", &["IssueToken", "ManageKeys"]),
];

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
            let is_anything = |resource: &str| resource == "*" || resource.ends_with(":*:*:*");
            if strings_within(&statement["Resource"]).any(is_anything) {
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

#[test]
fn every_access_to_the_table_names_its_partitions_and_each_has_few_writers() {
    let accesses = table_accesses();
    for (partition, expected) in WRITERS {
        let writing = accesses.iter().filter(|access| access.does_any_of(TABLE_WRITES) && access.reaches(partition));
        let writers: BTreeSet<&str> = writing.map(|access| access.function.as_str()).collect();
        assert_eq!(writers, expected.iter().copied().collect(), "{partition}");
    }
    let named: BTreeSet<&str> = accesses.iter().flat_map(|access| access.partitions.iter()).map(String::as_str).collect();
    for pattern in named {
        assert!(WRITERS.iter().any(|(partition, _)| matches(pattern, partition)), "{pattern} is in no list of writers");
    }
}

#[test]
fn every_function_that_serves_http_can_find_a_revoked_key() {
    let accesses = table_accesses();
    let serving = serving_functions(&read(&template_path()));
    assert!(serving.contains("ManageKeys"));
    for function in serving {
        let may = |action: &str, partition: &str| {
            accesses.iter().any(|access| access.function == function && access.does_any_of(&[action]) && access.reaches(partition))
        };
        assert!(may("dynamodb:GetItem", "APIKEYS#waste"), "{function} reads the key that a token was made with");
        assert!(may("dynamodb:Query", "KEYS"), "{function} reads the public signing keys");
    }
}

#[test]
fn only_two_functions_sign_and_none_of_them_makes_stacks() {
    let template = read(&template_path());
    let mut signers = BTreeSet::new();
    let mut builders = BTreeSet::new();
    for (function, policy) in policies(&template) {
        for (name, statement) in statements(&function, &policy) {
            let actions = texts(&statement["Action"]);
            if actions.iter().any(|action| action == "kms:Sign") {
                assert_eq!(actions, ["kms:Sign", "kms:GetPublicKey"], "{name}");
                let key = "!If [SignsWithA, !GetAtt SigningKeyA.Arn, !GetAtt SigningKeyB.Arn]";
                assert_eq!(shown(&statement["Resource"]), key, "{name}");
                signers.insert(function.clone());
            }
            if actions.iter().any(|action| action.starts_with("cloudformation:")) {
                builders.insert(function.clone());
            }
        }
    }
    assert_eq!(signers, BTreeSet::from(["IssueToken".to_owned(), "ManageKeys".to_owned()]));
    assert_eq!(builders, BTreeSet::from(["ManageStreams", "RecordStackStatus", "StackMakerPolicy"].map(str::to_owned)));
}

#[test]
fn only_who_takes_events_or_puts_them_back_writes_raw_ones_and_only_two_functions_write_processed_ones() {
    let mut writers: Vec<(String, String)> = Vec::new();
    for (function, policy) in policies(&read(&template_path())) {
        for (_, statement) in statements(&function, &policy) {
            if texts(&statement["Action"]).iter().any(|action| action.starts_with("kinesis:PutRecord")) {
                let streams = strings_within(&statement["Resource"]).map(|arn| arn.rsplit_once('/').unwrap().1.to_owned());
                writers.extend(streams.map(|stream| (function.clone(), stream)));
            }
        }
    }
    let expected = [("IngestEvents", "raw"), ("IngestEvents", "processed"), ("ProcessStream", "processed"), ("QueryHistory", "raw")];
    assert_eq!(writers, expected.map(|(function, kind)| (function.to_owned(), format!("${{NamePrefix}}.*.{kind}.*"))));
}

#[test]
fn the_past_is_read_from_events_and_dead_letters_and_nothing_else_in_the_bucket() {
    let template = read(&template_path());
    let mut found = Vec::new();
    for (_, policy) in policies(&template).into_iter().filter(|(function, _)| function == "QueryHistory") {
        for (name, statement) in statements("QueryHistory", &policy) {
            let actions = texts(&statement["Action"]);
            if actions == ["s3:ListBucket"] {
                assert_eq!(texts(&statement["Condition"]["StringLike"]["s3:prefix"]), ["processed/*", "dead-letters/*"], "{name}");
                found.push("list");
            } else if actions.iter().any(|action| action.starts_with("s3:")) {
                assert_eq!(actions, ["s3:GetObject"], "{name}");
                let read: Vec<&str> = strings_within(&statement["Resource"]).collect();
                assert_eq!(read, ["${DataBucket.Arn}/processed/*", "${DataBucket.Arn}/dead-letters/*"], "{name}");
                found.push("read");
            }
        }
    }
    assert_eq!(found, ["list", "read"]);
}

/// What one statement lets a function do with items of the table.
struct TableAccess {
    function: String,
    actions: Vec<String>,
    /// Patterns of the partitions that it is limited to.
    partitions: Vec<String>,
}

impl TableAccess {
    fn does_any_of(&self, actions: &[&str]) -> bool {
        self.actions.iter().any(|action| actions.contains(&action.as_str()))
    }

    fn reaches(&self, partition: &str) -> bool {
        self.partitions.iter().any(|pattern| matches(pattern, partition))
    }
}

/// Every access to the table itself, each of which must name its partitions.
fn table_accesses() -> Vec<TableAccess> {
    let template = read(&template_path());
    let mut found = Vec::new();
    for (function, policy) in policies(&template) {
        for (name, statement) in statements(&function, &policy) {
            let actions = texts(&statement["Action"]);
            let touches_table = actions.iter().any(|action| action.starts_with("dynamodb:"));
            let is_index = texts(&statement["Resource"]).iter().all(|resource| resource.contains("/index/"));
            if !touches_table || is_index {
                continue;
            }
            let partitions = texts(&statement["Condition"]["ForAllValues:StringLike"]["dynamodb:LeadingKeys"]);
            assert!(!partitions.is_empty(), "{name} reaches every partition");
            found.push(TableAccess { function: function.clone(), actions, partitions });
        }
    }
    found
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
