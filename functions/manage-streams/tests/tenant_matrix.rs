//! Every route of the table × every kind of caller, with the status that each must get.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test stops at what it did not expect")]

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use domain::access::Scope;
use domain::api_key::ApiKey;
use domain::fake_objects::{FakeObjects, with_s3_sink};
use domain::fakes::{
    FakeApiKeys, FakeDeadLetters, FakeIdempotencyKeys, FakeMarks, FakePublisher, FakeRateLeases, FakeRawStreams, FakeStacks, FakeStore,
    FakeSystem, active_stream, api_key, block_on, dead_letter, resource,
};
use domain::history::HistoryLimits;
use domain::ingest::PreparedIntakes;
use domain::letters::LetterLimits;
use domain::lifecycle::{StackStatus, Status};
use domain::names::Naming;
use domain::provision::StackProvisioner;
use domain::rate_lease::SharedRateLimiter;
use domain::record::Part;
use domain::resource::ResourceKind;
use domain::stack_request::{Deployment, StackRequest};
use domain::token::{Claims, Grant, TokenIssuer};
use http_edge::testing::{FakeVault, TestIssuer, event, send};
use http_edge::{FunctionName, ROUTES};

/// What a route answers when it does its work, and what it answers another owner.
struct Case {
    method: &'static str,
    path: &'static str,
    /// What stands for `{id}`: an object of the owner `waste`, or a name that nobody has yet.
    id: &'static str,
    /// The rest of the URL, and what an admin adds to it to say whose object is meant.
    query: &'static str,
    admin_query: &'static str,
    body: Option<&'static str>,
    success: u16,
    other_owner: u16,
}

/// A stream with an S3 sink, one without, one that nobody made yet, an API key, and a cache.
const WITH_SINK: &str = "refuse-trucks";
const WITHOUT_SINK: &str = "bus-positions";
const NEW: &str = "nobody-made-it";
const API_KEY: &str = "ak-0000000000";
const CACHE: &str = "dedupe";

/// A dead letter of the stream with a sink, and the object in which it lies.
const LETTER: &str = "dl-1767225600000-7";
const LETTERS: &str = "dead-letters/refuse-trucks/version=1/year=2026/month=01/day=01/hour=00/a";

const EVENT: &str = r#"{"time":"2018-02-07T01:26:13Z"}"#;
const PUBLIC: &str = "access_rights: public\ninput: {timestamp: $.time}\nname: a";
const S3: &str = r#"{"type":"s3"}"#;

/// An object of the owner: another one finds nothing.
const fn object(method: &'static str, path: &'static str, id: &'static str, body: Option<&'static str>, success: u16) -> Case {
    Case { method, path, id, query: "", admin_query: "", body, success, other_owner: 404 }
}

/// Everybody's own: another owner gets the same.
const fn own(method: &'static str, path: &'static str, body: Option<&'static str>, success: u16) -> Case {
    Case { method, path, id: NEW, query: "", admin_query: "", body, success, other_owner: success }
}

