//! What the tools of Azure take and `object_store` does not know: names of variables, connection strings, short URLs.

use array_format_core::{Error, Result};

use super::Pairs;

/// Variables of `az storage`, with what the `object_store` crate calls them.
const VARIABLES: [(&str, &str); 2] = [
    ("azure_storage_account", "azure_storage_account_name"),
    ("azure_storage_key", "azure_storage_account_key"),
];
/// The variable, and the option.
const CONNECTION_STRING: [&str; 2] = ["azure_storage_connection_string", "connection_string"];

/// Whether an option is one that [`translated`] replaces.
pub(super) fn knows(name: &str) -> bool {
    CONNECTION_STRING.contains(&name) || VARIABLES.iter().any(|(theirs, _)| *theirs == name)
}

/// Options by the names of `object_store`: those of connection strings first, so that any other wins over them.
pub(super) fn translated(pairs: Pairs) -> Result<Pairs> {
    let (mut first, mut rest) = (Pairs::new(), Pairs::new());
    for (name, value) in pairs {
        if CONNECTION_STRING.contains(&name.as_str()) {
            first.extend(connection(&value)?);
        } else {
            let ours =
                VARIABLES.iter().find(|(theirs, _)| *theirs == name).map(|(_, ours)| (*ours).to_owned());
            rest.push((ours.unwrap_or(name), value));
        }
    }
    first.extend(rest);
    Ok(first)
}

/// The parts of a connection string. It is a secret: no error shows it.
fn connection(text: &str) -> Result<Pairs> {
    let part = |name: &str| {
        let parts = text.split(';').filter_map(|p| p.split_once('='));
        parts.into_iter().find(|(n, _)| n.trim().eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
    };
    if part("UseDevelopmentStorage").is_some_and(|v| v.eq_ignore_ascii_case("true")) {
        return Ok(vec![("azure_storage_use_emulator".into(), "true".into())]);
    }
    let account = part("AccountName");
    let protocol = part("DefaultEndpointsProtocol").unwrap_or("https");
    let suffix = part("EndpointSuffix").filter(|s| *s != "core.windows.net");
    let elsewhere =
        account.zip(suffix).map(|(account, suffix)| format!("{protocol}://{account}.blob.{suffix}"));
    let endpoint = part("BlobEndpoint").map(|e| e.trim_end_matches('/').to_owned()).or(elsewhere);
    let pairs: Pairs = [
        ("azure_storage_account_name", account.map(str::to_owned)),
        ("azure_storage_account_key", part("AccountKey").map(str::to_owned)),
        ("azure_storage_sas_key", part("SharedAccessSignature").map(str::to_owned)),
        ("azure_storage_endpoint", endpoint),
    ]
    .into_iter()
    .filter_map(|(name, value)| Some((name.to_owned(), value?)))
    .collect();
    if pairs.is_empty() {
        return Err(Error::invalid(
            "AZURE_STORAGE_CONNECTION_STRING should look like AccountName=...;AccountKey=... as `az storage account show-connection-string` prints it",
        ));
    }
    Ok(pairs)
}

/// `abfs://container@account` means the account's own host, which `object_store` wants in full.
pub(super) fn full_address(address: &str) -> String {
    match address.rsplit_once('@') {
        Some((_, host)) if !host.contains('.') => format!("{address}.dfs.core.windows.net"),
        _ => address.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(pairs: &[(&str, &str)]) -> Vec<String> {
        let pairs = pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        translated(pairs).unwrap().into_iter().map(|(k, v)| format!("{k}={v}")).collect()
    }

    #[test]
    fn variables_of_the_azure_tools() {
        assert_eq!(
            of(&[("azure_storage_account", "a"), ("azure_storage_key", "k")]),
            ["azure_storage_account_name=a", "azure_storage_account_key=k"]
        );
        let connection = "DefaultEndpointsProtocol=https;AccountName=a;AccountKey=k==;EndpointSuffix=core.chinacloudapi.cn";
        assert_eq!(
            of(&[("account_name", "b"), ("azure_storage_connection_string", connection)]),
            [
                "azure_storage_account_name=a",
                "azure_storage_account_key=k==",
                "azure_storage_endpoint=https://a.blob.core.chinacloudapi.cn",
                "account_name=b",
            ],
            "what is said one by one comes last, and wins"
        );
        assert_eq!(
            of(&[("connection_string", "UseDevelopmentStorage=true")]),
            ["azure_storage_use_emulator=true"]
        );
        let e = translated(vec![("connection_string".into(), "hunter2".into())]).unwrap_err();
        assert!(!e.to_string().contains("hunter2"), "{e}");
    }

    #[test]
    fn short_and_full_addresses() {
        assert_eq!(full_address("abfs://c@a"), "abfs://c@a.dfs.core.windows.net");
        for full in ["az://c", "abfss://c@a.dfs.core.windows.net", "abfs://c@a.blob.core.windows.net"] {
            assert_eq!(full_address(full), full);
        }
    }
}
