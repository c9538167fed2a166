//! Chunked and in one chunk: every element type, every way to read, any region.

use std::fmt::Debug;

use array_format::blocking::wait;
use array_format::element::fill_bytes;
use array_format::{
    ArrayDefinition, ArrayElement, ArrayFile, DType, DurationMs, DurationNs, DurationS, DurationUs, Elements,
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

/// First indices, counts and steps.
fn by_part(region: &Region) -> [Vec<u64>; 3] {
    [region.map(|r| r.0), region.map(|r| r.1), region.map(|r| r.2)].map(|part| u64s(&part))
}

fn expected<T: Clone>(all: &ArrayD<T>, region: &Region) -> ArrayD<T> {
    let mut part = all.view();
    for (axis, (start, count, step)) in region.iter().enumerate() {
        let end = start + if *count == 0 { 0 } else { (count - 1) * step + 1 };
        part.slice_axis_inplace(Axis(axis), Slice::new(*start as isize, Some(end as isize), *step as isize));
    }
    part.to_owned()
}

/// Bytes of an element, and whether it is there. All types look alike so, and the checks need not be compiled for each.
type Cell = (Vec<u8>, bool);

fn cells<T: ArrayElement>(all: &ArrayD<T>) -> ArrayD<Cell> {
    all.map(|e| (fill_bytes(e), e.is_valid()))
}

fn elements(dtype: DType, nullable: bool, cells: &ArrayD<Cell>) -> Elements {
    let mut values = Values::empty(dtype);
    for (bytes, _) in cells {
        match &mut values {
            Values::Fixed(all) => all.extend(bytes),
            Values::Variable(all) => all.push(bytes),
        }
    }
    let validity = nullable.then(|| cells.iter().map(|c| u8::from(c.1)).collect());
    Elements { dtype, values, validity }
}

/// An array in all layouts, in a file that is compared with it.
struct Checked {
    file: ArrayFile,
    dtype: DType,
    nullable: bool,
    all: ArrayD<Cell>,
}

impl Checked {
    fn written(dtype: DType, nullable: bool, all: ArrayD<Cell>) -> Self {
        // Frames of the least size: some of the arrays take more than one.
        let config = FileConfig::default().with_frame_bytes(1 << 10);
        let mut file = wait(ArrayFile::create_memory(config)).unwrap();
        for (name, chunk) in LAYOUTS {
            let mut definition = ArrayDefinition::of_dtype(dtype, nullable, dims(), u64s(&SHAPE));
            if let Some(chunk) = chunk {
                definition = definition.chunk_shape(chunk.to_vec());
            }
            file.define(name, definition).unwrap();
            let elements = elements(dtype, nullable, &all);
            wait(file.write_elements(name, vec![], u64s(&SHAPE), elements)).unwrap();
        }
        Self { file, dtype, nullable, all }
    }

    fn read(&self, region: &Region) {
        let [start, count, step] = by_part(region);
        let wanted = elements(self.dtype, self.nullable, &expected(&self.all, region));
        for (name, _) in LAYOUTS {
            let found = self.file.read_elements(name, start.clone(), count.clone(), step.clone());
            let found = wait(found).unwrap();
            assert!(found == (count.clone(), wanted.clone()), "{} {name} {region:?}", self.dtype);
            if let Values::Fixed(wanted_bytes) = &wanted.values {
                let mut bytes = vec![0xAA; wanted_bytes.len()];
                let mut mask = wanted.validity.as_ref().map(|v| vec![7; v.len()]);
                let [start, count, step] = [start.clone(), count.clone(), step.clone()];
                let read = self.file.read_bytes(name, start, count, step, &mut bytes, mask.as_deref_mut());
                wait(read).unwrap();
                assert!((&bytes, &mask) == (wanted_bytes, &wanted.validity), "{} {name}", self.dtype);
            }
        }
    }

    /// Overwrites a box with what lies elsewhere in the array.
    fn overwrite(&mut self, next: &mut impl FnMut() -> u64) {
        let mut region = region(next);
        for (axis, (start, count, step)) in region.iter_mut().enumerate() {
            (*count, *step) = ((*count).min(SHAPE[axis] - *start), 1);
        }
        let [start, count, _] = by_part(&region);
        let flat: Vec<Cell> = self.all.iter().cloned().collect();
        let mut any = || flat[next() as usize % flat.len()].clone();
        let part = expected(&self.all, &region).map(|_| any());
        let bytewise = next().is_multiple_of(2);
        for (name, _) in LAYOUTS {
            let elements = elements(self.dtype, self.nullable, &part);
            match &elements.values {
                Values::Fixed(bytes) if bytewise => {
                    let (start, count, mask) = (start.clone(), count.clone(), elements.validity.as_deref());
                    wait(self.file.write_bytes(name, start, count, bytes, mask)).unwrap();
                }
                _ => {
                    wait(self.file.write_elements(name, start.clone(), count.clone(), elements)).unwrap();
                }
            }
        }
        let mut target = self.all.view_mut();
        for (axis, (start, count, _)) in region.iter().enumerate() {
            target.slice_axis_inplace(Axis(axis), Slice::from(*start..start + count));
        }
        target.assign(&part);
    }

    /// Regions at random, before and after commits.
    fn check(mut self, next: &mut impl FnMut() -> u64) {
        self.read(&region(next));
        wait(self.file.flush()).unwrap();
        self.read(&SHAPE.map(|extent| (0, extent, 1)));
        self.read(&[(0, 5, 1), (0, 0, 1), (3, 1, 2)]);
        for _ in 0..3 {
            self.overwrite(next);
            self.read(&region(next));
            wait(self.file.flush()).unwrap();
            for _ in 0..6 {
                self.read(&region(next));
            }
        }
        wait(assert_whole(&self.file));
    }
}

/// A type, and the same with nulls.
fn check<T: ArrayElement + PartialEq + Debug>(make: impl Fn(u64) -> T) {
    let mut next = noise(11);
    let all = ArrayD::from_shape_fn(IxDyn(&SHAPE), |_| make(next()));
    let mut checked = Checked::written(T::DTYPE, T::NULLABLE, cells(&all));
    for (name, _) in LAYOUTS {
        assert_eq!(wait(checked.file.read_array::<T>(name, vec![], vec![])).unwrap(), all, "{name}");
        wait(checked.file.write_array(name, vec![], all.view())).unwrap();
    }
    checked.check(&mut next);
    let null = vec![0; T::DTYPE.fixed_size_bytes().unwrap_or(0)];
    let with_nulls =
        cells(&all).map(|c| if next().is_multiple_of(3) { (null.clone(), false) } else { c.clone() });
    Checked::written(T::DTYPE, true, with_nulls).check(&mut next);
}

/// All typed ways to read.
fn check_ways<T: ArrayElement + PartialEq + Debug + Default>(make: impl Fn(u64) -> T) {
    let mut next = noise(13);
    let all = ArrayD::from_shape_fn(IxDyn(&SHAPE), |_| make(next()));
    let mut file = Checked::written(T::DTYPE, T::NULLABLE, cells(&all)).file;
    for round in 0..12 {
        if round == 3 {
            wait(file.flush()).unwrap();
        }
        let region = region(&mut next);
        let [start, count, step] = by_part(&region);
        let dense = region.map(|(start, count, _)| (start, count.min(1), 1));
        let [_, dense_count, _] = by_part(&dense);
        let (wanted, wanted_dense) = (expected(&all, &region), expected(&all, &dense));
        for (name, _) in LAYOUTS {
            let read = file.read_array_steps::<T>(name, start.clone(), count.clone(), step.clone());
            assert_eq!(wait(read).unwrap(), wanted, "{name} {region:?}");
            let read = file.read_array::<T>(name, start.clone(), dense_count.clone());
            assert_eq!(wait(read).unwrap(), wanted_dense, "{name} {region:?}");
            // In place, and into memory that is not laid out like the file.
            let mut out = ArrayD::from_elem(wanted_dense.raw_dim(), T::default());
            wait(file.read_into(name, start.clone(), out.view_mut())).unwrap();
            assert_eq!(out, wanted_dense, "{name} {region:?}");
            let mut turned = ArrayD::from_elem(wanted_dense.t().raw_dim(), T::default());
            wait(file.read_into(name, start.clone(), turned.view_mut().reversed_axes())).unwrap();
            assert_eq!(turned.t(), wanted_dense, "{name} {region:?}");
        }
        let names = LAYOUTS.map(|l| l.0.to_owned());
        let many = wait(file.read_many::<T>(&names, start, dense_count)).unwrap();
        assert!(many.len() == names.len() && many.iter().all(|read| *read == wanted_dense));
    }
    let names = LAYOUTS.map(|l| l.0.to_owned());
    let ragged = wait(file.read_ragged::<T>(&names)).unwrap();
    assert_eq!((ragged.len(), ragged.offsets()[names.len()]), (names.len(), names.len() * all.len()));
    assert!((0..names.len()).all(|i| ragged.get(i).unwrap() == all));
}

fn text(n: u64) -> String {
    ["", "a", "Zürich", "a longer text than the others, by far"][(n >> 20) as usize % 4]
        .repeat((n % 3) as usize)
}

#[test]
fn every_typed_way_to_read_agrees() {
    check_ways(|n| n % 2 == 0); // bytes that cannot be read into in place
    check_ways(|n| n as f64); // that can
    check_ways(|n| (n % 3 != 0).then_some(n as i32));
    check_ways(|n| (n % 3 != 0).then(|| text(n)));
    check_ways(|n| List((0..n % 5).map(|k| (n >> k) as u16).collect()));
}

#[test]
fn integers_read_back_in_every_layout() {
    check(|n| n % 2 == 0);
    check(|n| n as i8);
    check(|n| n as i16);
    check(|n| n as i32);
    check(|n| n as i64);
    check(|n| n as u8);
    check(|n| n as u16);
    check(|n| n as u32);
    check(|n| n);
}

#[test]
fn floats_read_back_in_every_layout() {
    check(|n| f16::from_f32((n % 2000) as f32));
    check(|n| bf16::from_f32((n % 200) as f32));
    check(|n| (n as i32) as f32);
    check(|n| (n as i64) as f64);
    check(|n| Complex::new(n as f32, (n >> 32) as f32));
    check(|n| Complex::new(n as f64, -(n as f64)));
}

#[test]
fn times_read_back_in_every_layout() {
    check(|n| TimestampS(n as i64));
    check(|n| TimestampMs(n as i64));
    check(|n| TimestampUs(n as i64));
    check(|n| TimestampNs(n as i64));
    check(|n| DurationS(n as i64));
    check(|n| DurationMs(n as i64));
    check(|n| DurationUs(n as i64));
    check(|n| DurationNs(n as i64));
}

#[test]
fn texts_and_lists_read_back_in_every_layout() {
    check(text);
    check(|n| text(n).into_bytes());
    check(|n| [n as i16, (n >> 16) as i16, (n >> 32) as i16]);
    check(|n| List((0..n % 5).map(|k| (n >> k) as u16).collect()));
    check(|n| List(vec![n as f64; (n % 2) as usize]));
}

#[test]
fn arrays_of_any_rank_read_back() {
    block_on(async {
        let mut next = noise(99);
        let mut file = ArrayFile::create_memory(FileConfig::default()).await.unwrap();
        for rank in 0..=9 {
            let shape: Vec<usize> = (0..rank).map(|_| 1 + (next() % 3) as usize).collect();
            let data = ArrayD::from_shape_fn(IxDyn(&shape), |_| next());
            for chunk in [None, Some(shape.iter().map(|s| (*s as u64).div_ceil(2)).collect())] {
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
