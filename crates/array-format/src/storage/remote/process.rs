//! Credentials that a program knows: what a profile of the AWS tools names as `credential_process`, or the AWS command line itself, which
//! follows roles and single sign-on.

use std::process::{Command, Output};
use std::sync::Arc;

use ::object_store::aws::AwsCredential;
use ::object_store::{CredentialProvider, Error, Result};
use async_lock::Mutex;
use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use serde::Deserialize;

/// Credentials are asked for anew so long before they expire.
const EARLY: TimeDelta = TimeDelta::minutes(5);

/// What a program said, and until when it holds.
type Known = (Arc<AwsCredential>, Option<DateTime<Utc>>);

/// Runs the program when there are none, or old ones.
#[derive(Debug)]
pub(super) struct ProcessCredentials {
    command: String,
    known: Mutex<Option<Known>>,
}

/// What such programs print.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Printed {
    access_key_id: String,
    secret_access_key: String,
    session_token: Option<String>,
    expiration: Option<DateTime<Utc>>,
}

fn failed(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    Error::Unauthenticated { path: "credentials".to_owned(), source: source.into() }
}

impl ProcessCredentials {
    pub(super) fn new(command: &str) -> Self {
        Self { command: command.to_owned(), known: Mutex::default() }
    }

    /// By the shell, as the AWS tools run it.
    fn run(command: &str) -> std::io::Result<Output> {
        let (shell, flag) = if cfg!(windows) { ("cmd", "/C") } else { ("sh", "-c") };
        Command::new(shell).args([flag, command]).output()
    }

    async fn ask(&self) -> Result<Printed> {
        let command = self.command.clone();
        let output = tokio::task::spawn_blocking(move || Self::run(&command)).await.map_err(failed)?;
        let output = output.map_err(failed)?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            return Err(failed(format!("`{}` failed: {}", self.command, said.trim())));
        }
        let printed = serde_json::from_slice(&output.stdout);
        // What it printed is a secret: an error of the parser shows none of it.
        printed.map_err(|e| failed(format!("`{}` printed no credentials ({:?})", self.command, e.classify())))
    }
}

#[async_trait]
impl CredentialProvider for ProcessCredentials {
    type Credential = AwsCredential;

    async fn get_credential(&self) -> Result<Arc<AwsCredential>> {
        let mut known = self.known.lock().await;
        let is_fresh = |until: &Option<DateTime<Utc>>| until.is_none_or(|u| u - EARLY > Utc::now());
        if let Some((credential, _)) = known.as_ref().filter(|(_, until)| is_fresh(until)) {
            return Ok(credential.clone());
        }
        let Printed { access_key_id, secret_access_key, session_token, expiration } = self.ask().await?;
        let credential =
            AwsCredential { key_id: access_key_id, secret_key: secret_access_key, token: session_token };
        let credential = Arc::new(credential);
        *known = Some((credential.clone(), expiration));
        Ok(credential)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(provider: &ProcessCredentials) -> Result<Arc<AwsCredential>> {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(provider.get_credential())
    }

    #[test]
    fn a_program_is_asked_again_when_its_answer_grows_old() {
        let folder = tempfile::tempdir().unwrap();
        let count = folder.path().join("count");
        let print = |until: &str| {
            let json = format!(
                r#"{{"Version": 1, "AccessKeyId": "A", "SecretAccessKey": "hunter2", "SessionToken": "t", "Expiration": "{until}"}}"#
            );
            ProcessCredentials::new(&format!("echo . >> {}; echo '{json}'", count.display()))
        };
        let runs = || std::fs::read_to_string(&count).map_or(0, |text| text.lines().count());
        let lasting = print("2999-01-01T00:00:00Z");
        for _ in 0..3 {
            let credential = ask(&lasting).unwrap();
            assert_eq!((&*credential.key_id, credential.token.as_deref()), ("A", Some("t")));
        }
        assert_eq!(runs(), 1);
        let old = print("2020-01-01T00:00:00+00:00");
        for _ in 0..2 {
            ask(&old).unwrap();
        }
        assert_eq!(runs(), 3);

        let e = ask(&ProcessCredentials::new("echo nobody is signed in >&2; false")).unwrap_err();
        assert!(e.to_string().contains("nobody is signed in"), "{e}");
        let other = folder.path().join("other");
        std::fs::write(&other, "\"hunter2\"").unwrap();
        let e = ask(&ProcessCredentials::new(&format!("cat {}", other.display()))).unwrap_err();
        assert!(e.to_string().contains("no credentials") && !format!("{e:?}").contains("hunter2"), "{e:?}");
    }
}
