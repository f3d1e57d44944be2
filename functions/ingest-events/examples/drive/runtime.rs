//! The Runtime API of Lambda (<https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html>), for one function after another.

use std::net::SocketAddr;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;

use crate::function::Function;
use crate::http::{Answer, Request, serve};

const NEXT: &str = "/2018-06-01/runtime/invocation/next";
/// How long an invocation may take: the deadline that a function is told.
const TIMEOUT: Duration = Duration::from_secs(29);
/// How long a function may take for all that it was asked to.
const PATIENCE: Duration = Duration::from_secs(120);

/// The stub.
pub(crate) struct Runtime {
    address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// Which function this is about; connections of the ones before it have ended.
    function: u64,
    event: Arc<[u8]>,
    /// Invocations to be made.
    left: usize,
    /// Since when the function waits for an event.
    idle_since: Option<Instant>,
    invocation: u64,
    handed_out_at: Option<Instant>,
    times: Vec<Duration>,
    first_answer: Option<(Instant, Vec<u8>)>,
    failure: Option<String>,
}

/// What came of some invocations.
pub(crate) struct Invocations {
    /// From handing out the event to the arrival of the answer.
    pub(crate) times: Vec<Duration>,
    pub(crate) first_answer_at: Instant,
    first_answer: Vec<u8>,
}

/// An answer to API Gateway.
#[derive(Deserialize)]
struct GatewayAnswer {
    #[serde(rename = "statusCode")]
    status_code: u16,
    #[serde(rename = "body")]
    _body: IgnoredAny,
}

impl Runtime {
    pub(crate) fn serve() -> Self {
        let shared = Arc::new(Shared::default());
        let serving = shared.clone();
        Self { address: serve(move |request| serving.answer(request)), shared }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Forgets the function before.
    pub(crate) fn expect_another(&self) {
        let mut state = self.shared.lock();
        *state = State { function: state.function + 1, ..State::default() };
        self.shared.changed.notify_all();
    }

    /// Waits until the function asks for an event that is not there.
    pub(crate) fn wait_until_idle(&self, function: &mut Function) {
        drop(self.idle(function));
    }

    pub(crate) fn idle_since(&self) -> Instant {
        self.shared.lock().idle_since.expect("the function is idle")
    }

    /// Invokes an idle function some times, one after the other, and waits until it is idle again.
    pub(crate) fn invoke(&self, event: &str, times: usize, function: &mut Function) -> Invocations {
        let mut state = self.shared.lock();
        state.event = event.as_bytes().into();
        state.left = times;
        state.times = Vec::with_capacity(times);
        state.first_answer = None;
        self.shared.changed.notify_all();
        drop(state);
        let mut state = self.idle(function);
        assert_eq!(state.times.len(), times, "answers");
        let (first_answer_at, first_answer) = state.first_answer.take().expect("there were answers");
        Invocations { times: std::mem::take(&mut state.times), first_answer_at, first_answer }
    }

    fn idle(&self, function: &mut Function) -> MutexGuard<'_, State> {
        let began = Instant::now();
        let mut state = self.shared.lock();
        while state.left > 0 || state.idle_since.is_none() {
            if let Some(failure) = &state.failure {
                panic!("the function failed: {failure}");
            }
            assert!(!function.has_ended(), "the function ended");
            assert!(began.elapsed() < PATIENCE, "the function did not do it within {PATIENCE:?}");
            state = self.shared.changed.wait_timeout(state, Duration::from_secs(1)).unwrap().0;
        }
        state
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    fn answer(&self, request: Request) -> Option<Answer> {
        let arrived_at = Instant::now();
        if request.path == NEXT {
            return self.next(arrived_at);
        }
        let mut state = self.lock();
        let expected = format!("/2018-06-01/runtime/invocation/{}/response", request_id(state.invocation));
        let answer: Option<GatewayAnswer> = serde_json::from_slice(&request.body).ok();
        if request.path == expected && answer.is_some_and(|answer| answer.status_code == 200) {
            let handed_out_at = state.handed_out_at.take().expect("an event is answered once");
            state.times.push(arrived_at - handed_out_at);
            state.first_answer.get_or_insert((arrived_at, request.body));
        } else {
            state.failure = Some(format!("{} {}", request.path, String::from_utf8_lossy(&request.body)));
            self.changed.notify_all();
        }
        Some(Answer { status: "202 Accepted", headers: "content-type: application/json\r\n".to_owned(), body: Arc::default() })
    }

    fn next(&self, arrived_at: Instant) -> Option<Answer> {
        let mut state = self.lock();
        let function = state.function;
        if state.left == 0 {
            state.idle_since = Some(arrived_at);
            self.changed.notify_all();
            state = self.changed.wait_while(state, |state| state.function == function && state.left == 0).unwrap();
            if state.function != function {
                return None;
            }
            state.idle_since = None;
        }
        state.left -= 1;
        state.invocation += 1;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let headers = format!(
            "content-type: application/json\r\n\
             lambda-runtime-aws-request-id: {}\r\n\
             lambda-runtime-deadline-ms: {}\r\n\
             lambda-runtime-invoked-function-arn: arn:aws:lambda:us-east-1:000000000000:function:bench\r\n\
             lambda-runtime-trace-id: Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700;Parent=9a9197af755a6419;Sampled=0\r\n",
            request_id(state.invocation),
            (now + TIMEOUT).as_millis(),
        );
        let body = state.event.clone();
        state.handed_out_at = Some(Instant::now());
        Some(Answer { status: "200 OK", headers, body })
    }
}

fn request_id(invocation: u64) -> String {
    format!("8476a536-e9f4-11e8-9739-{invocation:012x}")
}

impl Invocations {
    /// Looks whether the first answer, where it has results at all, says of each event that it was accepted.
    pub(crate) fn assert_all_accepted(&self, cell: &str, events: usize) {
        let answer: Value = serde_json::from_slice(&self.first_answer).unwrap();
        let body: Value = serde_json::from_str(answer["body"].as_str().unwrap()).unwrap();
        let Some(results) = body.get("results").and_then(Value::as_array) else { return };
        assert_eq!(results.len(), events, "{cell}: results");
        assert!(results.iter().all(|result| result["status"] == "accepted"), "{cell}: {body}");
    }
}
