//! The deployment: routes, functions, what they are told, and their logs.

use std::collections::{BTreeMap, BTreeSet};

use serde_yaml_ng::Value;

use crate::yaml::{members, read, resources, root, serving_functions, shown, template_path};

/// What every function that verifies tokens is told, in the template's own words.
const TRUST: &[(&str, &str)] = &[
    ("TOKEN_ISSUER", "!Sub urn:millrace:${AWS::StackName}"),
    ("TOKEN_AUDIENCE", "millrace"),
    ("OIDC_ISSUER", "!Ref OidcIssuer"),
    ("OIDC_AUDIENCE", "!Ref OidcAudience"),
    ("OIDC_OWNER_CLAIM", "!Ref OidcOwnerClaim"),
    ("OUTGOING_ALLOW_LIST", "!Ref OutgoingAllowList"),
];

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
        .map(|(_, permission)| shown(&permission["Properties"]["FunctionName"]).replace("!Ref ", ""))
        .collect();
    assert_eq!(invoked, serving_functions(&template));
    assert!(!invoked.contains("IssueToken"), "tokens for anybody are for IAM callers");
}

#[test]
fn every_folder_of_a_function_is_deployed() {
    let template = read(&template_path());
    let functions = resources(&template, "AWS::Serverless::Function");
    let deployed: BTreeSet<String> = functions.iter().map(|(_, function)| shown(&function["Properties"]["CodeUri"])).collect();
    let folders = std::fs::read_dir(root().join("functions")).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let expected: BTreeSet<String> = folders.filter(|folder| folder != "shared").map(|folder| format!("functions/{folder}/")).collect();
    assert_eq!(deployed, expected);
}

#[test]
fn whoever_verifies_or_signs_is_told_the_same_about_issuers() {
    let template = read(&template_path());
    let functions: BTreeMap<String, Value> = resources(&template, "AWS::Serverless::Function").into_iter().collect();
    let serving = serving_functions(&template);
    assert_eq!(serving.len(), 4);
    for function in serving.iter().map(String::as_str).chain(["IssueToken"]) {
        let variables = environment(&template, &functions[function]);
        for (name, value) in TRUST {
            assert_eq!(variables.get(*name).map(String::as_str), Some(*value), "{function}: {name}");
        }
    }
    let of_owner_claim = &template["Parameters"]["OidcOwnerClaim"];
    assert_eq!((&of_owner_claim["Default"], &of_owner_claim["MinLength"]), (&Value::from("owner"), &Value::from(1)));
    for closed_by_default in ["OidcIssuer", "OidcAudience", "OutgoingAllowList"] {
        assert_eq!(template["Parameters"][closed_by_default]["Default"], "", "{closed_by_default}");
    }
}

#[test]
fn every_function_has_a_log_group_that_forgets() {
    let template = read(&template_path());
    let groups: BTreeMap<String, Value> = resources(&template, "AWS::Logs::LogGroup").into_iter().collect();
    let functions = resources(&template, "AWS::Serverless::Function");
    assert_eq!(functions.len(), 7);
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

/// A function's variables: the template's for all, with the function's own over them.
fn environment(template: &Value, function: &Value) -> BTreeMap<String, String> {
    let for_all = &template["Globals"]["Function"]["Environment"]["Variables"];
    let own = &function["Properties"]["Environment"]["Variables"];
    let listed = [for_all, own].into_iter().filter(|variables| !variables.is_null()).flat_map(members);
    listed.map(|(name, value)| (name.to_owned(), shown(value))).collect()
}
