//! Filter 5: floats that are decimals, as integers. The idea is that of *ALP: Adaptive Lossless floating-Point Compression*
//! (Afroozeh, Kuffo and Boncz, SIGMOD 2024); what is no decimal has a place among the integers here, instead of a list of its own.

use super::Filter;
use crate::dtype::Scalar;

/// The type of the integers that stand for numbers of type `item`, and the most digits behind the point: more would make the power of ten
/// inexact. `None` for types that have no such filter.
pub(super) fn integers_of(item: Scalar) -> Option<(Scalar, u8)> {
    match item {
        Scalar::F32 => Some((Scalar::I32, 10)),
        Scalar::F64 => Some((Scalar::I64, 22)),
        _ => None,
    }
}

/// A number below 2^51 to which this is added and from which it is taken away is rounded to an integer.
const ROUNDING: f64 = 1.5 * (1u64 << 52) as f64;
/// Bytes that are looked at before they are changed, which takes them from a near cache.
const PART_BYTES: usize = 4 << 10;

macro_rules! decimals {
    ($name:ident, $float:ty, $int:ty, $bits:ty, $wide:expr, $most:expr) => {
        /// Decimals with some digits behind the point; `scale` is the power of ten.
        #[derive(Clone, Copy)]
        struct $name {
            scale: $float,
        }

        impl $name {
            /// Integers from here on stand for no decimal.
            const MOST: $int = $most;

            fn new(digits: u8) -> Self {
                Self { scale: (0..digits).fold(1.0, |scale, _| scale * 10.0) }
            }

            fn number(self, k: $int) -> $float {
                k as $float / self.scale
            }

            /// The integer that `x` is the decimal of, and whether it is; else any integer, and whether it is too large for one.
            fn nearest(self, x: $float) -> ($int, bool, bool) {
                let sum = $wide(x) * $wide(self.scale) + ROUNDING;
                let k = sum.to_bits().wrapping_sub(ROUNDING.to_bits()) as $int;
                let is_near = (sum - ROUNDING).abs() < Self::MOST as f64;
                (k, is_near & (self.number(k).to_bits() == x.to_bits()), !is_near)
            }

            fn is_tiny(x: $float) -> bool {
                x.to_bits().wrapping_sub(1) < (2 * Self::MOST - 1) as $bits
            }

            fn code(self, x: $float) -> $int {
                let other = x.to_bits().wrapping_sub(Self::MOST as $bits) as $int;
                let (k, is, _) = self.nearest(x);
                if is { k } else { other }
            }

            /// The same of a tiny number, which changes places with a decimal.
            fn code_of_tiny(self, x: $float) -> $int {
                let k = x.to_bits().wrapping_sub(Self::MOST as $bits) as $int;
                self.number(k).to_bits().wrapping_sub(Self::MOST as $bits) as $int
            }

            fn is_decimal(code: $int) -> bool {
                code.wrapping_add(Self::MOST - 1) as $bits <= (2 * Self::MOST - 2) as $bits
            }

            /// The number of a code that stands for no decimal.
            fn other(self, code: $int) -> $float {
                let x = <$float>::from_bits((code as $bits).wrapping_add(Self::MOST as $bits));
                match self.nearest(x) {
                    (k, true, _) => <$float>::from_bits((k as $bits).wrapping_add(Self::MOST as $bits)),
                    _ => x,
                }
            }

            /// Replaces each lane. What is rare is looked for first, so that the usual loop has no branch.
            fn encode(self, bytes: &mut [u8]) {
                for part in bytes.chunks_mut(PART_BYTES) {
                    let lanes = part.as_chunks_mut().0;
                    let number = |lane: &[u8; size_of::<$float>()]| <$float>::from_le_bytes(*lane);
                    if lanes.iter().fold(false, |any, lane| any | Self::is_tiny(number(lane))) {
                        for lane in lanes {
                            let x = number(lane);
                            let code = if Self::is_tiny(x) { self.code_of_tiny(x) } else { self.code(x) };
                            *lane = code.to_le_bytes();
                        }
                    } else {
                        lanes.iter_mut().for_each(|lane| *lane = self.code(number(lane)).to_le_bytes());
                    }
                }
            }

            /// The inverse.
            fn decode(self, bytes: &mut [u8]) {
                for part in bytes.chunks_mut(PART_BYTES) {
                    let lanes = part.as_chunks_mut().0;
                    let code = |lane: &[u8; size_of::<$float>()]| <$int>::from_le_bytes(*lane);
                    if lanes.iter().fold(true, |all, lane| all & Self::is_decimal(code(lane))) {
                        lanes.iter_mut().for_each(|lane| *lane = self.number(code(lane)).to_le_bytes());
                    } else {
                        for lane in lanes {
                            let c = code(lane);
                            let x = if Self::is_decimal(c) { self.number(c) } else { self.other(c) };
                            *lane = x.to_le_bytes();
                        }
                    }
                }
            }

            /// How many lanes are decimals, and how many are too large to be any.
            fn count(self, bytes: &[u8]) -> (usize, usize) {
                bytes.as_chunks().0.iter().fold((0, 0), |(are, large), lane| {
                    let (_, is, is_large) = self.nearest(<$float>::from_le_bytes(*lane));
                    (are + usize::from(is), large + usize::from(is_large))
                })
            }
        }
    };
}
decimals!(Single, f32, i32, u32, f64::from, 1 << 23);
decimals!(Double, f64, i64, u64, std::convert::identity, 1 << 50);

