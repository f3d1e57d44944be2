//! The OpenAPI document: made from the handlers of every function, kept in git, and equal to the route table.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test stops at what it did not expect")]

use std::collections::BTreeSet;
use std::path::Path;

use http_edge::ROUTES;
use serde_json::{Value, json};
use utoipa::OpenApi;

fn document() -> Value {
    let parts =
        [ingest_events::routes::ApiDoc::openapi(), manage_keys::routes::ApiDoc::openapi(), query_history::routes::ApiDoc::openapi()];
    let mut whole = manage_streams::routes::ApiDoc::openapi();
    for part in parts {
        whole.merge(part);
    }
    let mut document = serde_json::to_value(whole).unwrap();
    document["info"] = json!({
        "title": "Millrace",
        "version": env!("CARGO_PKG_VERSION"),
        "description": "Event streams as an API, in your own AWS account.",
        "license": {"name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0"},
    });
    document["components"]["securitySchemes"]["token"] = json!({
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "JWT",
        "description": "A token of this deployment (ES256), or of the issuer that it trusts (ES256 or RS256). Scopes: manage, ingest, read, admin.",
    });
    for operation in document["paths"].as_object_mut().unwrap().values_mut().flat_map(|path| path.as_object_mut().unwrap().values_mut()) {
        complete(operation);
    }
    document
}

/// Says once what is true of every operation: what a path holds is text, and a problem is `application/problem+json`.
fn complete(operation: &mut Value) {
    for parameter in operation.get_mut("parameters").and_then(Value::as_array_mut).into_iter().flatten() {
        parameter.as_object_mut().unwrap().entry("schema").or_insert_with(|| json!({"type": "string"}));
    }
    for response in operation["responses"].as_object_mut().unwrap().values_mut() {
        let Some(contents) = response.get_mut("content").and_then(Value::as_object_mut) else { continue };
        if contents.get("application/json").is_some_and(|content| content["schema"]["$ref"] == "#/components/schemas/ProblemBody") {
            let problem = contents.remove("application/json").unwrap();
            contents.insert("application/problem+json".to_owned(), problem);
        }
    }
}

#[test]
fn the_document_in_git_is_the_code_s() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../openapi.json");
    let text = format!("{}\n", serde_json::to_string_pretty(&document()).unwrap());
    if std::env::var_os("UPDATE_OPENAPI").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(kept == text, "openapi.json is not what the code says; `make openapi` writes it anew, then look at the difference");
}

#[test]
fn the_document_has_every_route_with_its_scope_and_no_other() {
    let document = document();
    let mut documented = BTreeSet::new();
    for (path, operations) in document["paths"].as_object().unwrap() {
        for (method, operation) in operations.as_object().unwrap() {
            let scopes: Vec<String> = operation["security"]
                .as_array()
                .unwrap()
                .iter()
                .filter_map(|option| option["token"].as_array())
                .flatten()
                .map(|scope| scope.as_str().unwrap().to_owned())
                .collect();
            documented.insert((method.to_uppercase(), path.clone(), scopes));
        }
    }
    // A preflight is the browser's own affair.
    let routed = ROUTES.iter().filter(|route| route.method != "OPTIONS").map(|route| {
        let scopes = route.scope.iter().map(|scope| scope.as_str().to_owned()).collect();
        (route.method.to_owned(), route.path.to_owned(), scopes)
    });
    assert_eq!(documented, routed.collect());
}
