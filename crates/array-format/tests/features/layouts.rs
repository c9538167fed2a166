//! Chunked and in one chunk: every element type, every way to read, any region.

use std::fmt::Debug;

use array_format::{
    ArrayDefinition, ArrayElement, ArrayFile, DurationMs, DurationNs, DurationS, DurationUs, Elements,
    ErrorKind, FileConfig, List, TimestampMs, TimestampNs, TimestampS, TimestampUs, Values,
};
use futures::executor::block_on;
use half::{bf16, f16};
use ndarray::{ArrayD, Axis, IxDyn, Slice};
use num_complex::Complex;

use super::{assert_whole, noise};

const SHAPE: [usize; 3] = [5, 7, 4];

/// The same array in several layouts: one chunk, chunks clipped at the far ends, chunks of one element, and in frames.
const LAYOUTS: [(&str, Option<[u64; 3]>); 4] =
    [("single", None), ("chunked", Some([2, 3, 4])), ("ones", Some([1, 1, 1])), ("wider", Some([9, 4, 9]))];

fn dims() -> Vec<String> {
    ["z", "y", "x"].map(String::from).to_vec()
}

fn u64s(n: &[usize]) -> Vec<u64> {
    n.iter().map(|n| *n as u64).collect()
}

/// A region: first index, count and step on each axis.
type Region = [(usize, usize, usize); 3];

fn region(next: &mut impl FnMut() -> u64) -> Region {
    SHAPE.map(|extent| {
        let mut below = |n: usize| (next() % n as u64) as usize;
        let (start, step) = (below(extent), 1 + below(3));
        let most = (extent - start).div_ceil(step);
        (start, below(most + 1), step)
    })
}

fn expected<T: Clone>(all: &ArrayD<T>, region: &Region) -> ArrayD<T> {
    let mut part = all.view();
    for (axis, (start, count, step)) in region.iter().enumerate() {
        let end = start + if *count == 0 { 0 } else { (count - 1) * step + 1 };
        part.slice_axis_inplace(Axis(axis), Slice::new(*start as isize, Some(end as isize), *step as isize));
    }
    part.to_owned()
}

fn dense<T: ArrayElement>(all: &ArrayD<T>) -> Elements {
    let flat: Vec<T> = all.iter().cloned().collect();
    let mut values = Values::empty(T::DTYPE);
    T::put_all(&flat, &mut values);
    let validity = T::NULLABLE.then(|| flat.iter().map(|e| u8::from(e.is_valid())).collect());
    Elements { dtype: T::DTYPE, values, validity }
}

async fn written<T: ArrayElement>(all: &ArrayD<T>) -> ArrayFile {
    // Frames of the least size: some of the arrays below take more than one.
    let mut file = ArrayFile::create_memory(FileConfig::default().with_frame_bytes(1 << 10)).await.unwrap();
    for (name, chunk) in LAYOUTS {
        let chunk = chunk.map(Vec::from);
        file.define_array::<T>(name, dims(), u64s(&SHAPE), chunk, None).unwrap();
        file.write_array(name, vec![], all.view()).await.unwrap();
    }
    file
}

