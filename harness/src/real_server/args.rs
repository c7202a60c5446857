//! The options of the command line that name a real server.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use lpad::http::{ClientCertificate, CurlHttp, HttpOptions, Trust};
use lpad::log::Log;
use pki::Pki;

use super::es2::{Es2Url, Operator};
use super::stock::Stock;
use super::{RealServer, ServerUrl};
use crate::cli::Abort;
use crate::lab::system_time;
use crate::scenario::parse::Vocabulary;

/// How long a server may take before anything is run.
const PATIENCE: Duration = Duration::from_secs(15);

/// A real server.
#[derive(Debug, Args)]
pub struct RealServerArgs {
    /// Run against a real SM-DP+: its address, as in https://smdp.example.com. It needs --pki with the keys of the
    /// emulated card, under a CI that the server trusts
    #[arg(long, value_name = "URL", help_heading = HEADING)]
    smdp: Option<ServerUrl>,

    /// The CI of the server's TLS certificate (PEM or DER), when it is not one in the folder of --pki; may be given
    /// more than once
    #[arg(long, value_name = "FILE", requires = "smdp", help_heading = HEADING)]
    ci: Vec<PathBuf>,

    /// What the server has, by the names that scenarios give it: profiles that can be ordered, and orders that are
    /// there (see scenarios/README.md)
    #[arg(long, value_name = "FILE", requires = "smdp", help_heading = HEADING)]
    smdp_orders: Option<PathBuf>,

    /// Make the orders of scenarios over ES2+ at this address, and cancel them afterwards
    #[arg(long, value_name = "URL", requires = "smdp_orders", help_heading = HEADING)]
    es2: Option<Es2Url>,

    /// The operator's client certificate for ES2+ (PEM)
    #[arg(long, value_name = "FILE", requires_all = ["es2", "es2_key"], help_heading = HEADING)]
    es2_cert: Option<PathBuf>,

    /// The private key of that certificate (PEM)
    #[arg(long, value_name = "FILE", requires = "es2_cert", help_heading = HEADING)]
    es2_key: Option<PathBuf>,

    /// Who has issued the TLS certificate of ES2+ (PEM or DER), when it is not the issuer of that of ES9+
    #[arg(long, value_name = "FILE", requires = "es2", help_heading = HEADING)]
    es2_ca: Vec<PathBuf>,

    /// What the operator calls itself (functionRequesterIdentifier of SGP.22 §6.5.1.3)
    #[arg(long, value_name = "OID", requires = "es2", default_value = DEFAULT_REQUESTER, help_heading = HEADING)]
    es2_requester: String,
}

/// An OID for examples (2.999).
const DEFAULT_REQUESTER: &str = "2.999.1";

const HEADING: &str = "A real server";

impl RealServerArgs {
    /// Whether a real server is named.
    pub fn is_given(&self) -> bool {
        self.smdp.is_some()
    }

    /// The options as they stand on a command line, for a run like this one.
    pub(crate) fn options(&self) -> Vec<(&'static str, String)> {
        let path = |path: &PathBuf| path.display().to_string();
        let mut options = Vec::new();
        options.extend(self.smdp.iter().map(|url| ("--smdp", url.to_string())));
        options.extend(self.ci.iter().map(|file| ("--ci", path(file))));
        options.extend(self.smdp_orders.iter().map(|file| ("--smdp-orders", path(file))));
        options.extend(self.es2.iter().map(|url| ("--es2", url.to_string())));
        options.extend(self.es2_cert.iter().map(|file| ("--es2-cert", path(file))));
        options.extend(self.es2_key.iter().map(|file| ("--es2-key", path(file))));
        options.extend(self.es2_ca.iter().map(|file| ("--es2-ca", path(file))));
        if self.es2.is_some() && self.es2_requester != DEFAULT_REQUESTER {
            options.push(("--es2-requester", self.es2_requester.clone()));
        }
        options
    }

    /// The server that is named, reached once. With a real modem no card is emulated, and no keys are needed.
    pub(crate) fn open(self, pki: Option<&PathBuf>, real_card: bool) -> Result<Option<RealServer>, Abort> {
        let Some(url) = self.smdp else { return Ok(None) };
        let usage = |error: &dyn std::fmt::Display| Abort::usage(error.to_string());
        let pki = match pki {
            Some(folder) => {
                let loaded = Pki::load(folder, system_time());
                Some(loaded.map_err(|error| usage(&error))?)
            }
            None if real_card => None,
            None => {
                return Err(Abort::usage(format!(
                    "{url} is to give profiles to the emulated card: give the card's keys with --pki DIR, a folder laid \
                     out like SGP.26 whose CI the server trusts"
                )));
            }
        };
        let mut trust = match Trust::from_files(&self.ci).map_err(|error| usage(&error))? {
            Trust::Only(pem) => pem,
            Trust::System => Vec::new(),
        };
        if trust.is_empty() {
            let cis = pki.iter().flat_map(|pki| pki.curves().filter_map(|curve| pki.ci(curve).ok()));
            trust = cis.map(|ci| ci.to_pem()).collect::<String>().into_bytes();
        }
        if trust.is_empty() {
            return Err(Abort::usage(format!("give the CI of the TLS certificate of {url} with --ci FILE")));
        }
        let stock = match &self.smdp_orders {
            None => Stock::default(),
            Some(path) => {
                let told = |error: &dyn std::fmt::Display| Abort::usage(format!("{}: {error}", path.display()));
                let text = std::fs::read_to_string(path).map_err(|error| told(&error))?;
                let known: Vec<String> = Vocabulary::of_this_program().profiles.to_vec();
                Stock::from_toml(&text, &url.address, &known).map_err(|error| told(&error))?
            }
        };
        let http = |trust: Vec<u8>, client| HttpOptions {
            trust: Trust::Only(trust),
            client,
            connect_timeout: PATIENCE,
            ..HttpOptions::default()
        };
        let reached = CurlHttp::new(http(trust.clone(), None), Log::default()).try_connection(&format!("{url}/"));
        reached.map_err(|error| {
            // The other hints are for those who have an activation code.
            let hint = error.hint.filter(|hint| hint.contains("--ci"));
            let hint = hint.map(|hint| format!("\nhint: {hint}")).unwrap_or_default();
            Abort::usage(format!("the server {url}: {}{hint}", error.message))
        })?;
        let operator = match self.es2 {
            None => None,
            Some(es2) => {
                let issuer = match Trust::from_files(&self.es2_ca).map_err(|error| usage(&error))? {
                    Trust::Only(pem) => pem,
                    Trust::System => trust.clone(),
                };
                let client = self.es2_cert.zip(self.es2_key);
                let client = client.map(|(certificate, key)| ClientCertificate { certificate, key });
                for file in client.iter().flat_map(|client| [&client.certificate, &client.key]) {
                    std::fs::File::open(file)
                        .map_err(|error| Abort::usage(format!("cannot read {}: {error}", file.display())))?;
                }
                let operator = Operator::new(es2.clone(), http(issuer, client), self.es2_requester);
                operator.try_connection().map_err(|problem| Abort::usage(format!("ES2+ at {es2}: {problem}")))?;
                Some(operator)
            }
        };
        Ok(Some(RealServer::new(url, trust, pki, stock, operator)))
    }
}
