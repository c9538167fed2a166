//! Many new arrays in one commit have a way of their own.

use array_format::{ArrayFile, FileConfig, Value};
use futures::executor::block_on;
use ndarray::Array1;

use super::assert_whole;

/// More than which the rows are put together on several threads.
const MANY: usize = 3000;

#[test]
fn each_of_many_new_arrays_gets_its_own_attributes() {
    // With a group among them, and without: the one goes the usual way.
    for with_group in [false, true] {
        block_on(async {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("p.af");
            let mut file = ArrayFile::create_path(&path, FileConfig::default()).await.unwrap();
            let name = |i: usize| format!("p{i:05}");
            let values = |i: usize| Array1::from_iter((0..i % 7).map(|k| (i + k) as i32)).into_dyn();
            for i in 0..MANY {
                file.define_array::<i32>(&name(i), vec!["n".into()], vec![i as u64 % 7], None, None).unwrap();
                if i % 3 > 0 {
                    file.write_array(&name(i), vec![], values(i).view()).await.unwrap();
                }
                for key in 0..i % 4 {
                    file.set_attribute(&name(i), &format!("key {key}"), (i * key) as i64).await.unwrap();
                }
                if i % 5 == 0 {
                    file.set_attribute(&name(i), "set and removed", true).await.unwrap();
                    assert!(file.remove_attribute(&name(i), "set and removed").await.unwrap());
                }
            }
            if with_group {
                file.define_group("z").await.unwrap();
                file.set_attribute("z", "key 0", "of the group").await.unwrap();
            }
            file.flush().await.unwrap();
            // What is added to arrays of an earlier version.
            for i in (0..MANY).step_by(2) {
                file.set_attribute(&name(i), "later", i as i64).await.unwrap();
            }
            file.flush().await.unwrap();

            let file = ArrayFile::open_path(&path, FileConfig::default()).await.unwrap();
            for i in 0..MANY {
                let found = file.attributes(&name(i)).await.unwrap();
                let mut expected: Vec<(String, Value)> =
                    (0..i % 4).map(|key| (format!("key {key}"), Value::from((i * key) as i64))).collect();
                if i % 2 == 0 {
                    expected.push(("later".into(), Value::from(i as i64)));
                }
                assert_eq!(found.into_iter().collect::<Vec<_>>(), expected, "{i}");
                let read = file.read_array::<i32>(&name(i), vec![], vec![]).await.unwrap();
                let expected = if i % 3 > 0 { values(i) } else { values(i).mapv(|_| 0) };
                assert_eq!(read, expected, "{i}");
            }
            if with_group {
                let of_group = file.attributes("z").await.unwrap().into_iter().collect::<Vec<_>>();
                assert_eq!(of_group, [("key 0".to_owned(), Value::from("of the group"))]);
            }
            let column = file.attribute_column("key 1").await.unwrap();
            assert_eq!(column.ids_where(|_| true).len(), (0..MANY).filter(|i| i % 4 > 1).count());
            assert_whole(&file).await;
        });
    }
}
