//! What goes wrong at stores, in words that help, before the deadline.

use std::time::{Duration, Instant};

use array_format::blocking::wait;
use array_format::storage::StoreOptions;
use array_format::{ArrayFile, Error, ErrorKind, FileConfig};
use array_format_testkit::proxy::{Fault, Proxy};
use ndarray::array;

use super::{HONEST, fresh, store};

const DEADLINE: Duration = Duration::from_secs(5);

/// The error of opening, which must come in time.
fn failure(options: StoreOptions, url: &str) -> Error {
    let start = Instant::now();
    let place = options.with_deadline(DEADLINE).place(url).unwrap();
    let e = wait(ArrayFile::open_at(place, FileConfig::default())).unwrap_err();
    assert!(start.elapsed() < DEADLINE * 5 / 4, "{:?}: {e}", start.elapsed());
    assert!(e.to_string().contains(url.rsplit('/').next().unwrap()), "the object is not named: {e}");
    e
}

#[test]
fn wrong_credentials() {
    // moto does not check any.
    let Some((options, bucket)) = store("SEAWEEDFS") else { return };
    let e = failure(options.with_option("secret_access_key", "wrong"), &format!("{bucket}/x.af"));
    assert_eq!(e.kind(), ErrorKind::PermissionDenied, "{e}");
    assert!(e.to_string().contains("credentials"), "{e}");
    let Some((options, bucket)) = store("AZURITE") else { return };
    let e = failure(options.with_option("account_key", "d3Jvbmc="), &format!("{bucket}/x.af"));
    assert_eq!(e.kind(), ErrorKind::PermissionDenied, "{e}");
}

#[test]
fn a_session_token_that_has_expired() {
    // No server here lets tokens expire: this is what S3 answers then.
    let body = "<Error><Code>ExpiredToken</Code><Message>The provided token has expired.</Message></Error>";
    let proxy = Proxy::start("http://127.0.0.1:9", move |_, _| Fault::Answer(400, body)).unwrap();
    let options = StoreOptions::default()
        .with_option("endpoint", &proxy.url())
        .with_option("access_key_id", "a")
        .with_option("secret_access_key", "b")
        .with_option("token", "c");
    let e = failure(options, "s3://bucket/x.af");
    assert_eq!(e.kind(), ErrorKind::PermissionDenied, "{e}");
    assert!(e.to_string().contains("sign in again"), "{e}");
}

#[test]
fn a_bucket_that_is_not_there() {
    for server in ["MOTO", "SEAWEEDFS", "AZURITE"] {
        let Some((options, bucket)) = store(server) else { continue };
        let e = failure(options, &format!("{bucket}-of-nobody/x.af"));
        assert_eq!(e.kind(), ErrorKind::NotFound, "{server}: {e}");
        assert!(e.to_string().contains("no such"), "{server}: {e}");
    }
}

#[test]
fn a_write_that_is_denied() {
    let Some((options, bucket)) = store("SEAWEEDFS") else { return };
    let options =
        options.with_option("access_key_id", "reader").with_option("secret_access_key", "readerreader");
    let place = options.with_deadline(DEADLINE).place(&format!("{bucket}/{}/x.af", fresh("denied"))).unwrap();
    let e = wait(ArrayFile::create_at(place, FileConfig::default())).unwrap_err();
    assert_eq!(e.kind(), ErrorKind::PermissionDenied, "{e}");
    assert!(e.to_string().contains("policy") && e.to_string().contains("x.af"), "{e}");
}

/// Whoever may read opens the file; what was not allowed to be written stays, and goes where it is allowed.
#[test]
fn a_flush_that_is_denied_keeps_what_was_written() {
    let Some((options, bucket)) = store("SEAWEEDFS") else { return };
    let url = format!("{bucket}/{}/x.af", fresh("denied"));
    let place = |options: StoreOptions| options.with_deadline(DEADLINE).place(&url).unwrap();
    let mut file = wait(ArrayFile::create_at(place(options.clone()), FileConfig::default())).unwrap();
    file.define_array::<i32>("x", vec!["n".into()], vec![3], None, None).unwrap();
    wait(file.flush()).unwrap();
    let reader =
        options.with_option("access_key_id", "reader").with_option("secret_access_key", "readerreader");
    let mut file = wait(ArrayFile::open_at(place(reader), FileConfig::default())).unwrap();
    wait(file.write_array("x", vec![], array![1, 2, 3].into_dyn().view())).unwrap();
    let start = Instant::now();
    for _ in 0..2 {
        let e = wait(file.flush()).unwrap_err();
        assert_eq!(e.kind(), ErrorKind::PermissionDenied, "{e}");
        assert!(e.to_string().contains("policy") && e.to_string().contains("x.af"), "{e}");
    }
    assert!(start.elapsed() < 2 * DEADLINE, "{:?}", start.elapsed());
    assert_eq!(wait(file.read_array::<i32>("x", vec![], vec![])).unwrap().sum(), 6, "it is still pending");
}

#[test]
fn a_host_that_cannot_be_reached() {
    for endpoint in ["http://127.0.0.1:9", "http://nowhere.invalid"] {
        let options = StoreOptions::default()
            .with_option("endpoint", endpoint)
            .with_option("access_key_id", "a")
            .with_option("secret_access_key", "b");
        let e = failure(options, "s3://bucket/x.af");
        assert_eq!(e.kind(), ErrorKind::Unavailable, "{e}");
    }
}

#[test]
fn a_folder_instead_of_an_object() {
    for server in HONEST {
        let Some((options, bucket)) = store(server) else { continue };
        let folder = fresh("folder");
        let place = options.place(&format!("{bucket}/{folder}/x.af")).unwrap();
        wait(ArrayFile::create_at(place, FileConfig::default())).unwrap();
        let e = failure(options, &format!("{bucket}/{folder}"));
        assert_eq!(e.kind(), ErrorKind::InvalidArgument, "{server}: {e}");
        assert!(e.to_string().contains("is a folder"), "{server}: {e}");
    }
}

#[test]
fn urls_and_options_that_mean_nothing() {
    let place = |url: &str| StoreOptions::default().place(url).map(|p| p.path);
    for bad in ["s3://bucket", "s3:///x.af", "s3://bucket/", "gs://b//x", "https://host", "nfs://a/b"] {
        assert_eq!(place(bad).unwrap_err().kind(), ErrorKind::InvalidArgument, "{bad}");
    }
    let e =
        StoreOptions::default().with_option("acess_key_id", "x").place("s3://bucket/x.af").map(|p| p.path);
    assert!(e.unwrap_err().to_string().contains("acess_key_id"));
}
