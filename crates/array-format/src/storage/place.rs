//! Where a file is, by URL.
//!
//! | URL | store | credentials |
//! |---|---|---|
//! | `run.af`, `file:///data/run.af` | local disk | |
//! | `memory://name/run.af` | memory of this process | |
//! | `s3://bucket/run.af` | S3 and what speaks its protocol | `AWS_*`, the profile of the AWS tools, the machine's role |
//! | `gs://bucket/run.af` | Google Cloud Storage | `GOOGLE_*`, `gcloud auth application-default login`, the machine's account |
//! | `az://container/run.af`, `abfs://container@account/run.af` | Azure | `AZURE_*`, `az login` with `use_azure_cli`, managed identity |
//! | `https://host/run.af` | any web server that serves ranges; read only | |
//!
//! Keys are taken letter by letter, as the tools of the clouds do; in `file:` and `http:` URLs, percent-encoding is undone.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use array_format_core::{Error, Result};

use super::{InMemoryStorage, LocalStorage, Storage};

/// Until when a request has been answered, unless the user says otherwise.
const DEADLINE: Duration = Duration::from_secs(60);

/// What `memory://` means in this process.
static MEMORY: LazyLock<Arc<InMemoryStorage>> = LazyLock::new(|| Arc::new(InMemoryStorage::new()));

/// A file's place: a storage, and the path in it.
#[derive(Debug, Clone)]
pub struct Place {
    /// The storage.
    pub storage: Arc<dyn Storage>,
    /// The path in the storage.
    pub path: String,
}

impl Place {
    /// What to say where there is no object because the path is a folder of some.
    pub(crate) async fn folder_error(&self) -> Option<Error> {
        let entries = self.storage.list(&self.path).await.ok()?;
        let first = entries.first()?;
        Some(Error::invalid(format!(
            "{} is a folder, not a file; name a file in it, such as {}/{}",
            self.storage.describe(&self.path),
            self.path,
            first.name
        )))
    }
}

/// How stores are reached.
///
/// ```
/// use std::time::Duration;
/// use array_format::storage::StoreOptions;
///
/// # #[cfg(feature = "remote")]
/// # fn main() -> array_format::Result<()> {
/// let options = StoreOptions::default()
///     .with_option("endpoint", "http://127.0.0.1:9000")
///     .with_option("access_key_id", "reader")
///     .with_option("secret_access_key", "...")
///     .with_deadline(Duration::from_secs(20));
/// let place = options.place("s3://ocean/profiles.af")?;
/// assert_eq!(place.path, "profiles.af");
/// # Ok(())
/// # }
/// # #[cfg(not(feature = "remote"))]
/// # fn main() {}
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct StoreOptions {
    pub(super) options: BTreeMap<String, String>,
    pub(super) deadline: Duration,
    pub(super) single_writer: bool,
    pub(super) maps: bool,
}

impl Default for StoreOptions {
    fn default() -> Self {
        Self { options: BTreeMap::new(), deadline: DEADLINE, single_writer: false, maps: false }
    }
}

/// Names without values: these may be secrets.
impl fmt::Debug for StoreOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoreOptions")
            .field("options", &self.options.keys())
            .field("deadline", &self.deadline)
            .field("single_writer", &self.single_writer)
            .field("maps", &self.maps)
            .finish()
    }
}

impl StoreOptions {
    /// Sets an option of the store, by the names of the `object_store` crate, with or without the prefix of the cloud: `region`, `endpoint`,
    /// `skip_signature` (public buckets), `access_key_id`, `account_name`, `sas_token`, `service_account_path`, `timeout`, ... It wins over
    /// the environment. One that the store does not know is an error of [`place`](Self::place).
    #[must_use]
    pub fn with_option(mut self, name: &str, value: &str) -> Self {
        self.options.insert(name.to_ascii_lowercase(), value.to_owned());
        self
    }

