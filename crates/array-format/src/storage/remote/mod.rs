//! Stores that are reached by URL.

mod azure;
mod process;
mod profile;
mod storage;
mod unfinished;

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use ::object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey, S3CopyIfNotExists};
use ::object_store::azure::{AzureConfigKey, MicrosoftAzureBuilder};
use ::object_store::gcp::{GoogleCloudStorageBuilder, GoogleConfigKey};
use ::object_store::http::HttpBuilder;
use ::object_store::{ClientConfigKey, ClientOptions, ObjectStore, RetryConfig};
use array_format_core::{Error, Result};
use parking_lot::Mutex;

use self::process::ProcessCredentials;
use self::storage::{Kind, RemoteStorage};
use self::unfinished::S3Uploads;
use super::object_store::Unfinished;
use super::{ObjectStoreBackend, Place, Storage, StoreOptions};

/// Stores that are kept for the next file of the same bucket.
const MOST_STORES: usize = 64;

type Pairs = Vec<(String, String)>;

/// What tells stores apart: the address, all options and where they came from.
#[derive(PartialEq, Eq, Hash)]
struct StoreKey(String, Pairs, StoreOptions);

static STORES: LazyLock<Mutex<HashMap<StoreKey, Arc<dyn Storage>>>> = LazyLock::new(Mutex::default);

/// The place of `scheme://rest`, which is all of `url`.
pub(super) fn place(options: &StoreOptions, scheme: &str, rest: &str, url: &str) -> Result<Place> {
    let cloud = match scheme {
        "s3" | "s3a" => Cloud::Aws,
        "gs" | "gcs" => Cloud::Google,
        "az" | "azure" | "abfs" | "abfss" | "adl" => Cloud::Azure,
        "http" | "https" => return web(options, url),
        _ => {
            return Err(Error::invalid(format!(
                "nothing is known of {scheme}://; known are file, memory, s3, gs, az, abfs, http and https"
            )));
        }
    };
    let (bucket, path) = rest.split_once('/').unwrap_or((rest, ""));
    if bucket.is_empty() || path.is_empty() {
        return Err(Error::invalid(format!(
            "{url} names no file: it should look like {scheme}://bucket/folder/run.af"
        )));
    }
    super::path::check_object(path)?;
    let address = format!("{scheme}://{bucket}");
    let pairs = cloud.pairs(options)?;
    let storage = shared(StoreKey(address.clone(), pairs.clone(), options.clone()), || {
        let built = cloud.build(&address, &pairs, options).map_err(|e| at(e, &address))?;
        Ok((built, Kind::Cloud, address.clone()))
    })?;
    Ok(Place { storage, path: path.to_owned() })
}

/// A file on a web server. What follows `?` goes with every request, as signed URLs want it, and is shown nowhere.
fn web(options: &StoreOptions, url: &str) -> Result<Place> {
    let invalid = |why: &str| Error::invalid(format!("{} {why}", url.split('?').next().unwrap_or(url)));
    let parsed = url::Url::parse(url).map_err(|e| invalid("is no URL").with_source(e))?;
    let path = percent_encoding::percent_decode_str(parsed.path().trim_start_matches('/')).decode_utf8();
    let path = path.map_err(|e| invalid("is not UTF-8").with_source(e))?.into_owned();
    if path.is_empty() {
        return Err(invalid("names no file"));
    }
    super::path::check_object(&path)?;
    let mut base = parsed;
    base.set_path("");
    base.set_fragment(None);
    let mut shown = base.clone();
    shown.set_query(None);
    let _ = shown.set_password(None);
    let pairs: Pairs = options.options.clone().into_iter().collect();
    let storage = shared(StoreKey(base.to_string(), pairs.clone(), options.clone()), || {
        let mut builder = HttpBuilder::new().with_url(base.as_str()).with_retry(retry(options));
        for (name, value) in with_timeout(options, pairs) {
            let key: ClientConfigKey =
                name.parse().map_err(|e: ::object_store::Error| unknown(&name, "a web server", e))?;
            builder = builder.with_config(key, value);
        }
        builder = builder.with_config(ClientConfigKey::AllowHttp, (base.scheme() == "http").to_string());
        let store = builder.build().map_err(|e| at(e, shown.as_str()))?;
        Ok(((Arc::new(store) as Arc<dyn ObjectStore>, None), Kind::Web, shown.to_string()))
    })?;
    Ok(Place { storage, path })
}

/// A store, and how to find the uploads in it that nobody ended, where that can be asked.
type Built = (Arc<dyn ObjectStore>, Option<Arc<dyn Unfinished>>);

/// The store of this key: one that is there, or a new one.
fn shared(key: StoreKey, build: impl FnOnce() -> Result<(Built, Kind, String)>) -> Result<Arc<dyn Storage>> {
    let mut stores = STORES.lock();
    if let Some(storage) = stores.get(&key) {
        return Ok(storage.clone());
    }
    let ((store, unfinished), kind, shown) = build()?;
    let StoreOptions { deadline, single_writer, .. } = key.2;
    let query = key.0.split_once('?').map(|(_, query)| query);
    let backend = ObjectStoreBackend::new(store).with_url(&shown).with_single_writer(single_writer);
    let backend = backend.with_unfinished(unfinished);
    let storage: Arc<dyn Storage> = Arc::new(RemoteStorage::new(backend, kind, deadline, query)?);
    if stores.len() >= MOST_STORES {
        stores.clear();
    }
    stores.insert(key, storage.clone());
    Ok(storage)
}

#[derive(Debug, Clone, Copy)]
enum Cloud {
    Aws,
    Google,
    Azure,
}

