//! The function on fakes. Nothing exists yet; the caller is the owner `waste`.

use std::sync::Arc;

use axum::Router;
use domain::access::Scope;
use domain::fakes::{FakeStacks, FakeStore, FakeSystem, resource};
use domain::ids::StreamKey;
use domain::lifecycle::StackStatus;
use domain::limits::RECONCILE_AFTER;
use domain::names::Naming;
use domain::provision::{ProvisionFault, Streams};
use domain::resource::{ResourceKind, ResourceStore};
use domain::stack_request::Deployment;
use domain::stats::StatsReader;
use domain::store::FaultyStreams;
use http_edge::testing::{Answer, TestIssuer, event, send};
use http_edge::{FunctionName, ROUTES};
use manage_streams::context::Context;
use manage_streams::routes;

/// Bento's path.
pub(crate) const NEWEST: &str = "/streams/refuse-trucks";
/// okdata's path.
pub(crate) const STREAM: &str = "/streams/refuse-trucks/1";
/// The stream's sinks.
pub(crate) const SINKS: &str = "/streams/refuse-trucks/1/sinks";
/// One of them.
pub(crate) const S3: &str = "/streams/refuse-trucks/1/sinks/s3";
/// Asks for it.
pub(crate) const S3_SINK: &str = r#"{"type":"s3"}"#;
/// A stream with everything in it that is not a default.
pub(crate) const DOCUMENT: &str = r#"{"name":"Refuse trucks","metadata":{"team":"waste"},"access_rights":"public","input":{"timestamp":"$.time"},"buffer":{"kinesis":{"shards":2}}}"#;

/// The same with another name and another size limit, which need nothing of its stack.
pub(crate) const RENAMED: &str = r#"{"name":"Trucks","metadata":{"team":"waste"},"access_rights":"public","input":{"timestamp":"$.time","max_event_bytes":1000},"buffer":{"kinesis":{"shards":2}}}"#;
/// The same with a longer retention, which needs an update of its stack.
pub(crate) const RETAINED: &str = r#"{"name":"Refuse trucks","metadata":{"team":"waste"},"access_rights":"public","input":{"timestamp":"$.time"},"buffer":{"kinesis":{"shards":2,"retention_hours":48}}}"#;

/// The function and everything behind it.
pub(crate) struct Bench {
    pub(crate) issuer: TestIssuer,
    pub(crate) store: Arc<FakeStore>,
    pub(crate) stacks: Arc<FakeStacks>,
    pub(crate) system: Arc<FakeSystem>,
    router: Router,
}

impl Bench {
    /// CloudFormation takes every request.
    pub(crate) fn new() -> Self {
        Self::with_script([])
    }

    /// CloudFormation fails by the script, one fault a call; then it takes every request.
    pub(crate) fn with_script(script: impl IntoIterator<Item = ProvisionFault>) -> Self {
        let store = Arc::new(FakeStore::default());
        Self::with_store(store.clone(), store, script)
    }

    /// Keeps streams in `store` by way of `access`.
    pub(crate) fn with_store<T>(store: Arc<FakeStore>, access: Arc<T>, script: impl IntoIterator<Item = ProvisionFault>) -> Self
    where
        T: Streams + FaultyStreams + StatsReader + ResourceStore + 'static,
    {
        let issuer = TestIssuer::default();
        let stacks = Arc::new(FakeStacks::with_script(script));
        let system = Arc::new(FakeSystem::new());
        let deployment = Deployment {
            naming: Naming { name_prefix: "dp".into(), stack_prefix: "mr-test".into() },
            data_bucket: "bucket".into(),
            process_function_arn: "arn:process".into(),
            permissions_boundary_arn: "arn:boundary".into(),
            default_shards: 1,
            default_retention_hours: 24,
        };
        let authenticator = issuer.authenticator(system.clone());
        let context = Context::new(access, stacks.clone(), deployment, authenticator, system.clone());
        Self { issuer, store, stacks, system, router: routes::app(context) }
    }

    /// With the stream, `ACTIVE`.
    pub(crate) async fn with_stream() -> Self {
        let bench = Self::new();
        bench.make(STREAM, DOCUMENT).await;
        bench
    }

    /// With the stream and its S3 sink, both `ACTIVE`, and a cache of the stream's name.
    pub(crate) async fn with_sink() -> Self {
        let bench = Self::with_stream().await;
        bench.make(SINKS, S3_SINK).await;
        bench.store.insert_resource(resource("waste", ResourceKind::Cache, "refuse-trucks", "memory: {}"));
        bench
    }

    /// Makes something and lets CloudFormation finish it.
    pub(crate) async fn make(&self, path: &str, body: &str) {
        let answer = self.post(path, body).await;
        assert_eq!(answer.status, 201, "{}", answer.body);
        self.finish_stacks();
        assert_eq!(self.get(path).await.status, 200);
    }

