//! A chunk written row by row against one written at once, as a ratio in one run: `cargo bench -p array-format --bench rows`.
//!
//! The bar is 3. Times are the best of several rounds, since the machine may be busy.
#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "a benchmark")]

use std::time::{Duration, Instant};

use array_format::{ArrayFile, FileConfig, blocking::wait};
use ndarray::{Array2, Axis};

const N: u64 = 1000;

fn file() -> ArrayFile {
    let mut file = wait(ArrayFile::create_memory(FileConfig::default())).unwrap();
    file.define_array::<f32>("x", vec!["y".into(), "x".into()], vec![N, N], None, None).unwrap();
    file
}

fn timed(write: impl Fn(&mut ArrayFile)) -> Duration {
    let round = || {
        let mut file = file();
        let start = Instant::now();
        write(&mut file);
        wait(file.flush()).unwrap();
        start.elapsed()
    };
    (0..9).map(|_| round()).min().unwrap_or_default()
}

fn main() {
    let data =
        Array2::from_shape_fn((N as usize, N as usize), |(y, x)| ((y * x) % 997) as f32 / 10.0).into_dyn();
    let whole = timed(|file| wait(file.write_array("x", vec![], data.view())).unwrap());
    let rows = timed(|file| {
        for y in 0..N {
            let row = data.index_axis(Axis(0), y as usize).insert_axis(Axis(0));
            wait(file.write_array("x", vec![y, 0], row)).unwrap();
        }
    });
    println!("whole {whole:?}, row by row {rows:?}: {:.2} times", rows.as_secs_f64() / whole.as_secs_f64());
}
