//! Every route of the API, once: which function serves it and which scope it needs.
//!
//! The routers, the template's API Gateway routes, the 405 answers and the OpenAPI document are all tested against this table. The document
//! leaves the preflights of browsers (`OPTIONS`) out.

use std::sync::LazyLock;

use domain::access::Scope;
use http::{HeaderValue, Method, header};

use crate::problem::Problem;

/// A function that serves HTTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FunctionName {
    /// `ingest-events`
    IngestEvents,
    /// `manage-keys`
    ManageKeys,
    /// `manage-streams`; also answers what matches no route.
    ManageStreams,
    /// `query-history`
    QueryHistory,
}

impl FunctionName {
    /// The name as it is deployed.
    pub fn as_str(self) -> &'static str {
        match self {
            FunctionName::IngestEvents => "ingest-events",
            FunctionName::ManageKeys => "manage-keys",
            FunctionName::ManageStreams => "manage-streams",
            FunctionName::QueryHistory => "query-history",
        }
    }
}

/// One route.
#[derive(Debug, Clone, Copy)]
pub struct Route {
    /// The method, in capitals.
    pub method: &'static str,
    /// The path, with its parameters in braces.
    pub path: &'static str,
    /// Who serves it.
    pub function: FunctionName,
    /// What a token must allow; `None` is open to everybody.
    pub scope: Option<Scope>,
}

const fn route(method: &'static str, path: &'static str, function: FunctionName, scope: Option<Scope>) -> Route {
    Route { method, path, function, scope }
}

/// Every route.
pub const ROUTES: &[Route] = &[
    route("POST", "/ingest/{id}", FunctionName::IngestEvents, Some(Scope::Ingest)),
    route("POST", "/ingest/{id}/{version}", FunctionName::IngestEvents, Some(Scope::Ingest)),
    route("POST", "/streams/{id}/{version}/events", FunctionName::IngestEvents, Some(Scope::Ingest)),
    route("POST", "/stream/v0/data/{id}", FunctionName::IngestEvents, Some(Scope::Ingest)),
    // A browser's preflight carries no token.
    route("OPTIONS", "/ingest/{id}", FunctionName::IngestEvents, None),
    route("OPTIONS", "/ingest/{id}/{version}", FunctionName::IngestEvents, None),
    route("OPTIONS", "/streams/{id}/{version}/events", FunctionName::IngestEvents, None),
    route("OPTIONS", "/stream/v0/data/{id}", FunctionName::IngestEvents, None),
    route("GET", "/streams/{id}/{version}/events", FunctionName::QueryHistory, Some(Scope::Read)),
    route("GET", "/streams/{id}/{version}/dead-letters", FunctionName::QueryHistory, Some(Scope::Read)),
    route("POST", "/streams/{id}/{version}/dead-letters/redrive", FunctionName::QueryHistory, Some(Scope::Manage)),
    route("GET", "/streams/{id}/{version}/dead-letters/{letter_id}", FunctionName::QueryHistory, Some(Scope::Read)),
    route("GET", "/api-keys", FunctionName::ManageKeys, Some(Scope::Manage)),
    route("POST", "/api-keys", FunctionName::ManageKeys, Some(Scope::Manage)),
    route("DELETE", "/api-keys/{id}", FunctionName::ManageKeys, Some(Scope::Manage)),
    route("POST", "/api-keys/{id}/tokens", FunctionName::ManageKeys, Some(Scope::Manage)),
    route("POST", "/api-keys/{id}/rotate", FunctionName::ManageKeys, Some(Scope::Manage)),
    route("GET", "/.well-known/jwks.json", FunctionName::ManageKeys, None),
    route("GET", "/ready", FunctionName::ManageStreams, None),
    route("GET", "/streams", FunctionName::ManageStreams, Some(Scope::Manage)),
    route("POST", "/streams", FunctionName::ManageStreams, Some(Scope::Manage)),
    route("POST", "/streams/lint", FunctionName::ManageStreams, Some(Scope::Manage)),
    route("GET", "/streams/schema.json", FunctionName::ManageStreams, None),
    route("POST", "/streams/{id}", FunctionName::ManageStreams, Some(Scope::Manage)),
    route("GET", "/streams/{id}", FunctionName::ManageStreams, Some(Scope::Manage)),
    route("PUT", "/streams/{id}", FunctionName::ManageStreams, Some(Scope::Manage)),
    route("PATCH", "/streams/{id}", FunctionName::ManageStreams, Some(Scope::Manage)),
    route("DELETE", "/streams/{id}", FunctionName::ManageStreams, Some(Scope::Manage)),
    route("POST", "/streams/{id}/{version}", FunctionName::ManageStreams, Some(Scope::Manage)),
    route("GET", "/streams/{id}/{version}", FunctionName::ManageStreams, Some(Scope::Manage)),
    route("PUT", "/streams/{id}/{version}", FunctionName::ManageStreams, Some(Scope::Manage)),
    route("PATCH", "/streams/{id}/{version}", FunctionName::ManageStreams, Some(Scope::Manage)),
    route("DELETE", "/streams/{id}/{version}", FunctionName::ManageStreams, Some(Scope::Manage)),
    route("GET", "/streams/{id}/stats", FunctionName::ManageStreams, Some(Scope::Read)),
    route("GET", "/streams/{id}/{version}/stats", FunctionName::ManageStreams, Some(Scope::Read)),
    route("POST", "/streams/{id}/{version}/test", FunctionName::ManageStreams, Some(Scope::Manage)),
    route("GET", "/streams/{id}/{version}/versions", FunctionName::ManageStreams, Some(Scope::Manage)),
    route("POST", "/streams/{id}/{version}/rollback/{n}", FunctionName::ManageStreams, Some(Scope::Manage)),
    route("POST", "/streams/{id}/{version}/pause", FunctionName::ManageStreams, Some(Scope::Manage)),
    route("POST", "/streams/{id}/{version}/resume", FunctionName::ManageStreams, Some(Scope::Manage)),
    route("GET", "/streams/{id}/{version}/sinks", FunctionName::ManageStreams, Some(Scope::Manage)),
    route("POST", "/streams/{id}/{version}/sinks", FunctionName::ManageStreams, Some(Scope::Manage)),
    route("GET", "/streams/{id}/{version}/sinks/{type}", FunctionName::ManageStreams, Some(Scope::Manage)),
    route("DELETE", "/streams/{id}/{version}/sinks/{type}", FunctionName::ManageStreams, Some(Scope::Manage)),
    route("GET", "/resources", FunctionName::ManageStreams, Some(Scope::Manage)),
    route("POST", "/resources/{type}/{id}", FunctionName::ManageStreams, Some(Scope::Manage)),
    route("GET", "/resources/{type}/{id}", FunctionName::ManageStreams, Some(Scope::Manage)),
    route("DELETE", "/resources/{type}/{id}", FunctionName::ManageStreams, Some(Scope::Manage)),
];