async fn reads<T: ArrayElement + PartialEq + Debug + Default>(
    file: &ArrayFile,
    all: &ArrayD<T>,
    region: &Region,
) {
    let [start, count, step] =
        [u64s(&region.map(|r| r.0)), u64s(&region.map(|r| r.1)), u64s(&region.map(|r| r.2))];
    let wanted = expected(all, region);
    let next_to_each_other = region.map(|(start, count, _)| (start, count.min(1), 1));
    let wanted_dense = expected(all, &next_to_each_other);
    for (name, _) in LAYOUTS {
        let place = format!("{} {name} {region:?}", T::DTYPE);
        let read =
            file.read_array_steps::<T>(name, start.clone(), count.clone(), step.clone()).await.unwrap();
        assert_eq!(read, wanted, "{place}");
        let (shape, elements) =
            file.read_elements(name, start.clone(), count.clone(), step.clone()).await.unwrap();
        assert_eq!((shape, elements), (count.clone(), dense(&wanted)), "{place}");
        let shape = u64s(wanted_dense.shape());
        let read = file.read_array::<T>(name, start.clone(), shape).await.unwrap();
        assert_eq!(read, wanted_dense, "{place}");
        // In place, and into a view that is not laid out like the file.
        let mut out = ArrayD::from_elem(wanted_dense.raw_dim(), T::default());
        file.read_into(name, start.clone(), out.view_mut()).await.unwrap();
        assert_eq!(out, wanted_dense, "{place}");
        let mut turned = vec![T::default(); wanted_dense.len()];
        let mut reversed = wanted_dense.shape().to_vec();
        reversed.reverse();
        let view = ndarray::ArrayViewMutD::from_shape(IxDyn(&reversed), &mut turned).unwrap().reversed_axes();
        file.read_into(name, start.clone(), view).await.unwrap();
        let turned = ArrayD::from_shape_vec(IxDyn(&reversed), turned).unwrap().reversed_axes();
        assert_eq!(turned, wanted_dense, "{place}");
    }
    let names = LAYOUTS.map(|l| l.0.to_owned());
    let shape = u64s(wanted_dense.shape());
    let many = file.read_many::<T>(&names, start, shape).await.unwrap();
    assert!(many.len() == names.len() && many.iter().all(|read| *read == wanted_dense));
}

/// Regions at random, before and after the commit, and from a file whose parts were written one by one.
fn check<T: ArrayElement + PartialEq + Debug + Default>(make: impl Fn(u64) -> T, seed: u64) {
    let mut next = noise(seed + 11);
    let all = ArrayD::from_shape_fn(IxDyn(&SHAPE), |_| make(next()));
    block_on(async {
        let mut file = written(&all).await;
        reads(&file, &all, &region(&mut next)).await;
        file.flush().await.unwrap();
        for (name, _) in LAYOUTS {
            assert_eq!(file.read_array::<T>(name, vec![], vec![]).await.unwrap(), all);
        }
        for _ in 0..6 {
            reads(&file, &all, &region(&mut next)).await;
        }
        reads(&file, &all, &[(0, 5, 1), (0, 0, 1), (3, 1, 2)]).await;

        let mut changed = all.clone();
        for _ in 0..3 {
            let corner = region(&mut next).map(|(start, count, _)| (start, count, 1));
            let corner = [0, 1, 2].map(|a| (corner[a].0, corner[a].1.min(SHAPE[a] - corner[a].0), 1));
            let part = expected(&all, &corner).mapv(|_| make(next()));
            for (name, _) in LAYOUTS {
                file.write_array(name, u64s(&corner.map(|c| c.0)), part.view()).await.unwrap();
            }
            let mut target = changed.view_mut();
            for (axis, (start, count, _)) in corner.iter().enumerate() {
                target.slice_axis_inplace(Axis(axis), Slice::from(*start..start + count));
            }
            target.assign(&part);
            reads(&file, &changed, &region(&mut next)).await;
            file.flush().await.unwrap();
        }
        for _ in 0..4 {
            reads(&file, &changed, &region(&mut next)).await;
        }
        assert_whole(&file).await;
    });
}

/// A type, and the same with nulls.
fn check_both<T: ArrayElement + PartialEq + Debug + Default>(make: impl Fn(u64) -> T) {
    check(&make, 1);
    check(|n| (n % 3 != 0).then(|| make(n)), 2);
}

fn text(n: u64) -> String {
    ["", "a", "Zürich", "a longer text than the others, by far"][(n >> 20) as usize % 4]
        .repeat((n % 3) as usize)
}

#[test]
fn integers_read_back_in_every_layout() {
    check_both(|n| n % 2 == 0);
    check_both(|n| n as i8);
    check_both(|n| n as i16);
    check_both(|n| n as i32);
    check_both(|n| n as i64);
    check_both(|n| n as u8);
    check_both(|n| n as u16);
    check_both(|n| n as u32);
    check_both(|n| n);
}

#[test]
fn floats_read_back_in_every_layout() {
    check_both(|n| f16::from_f32((n % 2000) as f32));
    check_both(|n| bf16::from_f32((n % 200) as f32));
    check_both(|n| (n as i32) as f32);
    check_both(|n| (n as i64) as f64);
    check_both(|n| Complex::new(n as f32, (n >> 32) as f32));
    check_both(|n| Complex::new(n as f64, -(n as f64)));
}

