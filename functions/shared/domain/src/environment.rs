//! Configuration from the environment: read once at cold start, every fault named at once.

use std::fmt::Display;
use std::str::FromStr;

/// Variables that are missing or unreadable.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("bad environment: {}", .0.join("; "))]
pub struct BadEnvironment(Vec<String>);

/// Reads variables and collects what is wrong with them.
pub struct Environment<'e> {
    lookup: &'e dyn Fn(&str) -> Option<String>,
    faults: Vec<String>,
}

impl<'e> Environment<'e> {
    /// Reads through `lookup`: the process's environment ([`process`]), or a test's.
    pub fn new(lookup: &'e dyn Fn(&str) -> Option<String>) -> Self {
        Self { lookup, faults: Vec::new() }
    }

    /// Reads a variable that must be set.
    pub fn text(&mut self, name: &str) -> String {
        self.optional(name).unwrap_or_else(|| {
            self.faults.push(format!("{name} is not set"));
            String::new()
        })
    }

    /// Reads a variable that may be left out, or empty.
    pub fn optional(&self, name: &str) -> Option<String> {
        (self.lookup)(name).filter(|value| !value.is_empty())
    }

    /// Reads a variable that must be set to something that parses.
    pub fn parsed<T: FromStr + Default>(&mut self, name: &str) -> T
    where
        T::Err: Display,
    {
        let text = self.text(name);
        if text.is_empty() {
            return T::default();
        }
        text.parse().unwrap_or_else(|error| {
            self.faults.push(format!("{name}: {error}, got {text:?}"));
            T::default()
        })
    }

    /// Reads a variable that, unless it is left out, must be set to something that parses.
    pub fn parsed_or_default<T: FromStr + Default>(&mut self, name: &str) -> T
    where
        T::Err: Display,
    {
        if self.optional(name).is_none() { T::default() } else { self.parsed(name) }
    }

    /// Gives `settings` when nothing was wrong.
    ///
    /// # Errors
    /// Everything that was wrong.
    pub fn finish<T>(self, settings: T) -> Result<T, BadEnvironment> {
        if self.faults.is_empty() { Ok(settings) } else { Err(BadEnvironment(self.faults)) }
    }
}

/// Looks a variable up in the process's environment.
pub fn process(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_is_named_at_once() {
        let lookup = |name: &str| (name == "SHARDS").then(|| "many".to_owned());
        let mut environment = Environment::new(&lookup);
        let settings = (environment.text("TABLE_NAME"), environment.parsed::<u32>("SHARDS"), environment.text("BUCKET"));
        let fault = environment.finish(settings).unwrap_err();
        assert_eq!(
            fault.to_string(),
            "bad environment: TABLE_NAME is not set; SHARDS: invalid digit found in string, got \"many\"; BUCKET is not set"
        );
    }
}