/// Finds a route by its pattern and method. `HEAD` is `GET` without the body (RFC 9110, 9.3.2), so it needs the same scope.
pub fn find(path: &str, method: &Method) -> Option<&'static Route> {
    let method = if *method == Method::HEAD { &Method::GET } else { method };
    ROUTES.iter().find(|route| route.path == path && route.method == method.as_str())
}

/// The methods of a path in the form of an `Allow` header, if any route has it.
pub fn allow(path: &str) -> Option<String> {
    static MATCHER: LazyLock<matchit::Router<&'static str>> = LazyLock::new(|| {
        let mut matcher = matchit::Router::new();
        for route in ROUTES {
            // The second method of a path is known already.
            let _ = matcher.insert(route.path, route.path);
        }
        matcher
    });
    let matched = MATCHER.at(path).ok()?;
    let methods: Vec<&str> = ROUTES.iter().filter(|route| route.path == *matched.value).map(|route| route.method).collect();
    Some(methods.join(", "))
}

/// What a path that no router took deserves: 405 with `Allow` when it has other methods, else 404.
pub(crate) fn unrouted(path: &str) -> Problem {
    let Some(allow) = allow(path) else { return Problem::not_found("there is no such route") };
    let problem = Problem::new(http::StatusCode::METHOD_NOT_ALLOWED, format!("expected one of: {allow}"));
    match HeaderValue::from_str(&allow) {
        Ok(value) => problem.with_header(header::ALLOW, value),
        Err(_) => problem,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_route_stands_twice() {
        for (index, route) in ROUTES.iter().enumerate() {
            let first = ROUTES.iter().position(|other| other.path == route.path && other.method == route.method);
            assert_eq!(first, Some(index), "{} {}", route.method, route.path);
        }
    }

    #[test]
    fn an_unknown_path_is_missing_and_a_known_one_names_its_methods() {
        assert_eq!(unrouted("/nope").status(), 404);
        assert_eq!(unrouted("/streams/a/1/events/x/y").status(), 404);
        let problem = unrouted("/streams/abc/1/events");
        assert_eq!(problem.status(), 405);
        let response = problem.into_response_with("r");
        assert_eq!(response.headers()[header::ALLOW], "POST, OPTIONS, GET");
    }
}
