//! The shortest way through everything.
use array_format::*;
use futures::executor::block_on;
use ndarray::{Array, ArrayD, array};

#[test]
fn write_flush_read_reopen() {
    block_on(async {
        let store = InMemoryStorage::default();
        let mut f = ArrayFile::create(store.clone(), "a.af", FileConfig::default()).await.unwrap();
        f.define_array::<f32>("g/x", vec!["y".into(), "x".into()], vec![5, 7], Some(vec![2, 3]), Some(-1.0))
            .unwrap();
        f.define_array::<Option<String>>("g/s", vec!["n".into()], vec![3], None, None).unwrap();
        let data: ArrayD<f32> = Array::from_shape_fn((5, 7), |(i, j)| (i * 7 + j) as f32).into_dyn();
        f.write_array("g/x", vec![], data.view()).await.unwrap();
        f.write_array(
            "g/s",
            vec![0],
            array![Some("a".to_string()), None, Some(String::new())].into_dyn().view(),
        )
        .await
        .unwrap();
        f.set_attribute("g/x", "units", "degC").await.unwrap();
        f.set_attribute("", "title", "t").await.unwrap();
        assert_eq!(f.read_array::<f32>("g/x", vec![], vec![]).await.unwrap(), data);
        assert_eq!(f.flush().await.unwrap(), 1);
        assert_eq!(f.read_array::<f32>("g/x", vec![], vec![]).await.unwrap(), data);
        f.write_array("g/x", vec![1, 1], array![[100f32, 101.0]].into_dyn().view()).await.unwrap();
        assert_eq!(f.flush().await.unwrap(), 2);
        let g = ArrayFile::open(store.clone(), "a.af", FileConfig::default()).await.unwrap();
        let mut want = data.clone();
        want[[1, 1]] = 100.0;
        want[[1, 2]] = 101.0;
        assert_eq!(g.read_array::<f32>("g/x", vec![], vec![]).await.unwrap(), want);
        assert_eq!(g.attribute("g/x", "units").await.unwrap(), Some("degC".into()));
        assert_eq!(g.attribute("", "title").await.unwrap(), Some("t".into()));
        let s = g.read_array::<Option<String>>("g/s", vec![], vec![]).await.unwrap();
        assert_eq!(s.as_slice().unwrap(), [Some("a".to_string()), None, Some(String::new())]);
        let st = g.statistics("g/x").await.unwrap().statistics;
        assert_eq!(st.max(), Some(&101f32.into()));
        let r = g.verify(VerifyOptions::default().statistics(true)).await.unwrap();
        assert!(r.is_clean(), "{:?}", r.damage);
        assert_eq!(g.at(1).await.unwrap().read_array::<f32>("g/x", vec![], vec![]).await.unwrap(), data);
        f.resize("g/x", vec![3, 9]).await.unwrap();
        f.rename("g/s", "h/s").await.unwrap();
        f.flush().await.unwrap();
        let x = f.read_array::<f32>("g/x", vec![], vec![]).await.unwrap();
        assert_eq!(x.shape(), [3, 9]);
        assert_eq!(x[[2, 8]], -1.0);
        assert_eq!(x[[1, 1]], 100.0);
        assert_eq!(f.list_arrays().await.unwrap(), ["g/x", "h/s"]);
        let r = f.verify(VerifyOptions::default().statistics(true)).await.unwrap();
        assert!(r.is_clean(), "{:?}", r.damage);
        println!("{:?}", f.diff(2, 3).await.unwrap());
        f.compact().await.unwrap();
        assert_eq!(f.num_layers(), 1);
        assert_eq!(f.read_array::<f32>("g/x", vec![], vec![]).await.unwrap(), x);
        let r = f.verify(VerifyOptions::default().statistics(true)).await.unwrap();
        assert!(r.is_clean(), "{:?}", r.damage);
        assert_eq!(f.versions().await.unwrap().len(), 1);
        println!("{:?} {:?}", f.usage(), f.counters());
    });
}
