//! Who calls and what they may do.

use serde::{Deserialize, Serialize};

use crate::ids::{ApiKeyId, Owner, StreamId, StreamPattern};

/// What a token allows. `admin` implies the others and alone may act for another owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// Streams, sinks and everything else but events.
    Manage,
    /// Sending events, nothing more.
    Ingest,
    /// Reading history.
    Read,
    /// All of it, for every owner.
    Admin,
}

impl Scope {
    /// Every scope.
    pub const ALL: [Scope; 4] = [Scope::Manage, Scope::Ingest, Scope::Read, Scope::Admin];

    /// The scope as it stands in a token.
    pub fn as_str(self) -> &'static str {
        match self {
            Scope::Manage => "manage",
            Scope::Ingest => "ingest",
            Scope::Read => "read",
            Scope::Admin => "admin",
        }
    }
}

/// The verified bearer of a request's token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// Who it is, for `updated_by`.
    pub subject: String,
    /// The owner that the token speaks for.
    pub owner: Owner,
    /// What the token allows.
    pub scopes: Vec<Scope>,
    /// The streams that the token is limited to, if it is.
    pub streams: Option<Vec<StreamPattern>>,
    /// The API key that the token was made with, if it was.
    pub api_key: Option<ApiKeyId>,
}

/// Somebody asked to act for an owner that the token does not speak for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("only an admin may act for another owner")]
pub struct ForeignOwner;

impl Caller {
    /// Returns whether the token allows `scope`.
    pub fn may(&self, scope: Scope) -> bool {
        self.scopes.contains(&scope) || self.is_admin()
    }

    /// Returns whether the token's patterns, if it has any, let it touch a stream of this id.
    pub fn may_touch(&self, id: &StreamId) -> bool {
        self.streams.as_ref().is_none_or(|patterns| patterns.iter().any(|pattern| pattern.matches(id)))
    }

    /// Returns whose objects the caller can see.
    pub fn reach(&self) -> Reach {
        if self.is_admin() { Reach::Everyone } else { Reach::Owner(self.owner.clone()) }
    }

    /// Returns the owner that a request is for: the token's own, or the one that it names.
    ///
    /// # Errors
    /// [`ForeignOwner`] when that is another one and the caller is no admin.
    pub fn acting_for(&self, named: Option<Owner>) -> Result<Owner, ForeignOwner> {
        match named {
            Some(owner) if !self.reach().covers(&owner) => Err(ForeignOwner),
            Some(owner) => Ok(owner),
            None => Ok(self.owner.clone()),
        }
    }

    fn is_admin(&self) -> bool {
        self.scopes.contains(&Scope::Admin)
    }
}

/// Whose objects a look-up may return. Only a verified [`Caller`] has one.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Reach {
    /// One owner's.
    Owner(Owner),
    /// Every owner's: an admin's.
    Everyone,
}

impl Reach {
    /// Returns whether `owner`'s objects are within reach.
    pub fn covers(&self, owner: &Owner) -> bool {
        match self {
            Reach::Owner(own) => own == owner,
            Reach::Everyone => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caller(scopes: &[Scope]) -> Caller {
        Caller { subject: "tester".into(), owner: "waste".parse().unwrap(), scopes: scopes.to_vec(), streams: None, api_key: None }
    }

    #[test]
    fn a_scope_allows_itself_and_nothing_else() {
        for held in [Scope::Manage, Scope::Ingest, Scope::Read] {
            for asked in Scope::ALL {
                assert_eq!(caller(&[held]).may(asked), held == asked, "{held:?} {asked:?}");
            }
        }
    }

    #[test]
    fn admin_implies_the_others_and_reaches_everyone() {
        let admin = caller(&[Scope::Admin]);
        assert!(Scope::ALL.iter().all(|scope| admin.may(*scope)));
        assert_eq!(admin.reach(), Reach::Everyone);
    }

    #[test]
    fn only_an_admin_acts_for_another_owner() {
        let named = |owner: &str| Some(owner.parse().unwrap());
        let manager = caller(&[Scope::Manage]);
        assert_eq!(manager.acting_for(None).unwrap().as_str(), "waste");
        assert_eq!(manager.acting_for(named("waste")).unwrap().as_str(), "waste");
        assert_eq!(manager.acting_for(named("transport")), Err(ForeignOwner));
        assert_eq!(caller(&[Scope::Admin]).acting_for(named("transport")).unwrap().as_str(), "transport");
    }

    #[test]
    fn a_limited_token_touches_what_one_of_its_patterns_matches() {
        let limited = |patterns: &[&str]| Caller {
            streams: Some(patterns.iter().map(|pattern| pattern.parse().unwrap()).collect()),
            ..caller(&[Scope::Ingest])
        };
        let id = "refuse-trucks".parse().unwrap();
        assert!(caller(&[Scope::Ingest]).may_touch(&id));
        assert!(limited(&["bus-*", "refuse-*"]).may_touch(&id));
        assert!(!limited(&["bus-*"]).may_touch(&id));
        assert!(!limited(&[]).may_touch(&id));
    }
}
