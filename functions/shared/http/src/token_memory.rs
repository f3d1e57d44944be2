//! Tokens that were verified a moment ago: a signature is checked once, not with every request of the same sender.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use domain::access::Caller;
use domain::ids::Owner;
use domain::token::KeyClaim;

/// Tokens remembered at most; beyond them the memory is emptied. Ours: some 2 MB.
const MAX_TOKENS: usize = 1_000;

/// The longest token that is remembered, in bytes.
const MAX_TOKEN_BYTES: usize = 4_096;

/// What a token was found to say. What can change since then is checked anew by whoever uses it.
#[derive(Debug, Clone)]
pub(crate) struct VerifiedToken {
    /// Who calls.
    pub caller: Caller,
    /// Whether the deployment issued it.
    pub is_own: bool,
    /// Which loading of the issuer's keys it was verified with.
    pub generation: u64,
    /// In seconds since 1970.
    pub not_before: Option<i64>,
    /// In seconds since 1970.
    pub expires_at: Option<i64>,
    /// The API key that it was made with.
    pub key: Option<(Owner, KeyClaim)>,
}

/// Remembers verified tokens, whole: only the very same text is believed again.
#[derive(Default)]
pub(crate) struct TokenMemory(Mutex<HashMap<String, VerifiedToken>>);

impl TokenMemory {
    /// Returns what a token was found to say.
    pub(crate) fn get(&self, token: &str) -> Option<VerifiedToken> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(token).cloned()
    }

    /// Remembers a token that was verified.
    pub(crate) fn put(&self, token: &str, verified: VerifiedToken) {
        if token.len() > MAX_TOKEN_BYTES {
            return;
        }
        let mut tokens = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if tokens.len() >= MAX_TOKENS {
            tokens.clear();
        }
        tokens.insert(token.to_owned(), verified);
    }
}
