//! Filter decimal, asked for and chosen.

use array_format::{DType, FileConfig, Filter, NoCompression, Scalar};

use super::super::Fixture;
use super::super::model::Cell;
use super::super::samples::{cells, cells_with_nulls, native};
use super::super::script::{Script, def};

pub(crate) fn decimals() -> Fixture {
    use Filter::{Decimal, Delta, Shuffle};
    let config = FileConfig::default().with_block_bytes(2048).with_frame_bytes(2048);
    let mut s = Script::new("decimals", 12, config);
    let pco = Filter::Pco { level: 8 };
    for (item, all_digits) in [(Scalar::F32, [0, 2, 10]), (Scalar::F64, [0, 3, 22])] {
        for digits in all_digits {
            let decimal = Decimal { digits };
            let mut values = cells(item, 30);
            values.extend(near_the_limits(item, digits));
            let n = values.len() as u64;
            let mut put = |name: &str, filters: &[Filter]| {
                s.put(
                    &format!("{name}/{item}/{digits}"),
                    def(item, &[n]).chunked(&[17]).filters(filters),
                    &values,
                );
            };
            put("alone", &[decimal]);
            put("shuffle", &[decimal, Shuffle]);
            put("delta_shuffle", &[decimal, Delta, Shuffle]);
            put("delta", &[decimal, Delta, Delta]);
            put("pco", &[decimal, pco]);
            put("delta_pco", &[decimal, Delta, pco]);
        }
    }
    let decimal = Decimal { digits: 1 };
    let with_nulls = def(Scalar::F32, &[40]).nullable().filters(&[decimal, Delta, Shuffle]);
    s.put("nullable", with_nulls, &cells_with_nulls(Scalar::F32, 40));
    let list = DType::List { item: Scalar::F64 };
    s.put("list", def(list, &[20]).filters(&[decimal, pco]).codec(NoCompression), &cells(list, 20));
    let fixed = DType::FixedList { item: Scalar::F32, len: 3 };
    s.put("fixed_list", def(fixed, &[9]).filters(&[decimal, Shuffle]), &cells(fixed, 9));
    // Nobody asks: temperatures, some of them missing, in frames and in shared blocks.
    let at = |i: u32| (f64::from(i) * 0.01).sin() * 20.0;
    let celsius = |i: u32| (at(i) * 100.0).round() / 100.0;
    let sea: Vec<f32> = (0..4000).map(|i| if i % 900 < 100 { f32::NAN } else { celsius(i) as f32 }).collect();
    s.put("chosen/sea", def(Scalar::F32, &[40, 100]).chunked(&[40, 60]).dims(&["y", "x"]), &native(&sea));
    let metres: Vec<f64> = (0..3000).map(|i| (at(i) * 10.0).round() / 10.0 - 9.0).collect();
    s.put("chosen/metres", def(Scalar::F64, &[3000]), &native(&metres));
    for i in 0..20u32 {
        let profile: Vec<f32> = (0..90).map(|k| celsius(i * 70 + k) as f32).collect();
        s.put(&format!("chosen/profile/{i:02}"), def(Scalar::F32, &[90]), &native(&profile));
    }
    s.commit("decimals");
    s.finish(&[0, 1])
}

/// The largest decimals and the numbers behind them, and numbers next to zero.
fn near_the_limits(item: Scalar, digits: u8) -> Vec<Cell> {
    let scale = 10f64.powi(i32::from(digits));
    if item == Scalar::F32 {
        let most = 1u32 << 23;
        let large = |k: u32| k as f32 / scale as f32;
        let mut all: Vec<f32> =
            [most - 1, most, most + 1].iter().flat_map(|k| [large(*k), -large(*k)]).collect();
        all.extend([1, 2, most - 1, most, most + 1, 2 * most - 1, 2 * most].map(f32::from_bits));
        return native(&all);
    }
    let most = 1u64 << 50;
    let large = |k: u64| k as f64 / scale;
    let mut all: Vec<f64> = [most - 1, most, most + 1].iter().flat_map(|k| [large(*k), -large(*k)]).collect();
    all.extend([1, 2, most - 1, most, most + 1, 2 * most - 1, 2 * most].map(f64::from_bits));
    native(&all)
}
