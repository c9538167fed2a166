//! What the AWS tools keep in `~/.aws`: `object_store` reads the environment only.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use array_format_core::{Error, Result};
use ini::{Ini, ParseOption};

use super::Pairs;

/// In a profile that gets its credentials from somewhere else: the command line of AWS knows how.
const INDIRECT: [&str; 5] =
    ["role_arn", "sso_session", "sso_start_url", "login_session", "web_identity_token_file"];
/// The option that names a program which prints credentials. Of this library: the `object_store` crate has none like it.
pub(super) const PROCESS: &str = "credential_process";

/// Names in a profile, with what the `object_store` crate calls them.
const CREDENTIALS: [(&str, &str); 3] = [
    ("aws_access_key_id", "aws_access_key_id"),
    ("aws_secret_access_key", "aws_secret_access_key"),
    ("aws_session_token", "aws_session_token"),
];
const PLACE: [(&str, &str); 2] = [("region", "aws_region"), ("endpoint_url", "aws_endpoint_url")];

/// The AWS tools take values letter by letter.
const PARSING: ParseOption = ParseOption {
    enabled_quote: false,
    enabled_escape: false,
    enabled_indented_mutiline_value: false,
    enabled_preserve_key_leading_whitespace: false,
};

/// Options of the profile that `AWS_PROFILE` names, or of `default`. Credentials only if neither environment nor user give any: half of one
/// and half of another would be wrong in a way that nobody finds.
pub(super) fn options(environment: &Pairs, explicit: &BTreeMap<String, String>) -> Result<Pairs> {
    let variable = |name: &str| environment.iter().find(|(k, _)| k == name).map(|(_, v)| v.clone());
    let named = variable("aws_profile").or_else(|| variable("aws_default_profile"));
    let home = || std::env::home_dir().unwrap_or_default().join(".aws");
    let file = |name: &str, default: &str| variable(name).map_or_else(|| home().join(default), PathBuf::from);
    let credentials = read(&file("aws_shared_credentials_file", "credentials"))?;
    let config = read(&file("aws_config_file", "config"))?;
    let has_credentials = environment.iter().map(|(k, _)| k).chain(explicit.keys()).any(|k| {
        ["access_key_id", "token", "web_identity", "skip_signature", "container_"]
            .iter()
            .any(|c| k.contains(c))
    });
    from_files(&credentials, &config, named.as_deref(), has_credentials)
}

fn from_files(credentials: &Ini, config: &Ini, named: Option<&str>, has_credentials: bool) -> Result<Pairs> {
    let name = named.unwrap_or("default");
    let title = if name == "default" { name.to_owned() } else { format!("profile {name}") };
    let sections = [config.section(Some(title.as_str())), credentials.section(Some(name))];
    if let (Some(named), [None, None]) = (named, &sections) {
        return Err(Error::invalid(format!(
            "AWS_PROFILE names the profile {named:?}, which is in neither ~/.aws/credentials nor ~/.aws/config"
        )));
    }
    let value = |name: &str| sections.iter().rev().flatten().find_map(|s| s.get(name));
    let take = |names: &[(&str, &str)]| -> Pairs {
        let pair = |(theirs, ours): &(&str, &str)| Some(((*ours).to_owned(), value(theirs)?.to_owned()));
        names.iter().filter_map(pair).collect()
    };
    let mut pairs = take(&PLACE);
    if has_credentials {
        return Ok(pairs);
    }
    let found = take(&CREDENTIALS);
    if found.is_empty() {
        let exported = || {
            let is_indirect = INDIRECT.iter().any(|k| value(k).is_some());
            is_indirect
                .then(|| format!("aws configure export-credentials --profile '{name}' --format process"))
        };
        let command = value(PROCESS).map(str::to_owned).or_else(exported);
        pairs.extend(command.map(|command| (PROCESS.to_owned(), command)));
    }
    pairs.extend(found);
    Ok(pairs)
}

fn read(path: &Path) -> Result<Ini> {
    match Ini::load_from_file_opt(path, PARSING) {
        Ok(ini) => Ok(ini),
        Err(ini::Error::Io(e)) if e.kind() == std::io::ErrorKind::NotFound => Ok(Ini::new()),
        Err(e) => Err(Error::invalid(format!("{} cannot be read", path.display())).with_source(e)),
    }
}

#[cfg(test)]
mod tests {
    use array_format_core::ErrorKind;

    use super::*;

    const CREDENTIALS_FILE: &str = "
[default]
aws_access_key_id = AKDEFAULT
aws_secret_access_key = s1
[lab]
aws_access_key_id = AKLAB
aws_secret_access_key = s2
aws_session_token = t2
";
    const CONFIG_FILE: &str = r#"
[default]
region = eu-central-1
[profile lab]
region = us-west-2
endpoint_url = https://s3.lab.example
[profile sso]
sso_session = corp
region = us-east-1
[profile tool]
credential_process = "/opt/my keys" --for "me"
"#;

    fn of(named: Option<&str>, has_credentials: bool) -> Result<Vec<String>> {
        let ini = |text| Ini::load_from_str_opt(text, PARSING).unwrap();
        let pairs = from_files(&ini(CREDENTIALS_FILE), &ini(CONFIG_FILE), named, has_credentials)?;
        Ok(pairs.into_iter().map(|(k, v)| format!("{k}={v}")).collect())
    }

    #[test]
    fn profiles() {
        assert_eq!(
            of(None, false).unwrap(),
            ["aws_region=eu-central-1", "aws_access_key_id=AKDEFAULT", "aws_secret_access_key=s1"]
        );
        let lab = of(Some("lab"), false).unwrap();
        assert!(lab.contains(&"aws_session_token=t2".to_owned()) && lab.len() == 5, "{lab:?}");
        assert_eq!(
            of(None, true).unwrap(),
            ["aws_region=eu-central-1"],
            "the environment's credentials stay whole"
        );
        assert_eq!(of(Some("nobody"), false).unwrap_err().kind(), ErrorKind::InvalidArgument);
        assert_eq!(
            of(Some("sso"), false).unwrap(),
            [
                "aws_region=us-east-1",
                "credential_process=aws configure export-credentials --profile 'sso' --format process"
            ]
        );
        assert_eq!(of(Some("sso"), true).unwrap(), ["aws_region=us-east-1"]);
        assert_eq!(of(Some("tool"), false).unwrap(), [r#"credential_process="/opt/my keys" --for "me""#]);
    }
}