#[test]
fn times_read_back_in_every_layout() {
    check_both(|n| TimestampS(n as i64));
    check_both(|n| TimestampMs(n as i64));
    check_both(|n| TimestampUs(n as i64));
    check_both(|n| TimestampNs(n as i64));
    check_both(|n| DurationS(n as i64));
    check_both(|n| DurationMs(n as i64));
    check_both(|n| DurationUs(n as i64));
    check_both(|n| DurationNs(n as i64));
}

#[test]
fn texts_and_lists_read_back_in_every_layout() {
    check_both(text);
    check_both(|n| text(n).into_bytes());
    check_both(|n| [n as i16, (n >> 16) as i16, (n >> 32) as i16]);
    check_both(|n| List((0..n % 5).map(|k| (n >> k) as u16).collect()));
    check_both(|n| List(vec![n as f64; (n % 2) as usize]));
}

#[test]
fn arrays_of_any_rank_read_back() {
    block_on(async {
        let mut next = noise(99);
        let mut file = ArrayFile::create_memory(FileConfig::default()).await.unwrap();
        for rank in 0..=9 {
            let shape: Vec<usize> = (0..rank).map(|_| 1 + (next() % 3) as usize).collect();
            let data = ArrayD::from_shape_fn(IxDyn(&shape), |_| next());
            for chunk in [None, Some(shape.iter().map(|s| (*s as u64 + 1) / 2).collect())] {
                let name = format!("{rank}/{}", chunk.is_some());
                let names = vec![String::new(); rank];
                file.define_array::<u64>(&name, names, u64s(&shape), chunk, None).unwrap();
                file.write_array(&name, vec![], data.view()).await.unwrap();
                file.flush().await.unwrap();
                assert_eq!(file.read_array::<u64>(&name, vec![], vec![]).await.unwrap(), data);
                let start: Vec<u64> = shape.iter().map(|s| next() % *s as u64).collect();
                let one = file.read_array::<u64>(&name, start.clone(), vec![1; rank]).await.unwrap();
                let at: Vec<usize> = start.iter().map(|s| *s as usize).collect();
                assert_eq!(one.first(), data.get(IxDyn(&at)));
            }
        }
        assert_whole(&file).await;
    });
}

#[test]
fn what_was_never_written_is_the_fill_value_and_nothing_is_clamped() {
    block_on(async {
        let mut file = ArrayFile::create_memory(FileConfig::default()).await.unwrap();
        file.define_array::<f32>("x", vec!["n".into()], vec![10], Some(vec![4]), Some(-1.5)).unwrap();
        file.define("s", ArrayDefinition::new::<Option<String>>(vec!["n".into()], vec![3])).unwrap();
        file.write_array("x", vec![5], ndarray::array![2f32].into_dyn().view()).await.unwrap();
        file.flush().await.unwrap();
        let read = file.read_array_steps::<f32>("x", vec![], vec![], vec![5]).await.unwrap();
        assert_eq!(read.as_slice().unwrap(), [-1.5, 2.0]);
        let read = file.read_array::<Option<String>>("s", vec![1], vec![2]).await.unwrap();
        assert_eq!(read.as_slice().unwrap(), [None, None]);
        assert_eq!(file.chunks("x").await.unwrap().len(), 1);
        for (start, shape, step) in [
            (vec![9], vec![2], vec![1]),
            (vec![0], vec![4], vec![4]),
            (vec![0], vec![1], vec![0]),
            (vec![0, 0], vec![1, 1], vec![1, 1]),
            (vec![11], vec![0], vec![1]),
            (vec![u64::MAX], vec![2], vec![u64::MAX]),
        ] {
            let e = file.read_array_steps::<f32>("x", start, shape, step).await.unwrap_err();
            assert_eq!(e.kind(), ErrorKind::InvalidArgument, "{e}");
        }
        let wrong = file.read_array::<f64>("x", vec![], vec![]).await.unwrap_err();
        assert_eq!(wrong.kind(), ErrorKind::InvalidArgument);
        let nulls = file.read_array::<String>("s", vec![], vec![]).await.unwrap_err();
        assert_eq!(nulls.kind(), ErrorKind::InvalidArgument);
    });
}
