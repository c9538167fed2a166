//! The servers that `scripts/servers.sh` starts, and files on them.
//!
//! Where they are is said by variables of the environment, such as `AF_TEST_MOTO`. A test that needs one of them says that it was skipped where it
//! does not run.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use array_format::storage::{Place, Storage, StoreOptions};

use crate::beneath::Beneath;
use crate::proxy::{Fault, Proxy};

/// The servers that keep what they promise.
pub const HONEST: [&str; 3] = ["MOTO", "SEAWEEDFS", "AZURITE"];

const AZURITE_ACCOUNT: &str = "devstoreaccount1";
/// Known to all: Azurite has it in its documentation.
const AZURITE_KEY: &str =
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";

/// A name that no other run has used.
pub fn fresh(name: &str) -> String {
    format!("{name}-{:016x}", rand::random::<u64>())
}

/// The address of a server, if it runs.
#[expect(clippy::print_stderr, reason = "a test that is skipped says so")]
pub fn direct(server: &str) -> Option<String> {
    let variable = format!("AF_TEST_{server}");
    let address = std::env::var(&variable).ok();
    if address.is_none() {
        eprintln!("SKIPPED: {variable} is not set; run scripts/servers.sh, which starts the servers");
    }
    address
}

/// The address of a server where writers may race. moto looks at conditions and writes in two steps: it gets one write at a time.
pub fn address(server: &str) -> Option<String> {
    static SERIAL: OnceLock<Option<Proxy>> = OnceLock::new();
    if server != "MOTO" {
        return direct(server);
    }
    let start = || {
        let upstream = direct(server)?;
        Some(Proxy::start_serial(&upstream, |_, _| Fault::None).expect("a proxy on the loopback"))
    };
    SERIAL.get_or_init(start).as_ref().map(Proxy::url)
}

/// How to reach the server at an endpoint, by the names of options.
fn options(server: &str, endpoint: &str) -> (Vec<(&'static str, String)>, &'static str) {
    if server == "AZURITE" {
        let endpoint = format!("{endpoint}/{AZURITE_ACCOUNT}");
        let options = vec![
            ("endpoint", endpoint),
            ("account_name", AZURITE_ACCOUNT.into()),
            ("account_key", AZURITE_KEY.into()),
        ];
        return (options, "az://container");
    }
    let options = [
        ("endpoint", endpoint),
        ("region", "us-east-1"),
        ("access_key_id", "test"),
        ("secret_access_key", "testtest"),
    ];
    (options.map(|(name, value)| (name, value.to_owned())).to_vec(), "s3://bucket")
}

/// How to reach a server, and the URL of the bucket in it.
pub fn store(server: &str) -> Option<(StoreOptions, &'static str)> {
    let (options, bucket) = options(server, &address(server)?);
    let plain = StoreOptions::default().with_deadline(Duration::from_secs(30));
    Some((options.into_iter().fold(plain, |o, (name, value)| o.with_option(name, &value)), bucket))
}

/// The same for other processes: variables of their environment.
pub fn environment(server: &str) -> Option<(Vec<(String, String)>, &'static str)> {
    let (options, bucket) = options(server, &address(server)?);
    let prefix = if server == "AZURITE" { "AZURE_STORAGE" } else { "AWS" };
    let named = options.into_iter().map(|(name, value)| (format!("{prefix}_{}", name.to_uppercase()), value));
    Some((named.collect(), bucket))
}

/// A place that nothing was written to before.
pub fn place(server: &str, name: &str) -> Option<Place> {
    let (options, bucket) = store(server)?;
    Some(options.place(&format!("{bucket}/{}/{name}.af", fresh(name))).expect("a URL"))
}

/// The same through a proxy that listens at `endpoint`.
pub fn place_through(server: &str, endpoint: &str, name: &str) -> Place {
    let (options, bucket) = options(server, endpoint);
    let plain = StoreOptions::default().with_deadline(Duration::from_secs(30));
    let options = options.into_iter().fold(plain, |o, (name, value)| o.with_option(name, &value));
    options.place(&format!("{bucket}/{}/{name}.af", fresh(name))).expect("a URL")
}

/// A folder of a server that nothing was written to before, as a storage of its own.
pub fn folder(server: &str) -> Option<Arc<dyn Storage>> {
    let place = place(server, "folder")?;
    let (folder, _) = place.path.rsplit_once('/')?;
    Some(Arc::new(Beneath::new(place.storage.clone(), folder)))
}