impl Cloud {
    /// Options in the order in which later ones win: of the profile, the environment, the user.
    fn pairs(self, options: &StoreOptions) -> Result<Pairs> {
        let prefix = match self {
            Self::Aws => "AWS_",
            Self::Google => "GOOGLE_",
            Self::Azure => "AZURE_",
        };
        let environment: Pairs = std::env::vars_os()
            .filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?)))
            .filter(|(k, _)| k.starts_with(prefix))
            .map(|(k, v)| (k.to_ascii_lowercase(), v))
            .collect();
        let explicit = options.options.clone();
        let mut pairs = match self {
            Self::Aws => profile::options(&environment, &explicit)?,
            Self::Google | Self::Azure => Vec::new(),
        };
        pairs.extend(environment.into_iter().filter(|(k, _)| self.knows(k)));
        for (name, value) in explicit {
            if !self.knows(&name) {
                return Err(Error::invalid(format!(
                    "{} has no option {name:?}; see the table of options in docs/stores.md",
                    self.name()
                )));
            }
            pairs.push((name, value));
        }
        let pairs = match self {
            Self::Azure => azure::translated(pairs)?,
            Self::Aws | Self::Google => pairs,
        };
        Ok(with_timeout(options, pairs))
    }

    fn name(self) -> &'static str {
        match self {
            Self::Aws => "S3",
            Self::Google => "Google Cloud Storage",
            Self::Azure => "Azure",
        }
    }

    fn knows(self, option: &str) -> bool {
        match self {
            Self::Aws => option.parse::<AmazonS3ConfigKey>().is_ok(),
            Self::Google => option.parse::<GoogleConfigKey>().is_ok(),
            Self::Azure => azure::knows(option) || option.parse::<AzureConfigKey>().is_ok(),
        }
    }

    fn build(self, address: &str, pairs: &Pairs, options: &StoreOptions) -> ::object_store::Result<Built> {
        let retry = retry(options);
        // Who names an endpoint without encryption means it.
        let plain = pairs.iter().any(|(k, v)| k.contains("endpoint") && v.starts_with("http://"));
        match self {
            Self::Aws => {
                let builder = AmazonS3Builder::new()
                    .with_url(address)
                    .with_retry(retry)
                    .with_copy_if_not_exists(S3CopyIfNotExists::Multipart);
                let mut known = pairs.iter().filter(|(k, _)| k != profile::PROCESS);
                let builder = known.try_fold(builder, |b, (k, v)| Ok(b.with_config(k.parse()?, v)));
                let builder: AmazonS3Builder = builder.map_err(|e: ::object_store::Error| e)?;
                let program = pairs.iter().find(|(k, _)| k == profile::PROCESS);
                let builder = match program {
                    Some((_, command)) => {
                        builder.with_credentials(Arc::new(ProcessCredentials::new(command)))
                    }
                    None => builder,
                };
                let builder = if plain { builder.with_allow_http(true) } else { builder };
                let store = Arc::new(builder.build()?);
                let uploads = S3Uploads::new(store.clone(), &client_options(pairs, plain))?;
                Ok((store, Some(Arc::new(uploads))))
            }
            Self::Google => {
                let builder = GoogleCloudStorageBuilder::new().with_url(address).with_retry(retry);
                let builder = pairs.iter().try_fold(builder, |b, (k, v)| Ok(b.with_config(k.parse()?, v)));
                let builder: GoogleCloudStorageBuilder = builder.map_err(|e: ::object_store::Error| e)?;
                Ok((Arc::new(builder.build()?), None))
            }
            Self::Azure => {
                let builder =
                    MicrosoftAzureBuilder::new().with_url(azure::full_address(address)).with_retry(retry);
                let builder = pairs.iter().try_fold(builder, |b, (k, v)| Ok(b.with_config(k.parse()?, v)));
                let builder: MicrosoftAzureBuilder = builder.map_err(|e: ::object_store::Error| e)?;
                let builder = if plain { builder.with_allow_http(true) } else { builder };
                // It forgets the parts of an upload that nobody ends after a week.
                Ok((Arc::new(builder.build()?), None))
            }
        }
    }
}

/// What of the options of S3 is for its client.
fn client_options(pairs: &Pairs, plain: bool) -> ClientOptions {
    let all = pairs.iter().filter_map(|(name, value)| match name.parse() {
        Ok(AmazonS3ConfigKey::Client(key)) => Some((key, value)),
        _ => None,
    });
    let options = all.fold(ClientOptions::new(), |options, (key, value)| options.with_config(key, value));
    if plain { options.with_allow_http(true) } else { options }
}

/// Attempts go on until the deadline.
fn retry(options: &StoreOptions) -> RetryConfig {
    RetryConfig { max_retries: 1000, retry_timeout: options.deadline, ..RetryConfig::default() }
}

/// One attempt takes no longer than all of them may.
fn with_timeout(options: &StoreOptions, mut pairs: Pairs) -> Pairs {
    let ms = options.deadline.as_millis().clamp(1, 30_000);
    if !pairs.iter().any(|(k, _)| k == "timeout") {
        pairs.push(("timeout".into(), format!("{ms}ms")));
    }
    pairs
}

fn unknown(option: &str, what: &str, e: ::object_store::Error) -> Error {
    Error::invalid(format!("{what} has no option {option:?}")).with_source(e)
}

/// An address, credentials or options that do not go together.
fn at(e: ::object_store::Error, address: &str) -> Error {
    Error::invalid(format!("{address} cannot be reached with these options and this environment"))
        .with_source(e)
}
