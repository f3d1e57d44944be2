//! The limits of events and streams, each once, with its unit and its source. Limits of one module alone stand there.

use std::time::Duration;

/// The largest request body on the wire, in bytes.
///
/// Ours: a base64-encoded body of this size still fits the 6 MB that Lambda takes
/// (<https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html>).
pub const MAX_BODY_BYTES: usize = 4 * 1024 * 1024;

/// The largest request body once it is decoded, in bytes. Ours.
pub const MAX_DECODED_BYTES: usize = 16 * 1024 * 1024;

/// The most events in one request. Ours.
pub const MAX_EVENTS_PER_REQUEST: usize = 5_000;

/// The deepest nesting of an event's JSON. Ours; half of what common parsers take.
pub const MAX_JSON_DEPTH: usize = 64;

/// The default limit of one event, in bytes: 254 KiB, as the Amperity Streaming Ingest API's.
pub const DEFAULT_MAX_EVENT_BYTES: u32 = 254 * 1024;

/// The highest limit of one event that a stream can ask for, in bytes.
///
/// Its dead letter (base64 and context) must fit a Firehose record of 1,000 KiB (<https://docs.aws.amazon.com/firehose/latest/dev/limits.html>).
pub const MAX_EVENT_BYTES: u32 = 700 * 1024;

/// Records in one `PutRecords` call (<https://docs.aws.amazon.com/kinesis/latest/APIReference/API_PutRecords.html>).
pub const MAX_RECORDS_PER_PUT: usize = 500;

/// Bytes in one `PutRecords` call, partition keys included (same source).
pub const MAX_BYTES_PER_PUT: usize = 10 * 1024 * 1024;

/// `PutRecords` calls of one request at once, where order does not matter. Ours.
pub const PUTS_AT_ONCE: usize = 4;

/// Characters of a partition key (same source).
pub const MAX_PARTITION_KEY_CHARS: usize = 256;

/// Bytes of one Kinesis record, partition key included (same source).
pub const MAX_RECORD_BYTES: usize = 1024 * 1024;

/// Bytes of what names an event in a result. Ours: 5,000 of them fit the 6 MB that Lambda gives back.
pub const MAX_EVENT_ID_BYTES: usize = 128;

/// Records in one `PutRecordBatch` call of Firehose (<https://docs.aws.amazon.com/firehose/latest/dev/limits.html>).
pub const MAX_LETTERS_PER_PUT: usize = 500;

/// Bytes in one `PutRecordBatch` call: the documented 4 MiB less a third, since the encoded request may be what is counted.
pub const MAX_LETTER_BYTES_PER_PUT: usize = 2_700_000;

/// How often one record is sent before its event is handed back.
pub const PUT_ATTEMPTS: u32 = 5;

/// The first back-off's upper bound; it doubles with each attempt (full jitter).
pub const BACKOFF_BASE: Duration = Duration::from_millis(50);

/// The upper bound of every back-off.
pub const BACKOFF_CAP: Duration = Duration::from_secs(2);

/// How long one request may keep trying to put its records.
pub const PUT_TIME_BUDGET: Duration = Duration::from_secs(10);

/// What is left of an invocation's time when it stops starting new work, so that it can still answer.
pub const DEADLINE_RESERVE: Duration = Duration::from_secs(2);

/// How long a batch may wait for its stats to be written. It is done by then, and more than half of [`DEADLINE_RESERVE`] is left.
pub const STATS_TIME: Duration = Duration::from_millis(900);

/// How long past its deadline a batch may wait for the keys of its events to be remembered, or a request for its own key. It leaves
/// [`STATS_TIME`] and half a second.
pub const KEYS_TIME: Duration = Duration::from_millis(500);

/// How long an in-progress status stands before a read asks CloudFormation about it.
pub const RECONCILE_AFTER: Duration = Duration::from_secs(2);

/// How long a stream's configuration may be served from memory on the ingest path.
pub const CONFIG_CACHE_TTL: Duration = Duration::from_secs(30);

/// How long "there is no such stream" may be served from memory.
pub const MISSING_CACHE_TTL: Duration = Duration::from_secs(5);

/// How long an API key may be believed to be good without looking again: a revoked one is refused within a minute.
pub const API_KEY_CACHE_TTL: Duration = Duration::from_secs(30);

/// The same while the store does not answer.
pub const API_KEY_STALE_LIMIT: Duration = Duration::from_secs(55);

/// How long a client is asked to wait before it tries again.
pub const RETRY_AFTER: Duration = Duration::from_secs(1);

/// How long a client is asked to wait while a stack operation runs.
pub const RETRY_AFTER_STACK: Duration = Duration::from_secs(5);

/// Events on one page of history. Okdata's.
pub const MAX_PAGE_SIZE: usize = 10_000;

/// Events on one page of history when the caller does not say. Okdata's.
pub const DEFAULT_PAGE_SIZE: usize = 10;

/// Bytes of events on one page of history: a Lambda's answer may be 6 MB
/// (<https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html>), less room for the envelope.
pub const MAX_PAGE_BYTES: usize = 5_500_000;

/// Bytes of events that a history query keeps in memory before it reads the page's objects a second time instead.
pub const HISTORY_RETAINED_BYTES: usize = 32 * 1024 * 1024;

/// Events that one history query may match.
pub const MAX_HISTORY_MATCHES: usize = 2_000_000;

/// Dead letters on one page. Ours.
pub const MAX_LETTERS_PAGE: usize = 1_000;

/// Dead letters on one page when the caller does not say. Ours.
pub const DEFAULT_LETTERS_PAGE: usize = 100;

/// Ids of dead letters in one request to redrive. Ours.
pub const MAX_LETTER_IDS: usize = 1_000;

/// Dead letters that one request to redrive takes in hand. Ours.
pub const MAX_REDRIVE: usize = 10_000;

/// How long a dead letter belongs to the request that puts it back: longer than any request lives.
pub const LETTER_CLAIM_TIME: Duration = Duration::from_secs(60);

/// How long an `Idempotency-Key` belongs to the request that claimed it: longer than any request lives.
pub const IDEMPOTENCY_CLAIM_TIME: Duration = Duration::from_secs(60);

/// What a redrive keeps of a request's time for the letters in hand: they are put back, marked and counted in it.
pub const REDRIVE_BATCH_TIME: Duration = Duration::from_secs(6);

/// The same for what comes behind the put.
pub const REDRIVE_MARK_TIME: Duration = Duration::from_secs(2);

/// Bytes of a config as JSON. Ours.
///
/// A stream's record holds up to four (two configs, each as posted and with its defaults), and a DynamoDB item takes 400 KB
/// (<https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html>).
pub const MAX_CONFIG_BYTES: usize = 80 * 1024;
