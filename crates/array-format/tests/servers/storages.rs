//! The exam of storages, and stores that lie.

use array_format::blocking::wait;
use array_format::storage::StoreOptions;
use array_format::{ArrayFile, ErrorKind, FileConfig};
use array_format_testkit::proxy::{Fault, Proxy};
use array_format_testkit::{FakeGcs, conformance};
use ndarray::{ArrayD, array};

use super::{address, fresh, place, store};

fn exam(server: &str) {
    let Some((options, bucket)) = store(server) else { return };
    let folder = fresh("exam");
    let storage = options.place(&format!("{bucket}/{folder}/x")).unwrap().storage;
    wait(conformance::run(&*storage, &folder));
}

#[test]
fn moto_passes() {
    exam("MOTO");
}

#[test]
fn seaweedfs_passes() {
    exam("SEAWEEDFS");
}

/// The protocol of Google Cloud Storage, as its documentation describes it: no emulator that can be installed speaks it.
#[test]
fn google_cloud_storage_passes_as_far_as_its_protocol_can_be_imitated() {
    let server = FakeGcs::start().unwrap();
    let options = StoreOptions::default().with_option("service_account_key", &server.service_account());
    let storage = options.place("gs://bucket/exam/x").unwrap().storage;
    wait(conformance::run(&*storage, "exam"));

    let place = options.place("gs://bucket/run.af").unwrap();
    let mut file = wait(ArrayFile::create_at(place.clone(), FileConfig::default())).unwrap();
    file.define_array::<i32>("x", vec!["n".into()], vec![3], None, None).unwrap();
    for i in 0..3 {
        wait(file.write_array("x", vec![i], array![i as i32 + 1].into_dyn().view())).unwrap();
        wait(file.flush()).unwrap();
    }
    wait(file.compact()).unwrap();
    assert_eq!(file.num_layers(), 1, "the base was replaced under a condition");
    let file = wait(ArrayFile::open_at(place, FileConfig::default())).unwrap();
    assert_eq!(wait(file.read_array::<i32>("x", vec![], vec![])).unwrap().sum(), 6);
}

#[test]
fn azurite_passes() {
    exam("AZURITE");
}

#[test]
fn rclone_which_ignores_conditions_is_refused() {
    let Some(place) = place("RCLONE", "liar") else { return };
    let e = wait(ArrayFile::create_at(place, FileConfig::default())).unwrap_err();
    assert_eq!(e.kind(), ErrorKind::Unsupported, "{e}");
    assert!(e.to_string().contains("--single-writer"), "{e}");
}

#[test]
fn a_store_that_ignores_conditions_serves_a_single_writer_who_says_so() {
    let (Some(upstream), Some((options, bucket))) = (address("MOTO"), store("MOTO")) else { return };
    let proxy = Proxy::start(&upstream, |_, _| Fault::IgnoreConditions).unwrap();
    let url = format!("{bucket}/{}/one.af", fresh("alone"));
    let options = options.with_option("endpoint", &proxy.url());
    let refused = wait(ArrayFile::create_at(options.place(&url).unwrap(), FileConfig::default()));
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::Unsupported);

    let place = options.with_single_writer(true).place(&url).unwrap();
    let mut file = wait(ArrayFile::create_at(place.clone(), FileConfig::default())).unwrap();
    file.define_array::<i32>("x", vec!["n".into()], vec![3], None, None).unwrap();
    wait(file.write_array("x", vec![0], array![1, 2, 3].into_dyn().view())).unwrap();
    assert_eq!(wait(file.flush()).unwrap(), 1);
    let again = wait(ArrayFile::create_at(place.clone(), FileConfig::default())).unwrap_err();
    assert_eq!(again.kind(), ErrorKind::AlreadyExists, "{again}");
    // One after the other is fine.
    let mut other = wait(ArrayFile::open_at(place.clone(), FileConfig::default())).unwrap();
    wait(other.write_array("x", vec![0], array![4].into_dyn().view())).unwrap();
    assert_eq!(wait(other.flush()).unwrap(), 2);
    wait(other.compact()).unwrap();
    let x: ArrayD<i32> =
        wait(wait(ArrayFile::open_at(place, FileConfig::default())).unwrap().read_array("x", vec![], vec![]))
            .unwrap();
    assert_eq!(x.sum(), 9);
}
