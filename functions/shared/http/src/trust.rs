//! Whose tokens are believed, from the environment.

use std::sync::Arc;

use domain::api_key::ApiKeyReader;
use domain::environment::Environment;
use domain::signing::{Issuer, VerificationKeys};
use domain::system::System;
use outgoing::{AllowList, OidcKeys, OutgoingClient, OutgoingFault};

use crate::authenticate::{Authenticator, ExternalIssuer, Trust};

/// The claim that names the owner in an external issuer's token, unless the deployment says otherwise.
const DEFAULT_OWNER_CLAIM: &str = "owner";

/// Settings that every function with routes has.
#[derive(Debug, Clone, Default)]
pub struct TrustSettings {
    /// `TOKEN_ISSUER` and `TOKEN_AUDIENCE`: the deployment's own tokens.
    pub own: Issuer,
    /// `OIDC_ISSUER` and `OIDC_AUDIENCE`: another issuer whose tokens are believed; none when the first is empty.
    pub external: Option<Issuer>,
    /// `OIDC_OWNER_CLAIM`: the claim that names the owner in its tokens; `owner` by default.
    pub owner_claim: String,
    /// `OUTGOING_ALLOW_LIST`: hosts and networks that may be called though they are not public; empty by default.
    pub outgoing: AllowList,
}

impl TrustSettings {
    /// Reads the environment.
    pub fn read(environment: &mut Environment<'_>) -> Self {
        let external = environment.optional("OIDC_ISSUER");
        Self {
            own: Issuer { issuer: environment.text("TOKEN_ISSUER"), audience: environment.text("TOKEN_AUDIENCE") },
            external: external.map(|issuer| Issuer { issuer, audience: environment.text("OIDC_AUDIENCE") }),
            owner_claim: environment.optional("OIDC_OWNER_CLAIM").unwrap_or_else(|| DEFAULT_OWNER_CLAIM.to_owned()),
            outgoing: environment.parsed_or_default("OUTGOING_ALLOW_LIST"),
        }
    }

    /// Makes what verifies tokens, and loads the deployment's own keys, which `store` knows.
    ///
    /// # Errors
    /// The outgoing client cannot be made.
    pub async fn authenticator<T>(self, store: Arc<T>, system: Arc<dyn System>) -> Result<Arc<Authenticator>, OutgoingFault>
    where
        T: VerificationKeys + ApiKeyReader + 'static,
    {
        let external = match self.external {
            None => None,
            Some(issuer) => {
                let client = OutgoingClient::new(self.outgoing)?;
                let keys = Arc::new(OidcKeys::new(client, issuer.issuer.clone()));
                Some(ExternalIssuer { issuer, owner_claim: self.owner_claim, keys })
            }
        };
        let trust = Trust { own: self.own, keys: store.clone(), api_keys: store, external };
        let authenticator = Arc::new(Authenticator::new(trust, system));
        authenticator.warm_up().await;
        Ok(authenticator)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> Result<TrustSettings, String> {
        let lookup = |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
        let mut environment = Environment::new(&lookup);
        let settings = TrustSettings::read(&mut environment);
        environment.finish(settings).map_err(|error| error.to_string())
    }

    const OWN: [(&str, &str); 2] = [("TOKEN_ISSUER", "urn:millrace:test"), ("TOKEN_AUDIENCE", "millrace")];

    #[test]
    fn without_an_external_issuer_only_our_own_tokens_count() {
        let settings = read(&[&OWN[..], &[("OIDC_ISSUER", ""), ("OUTGOING_ALLOW_LIST", "")]].concat()).unwrap();
        assert_eq!((settings.external, settings.owner_claim.as_str()), (None, "owner"));
    }

    #[test]
    fn an_external_issuer_needs_an_audience() {
        let error = read(&[&OWN[..], &[("OIDC_ISSUER", "https://id.example.org")]].concat()).unwrap_err();
        assert!(error.contains("OIDC_AUDIENCE is not set"), "{error}");
        let given = [("OIDC_ISSUER", "https://id.example.org"), ("OIDC_AUDIENCE", "millrace"), ("OIDC_OWNER_CLAIM", "tenant")];
        let settings = read(&[&OWN[..], &given[..]].concat()).unwrap();
        assert_eq!(settings.external.unwrap().audience, "millrace");
        assert_eq!(settings.owner_claim, "tenant");
    }

    #[test]
    fn a_bad_allow_list_is_named() {
        let error = read(&[&OWN[..], &[("OUTGOING_ALLOW_LIST", "10.0.0.0/99")]].concat()).unwrap_err();
        assert!(error.contains("OUTGOING_ALLOW_LIST") && error.contains("10.0.0.0/99"), "{error}");
    }
}
