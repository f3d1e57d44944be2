//! Few questions about each stack.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use time::OffsetDateTime;

use crate::limits::RECONCILE_AFTER;

/// Remembers when each stack was last asked about, so that many readers of one stream make few questions. Each instance has its own.
#[derive(Debug, Default)]
pub struct Pacer(Mutex<HashMap<String, OffsetDateTime>>);

/// Stacks remembered at most; forgetting them costs a question.
const MAX_PACED: usize = 1_000;

impl Pacer {
    /// Returns whether the stack may be asked about now, and notes that it is.
    pub(super) fn may_ask(&self, stack_name: &str, now: OffsetDateTime) -> bool {
        let mut asked = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if asked.get(stack_name).is_some_and(|last| now - *last < RECONCILE_AFTER) {
            return false;
        }
        if asked.len() >= MAX_PACED {
            asked.clear();
        }
        asked.insert(stack_name.to_owned(), now);
        true
    }
}