    /// How long one operation may take, all of its attempts together: then it fails as `Unavailable`. A minute unless set.
    #[must_use]
    pub fn with_deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// Accepts a store that ignores conditions, on the user's word that no two processes ever write the same file at once: then a
    /// commit looks whether its name is taken, and nothing but luck keeps a second writer from overwriting it.
    #[must_use]
    pub fn with_single_writer(mut self, single_writer: bool) -> Self {
        self.single_writer = single_writer;
        self
    }

    /// Reads files of this machine through memory maps: see [`LocalStorage::with_memory_maps`] for what they take.
    #[must_use]
    pub fn with_memory_maps(mut self, maps: bool) -> Self {
        self.maps = maps;
        self
    }

    /// The place that a URL, or a path on this machine, names. Nothing is requested yet.
    ///
    /// Stores are shared: places of one bucket with equal options and environment use the same connections.
    ///
    /// # Errors
    ///
    /// `InvalidArgument` for a URL of an unknown kind or without a path, an unknown option, incomplete credentials; `Unsupported` where this
    /// build has no remote stores.
    pub fn place(&self, url: &str) -> Result<Place> {
        let Some((scheme, rest)) = url.split_once("://") else { return self.local(Path::new(url)) };
        let scheme = scheme.to_ascii_lowercase();
        match scheme.as_str() {
            "file" => self.local(&file_path(url)?),
            "memory" => {
                let path = rest.trim_start_matches('/').to_owned();
                super::path::check_object(&path)?;
                Ok(Place { storage: MEMORY.clone(), path })
            }
            _ => self.remote(&scheme, rest, url),
        }
    }

    fn local(&self, path: &Path) -> Result<Place> {
        let (storage, path) = LocalStorage::for_path(path)?;
        Ok(Place { storage: Arc::new(storage.with_memory_maps(self.maps)), path })
    }

    #[cfg(feature = "remote")]
    fn remote(&self, scheme: &str, rest: &str, url: &str) -> Result<Place> {
        super::remote::place(self, scheme, rest, url)
    }

    #[cfg(not(feature = "remote"))]
    fn remote(&self, scheme: &str, _rest: &str, _url: &str) -> Result<Place> {
        Err(Error::unsupported(format!(
            "{scheme}:// is not in this build of array-format: build it with the feature `remote`"
        )))
    }
}

fn file_path(url: &str) -> Result<std::path::PathBuf> {
    let invalid = || {
        Error::invalid(format!(
            "{url} names no file of this machine: it should look like file:///folder/run.af"
        ))
    };
    let parsed = url::Url::parse(url).map_err(|e| invalid().with_source(e))?;
    parsed.to_file_path().map_err(|()| invalid())
}

#[cfg(test)]
mod tests {
    use array_format_core::ErrorKind;

    use super::*;

    #[test]
    fn urls_of_this_machine() {
        let place = |url| StoreOptions::default().place(url);
        let memory = place("memory://scratch/run.af").unwrap();
        assert_eq!(memory.path, "scratch/run.af");
        assert!(Arc::ptr_eq(&memory.storage, &place("memory:///scratch/run.af").unwrap().storage));
        let local = place("file:///tmp/a%20b/run.af").unwrap();
        assert_eq!(local.storage.describe(&local.path), "/tmp/a b/run.af");
        assert_eq!(place("/tmp/run.af").unwrap().path, "run.af");
        for bad in ["memory://", "file://host/x", "ftp://host/x.af", "://x"] {
            let kind = place(bad).map(|p| p.path).unwrap_err().kind();
            assert!(matches!(kind, ErrorKind::InvalidArgument | ErrorKind::Unsupported), "{bad}: {kind:?}");
        }
    }

    #[test]
    fn secrets_are_not_printed() {
        let options = StoreOptions::default().with_option("SECRET_ACCESS_KEY", "hunter2");
        assert!(!format!("{options:?}").contains("hunter2"));
    }
}