/// Replaces each lane by its integer.
pub(super) fn encode(item: Scalar, digits: u8, bytes: &mut [u8]) {
    match item {
        Scalar::F32 => Single::new(digits).encode(bytes),
        // Types that have Decimal have no other width.
        _ => Double::new(digits).encode(bytes),
    }
}

/// The inverse.
pub(super) fn decode(item: Scalar, digits: u8, bytes: &mut [u8]) {
    match item {
        Scalar::F32 => Single::new(digits).decode(bytes),
        _ => Double::new(digits).decode(bytes),
    }
}

/// Of numbers that are decimals and others, these are few: NaN and fill values, which are too large, apart.
const OTHERS: usize = 32;
/// Where nearly all are too large, nothing is known.
const LEAST: usize = 8;

impl Filter {
    /// `Decimal` with the fewest digits behind the point with which nearly all of these numbers are decimals, if there are any; and whether all are.
    pub fn decimal_of(item: Scalar, samples: &[&[u8]]) -> Option<(Self, bool)> {
        let (_, most) = integers_of(item)?;
        let lanes = samples.iter().map(|s| s.len() / item.size_bytes()).sum::<usize>();
        (0..=most).find_map(|digits| {
            let count = |sample: &&[u8]| match item {
                Scalar::F32 => Single::new(digits).count(sample),
                _ => Double::new(digits).count(sample),
            };
            let counts = samples.iter().map(count);
            let (are, large) = counts.fold((0, 0), |sum, n| (sum.0 + n.0, sum.1 + n.1));
            let others = lanes - are - large;
            let fits = lanes > 0 && others <= lanes / OTHERS && are >= lanes.div_ceil(LEAST);
            fits.then_some((Self::Decimal { digits }, are == lanes))
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn codes32(digits: u8, numbers: &[f32]) -> Vec<i32> {
        let mut bytes: Vec<u8> = numbers.iter().flat_map(|x| x.to_le_bytes()).collect();
        encode(Scalar::F32, digits, &mut bytes);
        bytes.as_chunks().0.iter().map(|lane| i32::from_le_bytes(*lane)).collect()
    }

    fn numbers32(digits: u8, codes: &[i32]) -> Vec<f32> {
        let mut bytes: Vec<u8> = codes.iter().flat_map(|c| c.to_le_bytes()).collect();
        decode(Scalar::F32, digits, &mut bytes);
        bytes.as_chunks().0.iter().map(|lane| f32::from_le_bytes(*lane)).collect()
    }

    fn codes64(digits: u8, numbers: &[f64]) -> Vec<i64> {
        let mut bytes: Vec<u8> = numbers.iter().flat_map(|x| x.to_le_bytes()).collect();
        encode(Scalar::F64, digits, &mut bytes);
        let codes = bytes.as_chunks().0.iter().map(|lane| i64::from_le_bytes(*lane)).collect();
        decode(Scalar::F64, digits, &mut bytes);
        let back: Vec<u8> = numbers.iter().flat_map(|x| x.to_le_bytes()).collect();
        assert_eq!(bytes, back);
        codes
    }

    #[test]
    fn known_answers() {
        let numbers =
            [0.25, -3.0, 1.0 / 3.0, -0.0, f32::from_bits(0x7fc0_0000), f32::from_bits(1), 0.0, 83886.07];
        let codes = [25, -300, 0x3e2a_aaab, 0x7f80_0000, 0x7f40_0000, -0x38dc_28f7, 0, 8_388_607];
        assert_eq!(codes32(2, &numbers), codes);
        let bits = |numbers: &[f32]| numbers.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(&numbers32(2, &codes)), bits(&numbers));
        let codes = codes64(3, &[0.001, -17.25, f64::INFINITY, 1e300, -0.0, f64::from_bits(1 << 50), 5e-324]);
        let other = |x: f64| x.to_bits().wrapping_sub(1 << 50) as i64;
        let swapped = other((1 - (1i64 << 50)) as f64 / 1000.0);
        assert_eq!(codes, [1, -17250, other(f64::INFINITY), other(1e300), other(-0.0), other(0.0), swapped]);
    }

    /// Every second decimal, the numbers at both ends of each range, and some of all others, once each.
    #[test]
    fn each_number_has_a_code_of_its_own() {
        const MOST: u32 = 1 << 23;
        for digits in [0, 1, 2, 7, 10] {
            let scale = 10f32.powi(i32::from(digits));
            let mut bits: Vec<u32> = (-(MOST as i32) - 3..MOST as i32 + 3)
                .step_by(7)
                .map(|k| (k as f32 / scale).to_bits())
                .collect();
            for edge in [0, MOST, 2 * MOST, 1 << 31, 0x7f80_0000, 0xff80_0000] {
                bits.extend((0..40).map(|i| (edge + i).wrapping_sub(20)));
            }
            bits.extend((0..100_000u32).map(|i| i.wrapping_mul(2_654_435_761)));
            bits.extend((1..2 * MOST).step_by(101));
            bits.sort_unstable();
            bits.dedup();
            let numbers: Vec<f32> = bits.iter().map(|b| f32::from_bits(*b)).collect();
            let mut codes = codes32(digits, &numbers);
            let back: Vec<u32> = numbers32(digits, &codes).iter().map(|x| x.to_bits()).collect();
            assert!(back == bits, "{digits}");
            codes.sort_unstable();
            assert!(codes.windows(2).all(|w| w[0] != w[1]), "{digits}");
        }
    }

    #[test]
    fn decimals_are_found_among_nan_and_fill_values() {
        let wave = |i: i32, digits: i32| {
            let scale = 10f64.powi(digits);
            // Not -0.0, which is no decimal.
            (f64::from(i % 997 - 400) * 0.371_13 * scale).round() / scale + 0.0
        };
        let bytes32 =
            |f: &dyn Fn(i32) -> f64| (0..2000).flat_map(|i| (f(i) as f32).to_le_bytes()).collect::<Vec<u8>>();
        let bytes64 =
            |f: &dyn Fn(i32) -> f64| (0..2000).flat_map(|i| f(i).to_le_bytes()).collect::<Vec<u8>>();
        let found = |item, bytes: &[u8]| Filter::decimal_of(item, &[bytes, &bytes[..80], &[]]);
        let decimal = |digits, all| Some((Filter::Decimal { digits }, all));
        for digits in 0..5 {
            assert_eq!(found(Scalar::F32, &bytes32(&|i| wave(i, digits))), decimal(digits as u8, true));
            assert_eq!(found(Scalar::F64, &bytes64(&|i| wave(i, digits))), decimal(digits as u8, true));
            let with_nan = bytes32(&|i| if i % 2 == 0 { f64::NAN } else { wave(i, digits) });
            assert_eq!(found(Scalar::F32, &with_nan), decimal(digits as u8, false));
            let with_fill = bytes64(&|i| if i % 3 == 0 { 9.969_209_968_386_869e36 } else { wave(i, digits) });
            assert_eq!(found(Scalar::F64, &with_fill), decimal(digits as u8, false));
        }
        assert_eq!(found(Scalar::F32, &bytes32(&|i| f64::from(i).sqrt())), None);
        assert_eq!(found(Scalar::F64, &bytes64(&|i| f64::from(i).sin())), None);
        assert_eq!(found(Scalar::F64, &bytes64(&|_| f64::NAN)), None);
        assert_eq!(found(Scalar::F16, &[0; 800]), None);
        assert_eq!(Filter::decimal_of(Scalar::F32, &[]), None);
    }

    proptest! {
        #[test]
        fn any_bits_come_back(mut bytes: Vec<u8>, digits in 0u8..23, double: bool) {
            let item = if double { Scalar::F64 } else { Scalar::F32 };
            let digits = digits.min(integers_of(item).unwrap().1);
            bytes.truncate(bytes.len() / 8 * 8);
            let raw = bytes.clone();
            encode(item, digits, &mut bytes);
            decode(item, digits, &mut bytes);
            prop_assert_eq!(&bytes, &raw);
            // And any code is one of a number.
            decode(item, digits, &mut bytes);
            encode(item, digits, &mut bytes);
            prop_assert_eq!(&bytes, &raw);
        }

        #[test]
        fn decimals_are_small_integers(k in -(1i64 << 50) + 1..1 << 50, digits in 0u8..23) {
            let x = k as f64 / 10f64.powi(i32::from(digits));
            prop_assert_eq!(codes64(digits, &[x]), [k]);
        }
    }
}
