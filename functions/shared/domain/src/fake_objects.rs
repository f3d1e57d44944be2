//! A bucket of objects, in memory.

use std::collections::{BTreeMap, VecDeque};
use std::ops::ControlFlow;
use std::sync::Mutex;
use std::task::Poll;

use time::OffsetDateTime;

use crate::fakes::lock;
use crate::history::{EventForm, Line, Listing, StoredObject, StoredObjects, Visitor};
use crate::lifecycle::{StackState, Status};
use crate::output::S3Settings;
use crate::record::{SinkKind, SinkRecord, StreamRecord};
use crate::store::StoreFault;

/// Gives a stream an S3 sink whose stack stands so.
#[must_use]
pub fn with_s3_sink(mut record: StreamRecord, status: Status) -> StreamRecord {
    let stack = StackState { status, ..StackState::creating(format!("{}-sink-s3", record.stack.stack_name), record.created_at) };
    let (updated_at, updated_by) = (record.updated_at, record.updated_by.clone());
    record.sinks.insert(SinkKind::S3, SinkRecord { settings: S3Settings::default(), wanted: None, stack, updated_at, updated_by });
    record
}

/// What goes wrong when an object is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadFault {
    /// All goes well.
    Ok,
    /// No object is given.
    Unavailable,
    /// The connection breaks after this many lines.
    BreaksAfter(usize),
}

/// Keeps objects and lists them as S3 does. A read waits for others in between, so that objects end in another order than they began.
#[derive(Debug)]
pub struct FakeObjects {
    objects: Mutex<BTreeMap<String, (OffsetDateTime, Vec<u8>)>>,
    listing_size: usize,
    script: Mutex<VecDeque<ReadFault>>,
    listings: Mutex<usize>,
    reads: Mutex<Vec<(String, EventForm)>>,
}

impl Default for FakeObjects {
    fn default() -> Self {
        Self::with_listings_of(1_000)
    }
}

impl FakeObjects {
    /// Lists at most so many objects at once.
    pub fn with_listings_of(listing_size: usize) -> Self {
        Self { objects: Mutex::default(), listing_size, script: Mutex::default(), listings: Mutex::default(), reads: Mutex::default() }
    }

    /// One fault a read, in order; then all goes well.
    pub fn script(&self, script: impl IntoIterator<Item = ReadFault>) {
        *lock(&self.script) = script.into_iter().collect();
    }

    /// Stores an object: its lines, in whatever form it is read. Lines that are not UTF-8 are unreadable.
    pub fn put(&self, key: &str, last_modified: OffsetDateTime, content: impl Into<Vec<u8>>) {
        lock(&self.objects).insert(key.to_owned(), (last_modified, content.into()));
    }

    /// How often objects were listed.
    pub fn listings(&self) -> usize {
        *lock(&self.listings)
    }

    /// The keys of every object read, in the order of reading.
    pub fn reads(&self) -> Vec<String> {
        lock(&self.reads).iter().map(|(key, _)| key.clone()).collect()
    }

    /// The form in which each was read.
    pub fn forms(&self) -> Vec<EventForm> {
        lock(&self.reads).iter().map(|(_, form)| *form).collect()
    }
}

#[async_trait::async_trait]
impl StoredObjects for FakeObjects {
    async fn list_page(&self, prefix: &str, start_after: &str) -> Result<Listing, StoreFault> {
        *lock(&self.listings) += 1;
        let objects = lock(&self.objects);
        let mut behind = objects.iter().filter(|(key, _)| key.starts_with(prefix) && key.as_str() > start_after);
        let listed = behind.by_ref().take(self.listing_size).map(|(key, (last_modified, content))| StoredObject {
            key: key.clone(),
            last_modified: *last_modified,
            size: content.len() as u64,
        });
        let listed = listed.collect();
        Ok(Listing { objects: listed, is_complete: behind.next().is_none() })
    }

    async fn for_each_line(&self, key: &str, form: EventForm, visit: &mut Visitor<'_>) -> Result<(), StoreFault> {
        lock(&self.reads).push((key.to_owned(), form));
        let fault = lock(&self.script).pop_front().unwrap_or(ReadFault::Ok);
        let content = lock(&self.objects).get(key).map(|(_, content)| content.clone());
        let (Some(content), true) = (content, fault != ReadFault::Unavailable) else {
            return Err(StoreFault::new("scripted failure of the bucket"));
        };
        let content = content.strip_suffix(b"\n").unwrap_or(&content);
        for (number, line) in content.split(|byte| *byte == b'\n').enumerate() {
            if fault == ReadFault::BreaksAfter(number) {
                return Err(StoreFault::new("scripted failure of the bucket"));
            }
            give_way((content.len() + number) % 3).await;
            if visit(std::str::from_utf8(line).map_or(Line::Unreadable, Line::Text)) == ControlFlow::Break(()) {
                break;
            }
        }
        Ok(())
    }
}

/// Lets other work run so many times.
async fn give_way(mut times: usize) {
    std::future::poll_fn(|context| {
        if times == 0 {
            return Poll::Ready(());
        }
        times -= 1;
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}