const CASES: &[Case] = &[
    object("POST", "/ingest/{id}", WITH_SINK, Some(EVENT), 200),
    object("POST", "/ingest/{id}/{version}", WITH_SINK, Some(EVENT), 200),
    object("POST", "/streams/{id}/{version}/events", WITH_SINK, Some(EVENT), 200),
    object("POST", "/stream/v0/data/{id}", WITH_SINK, Some(EVENT), 202),
    own("OPTIONS", "/ingest/{id}", None, 204),
    own("OPTIONS", "/ingest/{id}/{version}", None, 204),
    own("OPTIONS", "/streams/{id}/{version}/events", None, 204),
    own("OPTIONS", "/stream/v0/data/{id}", None, 204),
    Case { query: "?from_date=2018-02-07&to_date=2018-02-07", ..object("GET", "/streams/{id}/{version}/events", WITH_SINK, None, 200) },
    object("GET", "/streams/{id}/{version}/dead-letters", WITH_SINK, None, 200),
    object("POST", "/streams/{id}/{version}/dead-letters/redrive", WITH_SINK, Some(r#"{"reason":"undecodable"}"#), 200),
    object("GET", "/streams/{id}/{version}/dead-letters/{letter_id}", WITH_SINK, None, 200),
    own("GET", "/api-keys", None, 200),
    own("POST", "/api-keys", Some(r#"{"name":"a","scopes":["ingest"]}"#), 201),
    object("DELETE", "/api-keys/{id}", API_KEY, None, 204),
    object("POST", "/api-keys/{id}/tokens", API_KEY, Some(r#"{"expires_in_days":1}"#), 201),
    object("POST", "/api-keys/{id}/rotate", API_KEY, None, 200),
    own("GET", "/.well-known/jwks.json", None, 200),
    own("GET", "/ready", None, 200),
    own("GET", "/streams", None, 200),
    Case { query: "?dry_run=true", ..own("POST", "/streams", Some(r#"{"others-1": {}}"#), 200) },
    own("POST", "/streams/lint", Some("{}"), 200),
    own("GET", "/streams/schema.json", None, 200),
    own("POST", "/streams/{id}", Some("{}"), 200),
    object("GET", "/streams/{id}", WITH_SINK, None, 200),
    object("PUT", "/streams/{id}", WITH_SINK, Some(PUBLIC), 200),
    object("PATCH", "/streams/{id}", WITH_SINK, Some(r#"{"name":"a"}"#), 200),
    object("DELETE", "/streams/{id}", WITHOUT_SINK, None, 200),
    own("POST", "/streams/{id}/{version}", Some("{}"), 201),
    object("GET", "/streams/{id}/{version}", WITH_SINK, None, 200),
    object("PUT", "/streams/{id}/{version}", WITH_SINK, Some(PUBLIC), 200),
    object("PATCH", "/streams/{id}/{version}", WITH_SINK, Some(r#"{"name":"a"}"#), 200),
    object("GET", "/streams/{id}/stats", WITH_SINK, None, 200),
    object("GET", "/streams/{id}/{version}/stats", WITH_SINK, None, 200),
    object("POST", "/streams/{id}/{version}/test", WITH_SINK, Some(EVENT), 200),
    object("GET", "/streams/{id}/{version}/versions", WITH_SINK, None, 200),
    object("POST", "/streams/{id}/{version}/rollback/{n}", WITH_SINK, None, 200),
    object("DELETE", "/streams/{id}/{version}", WITHOUT_SINK, None, 200),
    object("POST", "/streams/{id}/{version}/pause", WITH_SINK, None, 200),
    object("POST", "/streams/{id}/{version}/resume", WITH_SINK, None, 200),
    object("GET", "/streams/{id}/{version}/sinks", WITH_SINK, None, 200),
    object("POST", "/streams/{id}/{version}/sinks", WITHOUT_SINK, Some(S3), 201),
    object("GET", "/streams/{id}/{version}/sinks/{type}", WITH_SINK, None, 200),
    object("DELETE", "/streams/{id}/{version}/sinks/{type}", WITH_SINK, None, 200),
    own("GET", "/resources", None, 200),
    own("POST", "/resources/{type}/{id}", Some("memory: {ttl: 1m}"), 200),
    Case { admin_query: "?owner=waste", ..object("GET", "/resources/{type}/{id}", CACHE, None, 200) },
    Case { admin_query: "?owner=waste", ..object("DELETE", "/resources/{type}/{id}", CACHE, None, 204) },
];

/// Who calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Bearer {
    /// The owner, with every scope but `admin`.
    Owner,
    /// Another owner, with the same scopes.
    OtherOwner,
    /// The owner with one scope alone.
    Alone(Scope),
    /// The owner, limited to streams that the route does not name.
    Limited,
    /// An admin of a third owner.
    Admin,
    /// Nobody.
    NoToken,
    /// The owner, yesterday.
    Expired,
    /// The owner, with an API key that was revoked.
    Revoked,
    /// The owner, with an API key that was rotated a while ago.
    Rotated,
}

const BEARERS: &[Bearer] = &[
    Bearer::Owner,
    Bearer::OtherOwner,
    Bearer::Alone(Scope::Manage),
    Bearer::Alone(Scope::Ingest),
    Bearer::Alone(Scope::Read),
    Bearer::Limited,
    Bearer::Admin,
    Bearer::NoToken,
    Bearer::Expired,
    Bearer::Revoked,
    Bearer::Rotated,
];

impl Case {
    fn expected(&self, bearer: Bearer, needed: Option<Scope>) -> u16 {
        // Open to everybody, whatever the token.
        let Some(needed) = needed else { return self.success };
        match bearer {
            Bearer::Owner | Bearer::Admin => self.success,
            Bearer::OtherOwner => self.other_owner,
            Bearer::Alone(scope) if scope == needed => self.success,
            Bearer::Alone(_) => 403,
            // A list is cut, not refused, and a document names no stream.
            Bearer::Limited if ["/streams", "/streams/lint"].contains(&self.path) => self.success,
            Bearer::Limited => 403,
            Bearer::NoToken | Bearer::Expired | Bearer::Revoked | Bearer::Rotated => 401,
        }
    }

    fn url(&self, bearer: Bearer) -> String {
        let kind = if self.path.starts_with("/resources/") { "cache" } else { "s3" };
        let path = self
            .path
            .replace("{id}", self.id)
            .replace("{version}", "1")
            .replace("{type}", kind)
            .replace("{n}", "1")
            .replace("{letter_id}", LETTER);
        format!("{path}{}{}", self.query, if bearer == Bearer::Admin { self.admin_query } else { "" })
    }
}

#[test]
fn every_route_has_a_case_and_no_case_is_of_another_time() {
    let cases: BTreeSet<_> = CASES.iter().map(|case| (case.method, case.path)).collect();
    let routes: BTreeSet<_> = ROUTES.iter().map(|route| (route.method, route.path)).collect();
    assert_eq!(cases, routes);
    assert_eq!(CASES.len(), ROUTES.len());
}

#[tokio::test]
async fn every_caller_gets_the_status_that_the_table_says() {
    let mut wrong = Vec::new();
    let mut tried = 0;
    for case in CASES {
        let route = http_edge::route_table::find(case.path, &case.method.parse().unwrap()).unwrap();
        for bearer in BEARERS {
            // Anew each time: what one caller deleted, the next one should find.
            let bench = Bench::new();
            let got = bench.call(route.function, bearer, case).await;
            let expected = case.expected(*bearer, route.scope);
            if got != expected {
                wrong.push(format!("{} {} as {bearer:?}: expected {expected}, got {got}", case.method, case.path));
            }
            tried += 1;
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
    assert_eq!(tried, ROUTES.len() * BEARERS.len());
}

/// All functions over one store.
struct Bench {
    vault: Arc<FakeVault>,
    system: Arc<FakeSystem>,
    api_keys: Arc<FakeApiKeys>,
    ingest_events: Router,
    manage_keys: Router,
    manage_streams: Router,
    query_history: Router,
}

impl Bench {
    fn new() -> Self {
        let (vault, api_keys, system) = (Arc::new(FakeVault::default()), Arc::new(FakeApiKeys::default()), Arc::new(FakeSystem::new()));
        let (store, publisher) = (Arc::new(FakeStore::default()), Arc::new(FakePublisher::default()));
        let issuer = vault.issuer();
        let authenticator = issuer.authenticator_with(api_keys.clone(), system.clone());
        store.insert(with_s3_sink(active_stream(WITH_SINK, "1", "waste"), Status::Active));
        store.insert(active_stream(WITHOUT_SINK, "1", "waste"));
        store.insert_resource(resource("waste", ResourceKind::Cache, CACHE, "memory: {}"));
        api_keys.insert(api_key("waste", &[Scope::Ingest]));
        let ingest_events = ingest_events::routes::app(ingest_events::context::Context {
            intakes: Arc::new(PreparedIntakes::new(store.clone(), store.clone(), |_| Ok(None), system.clone())),
            publisher,
            dead_letters: Arc::new(FakeDeadLetters::default()),
            limiter: Arc::new(SharedRateLimiter::new(Arc::new(FakeRateLeases::default()))),
            keys: Arc::new(FakeIdempotencyKeys::default()),
            authenticator: authenticator.clone(),
            system: system.clone(),
        });
        let tokens = TokenIssuer { signer: vault.clone(), keys: vault.clone(), issuer: issuer.issuer.clone(), system: system.clone() };
        let manage_keys = manage_keys::routes::app(manage_keys::context::Context {
            keys: api_keys.clone(),
            tokens: Arc::new(tokens),
            authenticator: authenticator.clone(),
            system: system.clone(),
        });
        let deployment = Deployment {
            naming: Naming { name_prefix: "dp".into(), stack_prefix: "mr-test".into() },
            data_bucket: "bucket".into(),
            process_function_arn: "arn:process".into(),
            permissions_boundary_arn: "arn:boundary".into(),
            default_shards: 1,
            default_retention_hours: 24,
        };
        let stacks = Arc::new(FakeStacks::default());
        let stream = StackRequest::new(&active_stream(WITH_SINK, "1", "waste"), Part::Stream, &deployment);
        block_on(stacks.create(&stream)).unwrap();
        stacks.turn_all(StackStatus::CreateInProgress, StackStatus::CreateComplete, None);
        let context = manage_streams::context::Context::new(store.clone(), stacks, deployment, authenticator.clone(), system.clone());
        let manage_streams = manage_streams::routes::app(context);
        let objects = FakeObjects::default();
        let stopped_at = domain::system::System::now(system.as_ref());
        objects.put(LETTERS, stopped_at, serde_json::to_vec(&dead_letter(stopped_at, "7", "not json")).unwrap());
        let query_history = query_history::routes::app(query_history::context::Context {
            streams: store,
            objects: Arc::new(objects),
            limits: HistoryLimits::default(),
            marks: Arc::new(FakeMarks::default()),
            raw_streams: Arc::new(FakeRawStreams::default()),
            letter_limits: LetterLimits::default(),
            authenticator,
            system: system.clone(),
        });
        Self { vault, system, api_keys, ingest_events, manage_keys, manage_streams, query_history }
    }

    async fn call(&self, function: FunctionName, bearer: &Bearer, case: &Case) -> u16 {
        let router = match function {
            FunctionName::IngestEvents => &self.ingest_events,
            FunctionName::ManageKeys => &self.manage_keys,
            FunctionName::ManageStreams => &self.manage_streams,
            FunctionName::QueryHistory => &self.query_history,
        };
        let token = self.token(*bearer);
        send(router, &event(case.method, &case.url(*bearer), token.as_deref(), case.body)).await.status
    }

    fn token(&self, bearer: Bearer) -> Option<String> {
        let all = [Scope::Manage, Scope::Ingest, Scope::Read];
        let token = match bearer {
            Bearer::NoToken => return None,
            Bearer::Owner => self.issuer().token("waste", &all),
            Bearer::OtherOwner => self.issuer().token("transport", &all),
            Bearer::Alone(scope) => self.issuer().token("waste", &[scope]),
            Bearer::Admin => self.issuer().token("operations", &[Scope::Admin]),
            Bearer::Expired => {
                let claims = self.claims(&api_key("waste", &all).grant());
                let day = 24 * 60 * 60;
                self.issuer().sign(&Claims { exp: claims.exp - day - 60, key: None, ..claims })
            }
            Bearer::Limited => {
                let streams = Some(vec!["others-*".parse().unwrap()]);
                self.issuer().sign(&self.claims(&Grant { streams, key: None, ..api_key("waste", &all).grant() }))
            }
            Bearer::Revoked => {
                let key = ApiKey { id: "ak-ZZZZZZZZZZ".parse().unwrap(), ..api_key("waste", &all) };
                self.api_keys.insert(key.clone());
                let token = self.issuer().sign(&self.claims(&key.grant()));
                self.api_keys.revoke(&key.id);
                token
            }
            Bearer::Rotated => {
                let key = api_key("waste", &all);
                let token = self.issuer().sign(&self.claims(&key.grant()));
                let now = domain::system::System::now(self.system.as_ref());
                self.api_keys.insert(key.rotated(Duration::from_secs(60), now, "kari").unwrap());
                self.system.advance(Duration::from_secs(60));
                token
            }
        };
        Some(token)
    }

    fn claims(&self, grant: &Grant) -> Claims {
        self.issuer().claims_for(grant, self.system.as_ref())
    }

    fn issuer(&self) -> &TestIssuer {
        self.vault.issuer()
    }
}
