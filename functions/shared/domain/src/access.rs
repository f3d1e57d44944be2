//! Who calls and what they may do.

use serde::{Deserialize, Serialize};

use crate::ids::Owner;

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
}

impl Caller {
    /// Returns whether the token allows `scope`.
    pub fn may(&self, scope: Scope) -> bool {
        self.scopes.contains(&scope) || self.is_admin()
    }

    /// Returns whose objects the caller can see.
    pub fn reach(&self) -> Reach {
        if self.is_admin() { Reach::Everyone } else { Reach::Owner(self.owner.clone()) }
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
        Caller { subject: "tester".into(), owner: "waste".parse().unwrap(), scopes: scopes.to_vec() }
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
}