    /// Time passes, and CloudFormation finishes what it is at.
    pub(crate) fn finish_stacks(&self) {
        self.stacks.turn_all(StackStatus::CreateInProgress, StackStatus::CreateComplete, None);
        self.stacks.turn_all(StackStatus::UpdateInProgress, StackStatus::UpdateComplete, None);
        self.stacks.turn_all(StackStatus::DeleteInProgress, StackStatus::DeleteComplete, None);
        self.system.advance(RECONCILE_AFTER);
    }

    /// Time passes, and CloudFormation gives up what it is at.
    pub(crate) fn fail_stacks(&self, reason: &str) {
        self.stacks.turn_all(StackStatus::CreateInProgress, StackStatus::RollbackComplete, Some(reason));
        self.stacks.turn_all(StackStatus::UpdateInProgress, StackStatus::UpdateRollbackComplete, Some(reason));
        self.stacks.turn_all(StackStatus::DeleteInProgress, StackStatus::DeleteFailed, Some(reason));
        self.system.advance(RECONCILE_AFTER);
    }

    /// Reads, with a token that may manage and read.
    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.call("GET", path, None).await
    }

    /// Posts, with a token that may manage.
    pub(crate) async fn post(&self, path: &str, body: &str) -> Answer {
        self.call("POST", path, Some(body)).await
    }

    /// Puts, with a token that may manage.
    pub(crate) async fn put(&self, path: &str, body: &str) -> Answer {
        self.call("PUT", path, Some(body)).await
    }

    /// Patches, with a token that may manage.
    pub(crate) async fn patch(&self, path: &str, body: &str) -> Answer {
        self.call("PATCH", path, Some(body)).await
    }

    /// Deletes, with a token that may manage.
    pub(crate) async fn delete(&self, path: &str) -> Answer {
        self.call("DELETE", path, None).await
    }

    /// Calls with a token that may manage and read.
    pub(crate) async fn call(&self, method: &str, path: &str, body: Option<&str>) -> Answer {
        self.call_as(Some(&self.issuer.token("waste", &[Scope::Manage, Scope::Read])), method, path, body).await
    }

    /// Calls with a token that may manage, and another header.
    pub(crate) async fn call_with(&self, header: (&str, &str), method: &str, path: &str, body: Option<&str>) -> Answer {
        let mut event = event(method, path, Some(&self.token("waste", Scope::Manage)), body);
        event["headers"][header.0] = header.1.into();
        send(&self.router, &event).await
    }

    /// Calls with any token, or none.
    pub(crate) async fn call_as(&self, token: Option<&str>, method: &str, path: &str, body: Option<&str>) -> Answer {
        send(&self.router, &event(method, path, token, body)).await
    }

    /// Calls with a token that may manage and with an `If-Match`.
    pub(crate) async fn call_if(&self, tag: &str, method: &str, path: &str, body: &str) -> Answer {
        let mut event = event(method, path, Some(&self.token("waste", Scope::Manage)), Some(body));
        event["headers"]["if-match"] = serde_json::json!(tag);
        send(&self.router, &event).await
    }

    /// The function itself, for events that `call_as` does not make.
    pub(crate) fn router(&self) -> &Router {
        &self.router
    }

    /// A token.
    pub(crate) fn token(&self, owner: &str, scope: Scope) -> String {
        self.issuer.token(owner, &[scope])
    }

    /// How many stacks of ours CloudFormation was asked for.
    pub(crate) fn stacks_asked_for(&self) -> usize {
        self.stacks.requests().len()
    }
}

/// What an update leads to, as the stream shows it: status, number of the config that runs, reason.
pub(crate) fn outcome(answer: &Answer) -> (&str, u64, Option<&str>) {
    assert_eq!(answer.status, 200, "{}", answer.body);
    let body = &answer.body;
    (body["status"].as_str().unwrap(), body["config_version"].as_u64().unwrap(), body["reason"].as_str())
}

/// Names the stream.
pub(crate) fn key(id: &str, version: &str) -> StreamKey {
    StreamKey { id: id.parse().unwrap(), version: version.parse().unwrap() }
}

/// Every route of this function: method, path with these ids in it, the scope that it needs.
pub(crate) fn own_routes(id: &str, version: &str) -> Vec<(&'static str, String, Option<Scope>)> {
    let own = ROUTES.iter().filter(|route| route.function == FunctionName::ManageStreams);
    let kind = |pattern: &str| if pattern.starts_with("/resources/") { "cache" } else { "s3" };
    let path =
        |pattern: &str| pattern.replace("{id}", id).replace("{version}", version).replace("{type}", kind(pattern)).replace("{n}", "1");
    own.map(|route| (route.method, path(route.path), route.scope)).collect()
}
