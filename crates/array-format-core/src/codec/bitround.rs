//! Filter 3: fewer bits of mantissa. Only the writer does anything.

use crate::dtype::Scalar;

/// Bits of mantissa that are stored, for types that have one.
pub(super) fn mantissa_bits(item: Scalar) -> Option<u8> {
    Some(match item {
        Scalar::F16 => 10,
        Scalar::Bf16 => 7,
        Scalar::F32 | Scalar::Complex64 => 23,
        Scalar::F64 | Scalar::Complex128 => 52,
        _ => return None,
    })
}

/// Rounds every lane to `keep_bits` of mantissa, half to even. NaNs and infinities stay as they are. A number that
/// would round up to infinity is cut off instead: a filter must not make infinities of finite numbers.
pub(super) fn round(item: Scalar, keep_bits: u8, bytes: &mut [u8]) {
    let Some(mantissa) = mantissa_bits(item) else { return };
    let drop = u32::from(mantissa.saturating_sub(keep_bits));
    if drop == 0 {
        return;
    }
    macro_rules! rounded {
        ($t:ty) => {{
            // All ones in the exponent: NaN or infinity.
            let special: $t = (<$t>::MAX >> 1) & !((1 << mantissa) - 1);
            let kept: $t = !((1 << drop) - 1);
            let almost_half: $t = (1 << (drop - 1)) - 1;
            for lane in bytes.as_chunks_mut().0 {
                let x = <$t>::from_le_bytes(*lane);
                // A carry out of the mantissa raises the exponent, and that is the right number.
                let up = x.wrapping_add(almost_half + ((x >> drop) & 1)) & kept;
                let finite = if up & special == special { x & kept } else { up };
                let y = if x & special == special { x } else { finite };
                *lane = y.to_le_bytes();
            }
        }};
    }
    match item.lane_bytes() {
        2 => rounded!(u16),
        4 => rounded!(u32),
        _ => rounded!(u64),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round32(keep_bits: u8, bits: u32) -> u32 {
        let mut bytes = bits.to_le_bytes();
        round(Scalar::F32, keep_bits, &mut bytes);
        u32::from_le_bytes(bytes)
    }

    #[test]
    fn known_answers() {
        for (keep, from, to) in [
            (2, 0x3f80_0000, 0x3f80_0000),  // 1.0 stays
            (2, 0x3f90_0000, 0x3f80_0000),  // 1.125 is half way and goes to even: 1.0
            (2, 0x3f90_0001, 0x3fa0_0000),  // a little more goes up: 1.25
            (2, 0x3fb0_0000, 0x3fc0_0000),  // 1.375 is half way and goes to even: 1.5
            (2, 0x3ff0_0000, 0x4000_0000),  // 1.875 carries into the exponent: 2.0
            (2, 0xbff0_0000, 0xc000_0000),  // and so does -1.875
            (10, 0x4049_0fdb, 0x4049_0000), // pi
            (23, 0x4049_0fdb, 0x4049_0fdb), // all bits
            (1, 0x0000_0001, 0x0000_0000),  // the least subnormal number
            (1, 0x0060_0000, 0x0080_0000),  // a subnormal number becomes a normal one
            (1, 0x7f7f_ffff, 0x7f40_0000),  // the largest number is cut off, not made infinite
            (1, 0xff7f_ffff, 0xff40_0000),
            (1, 0x7f80_0000, 0x7f80_0000), // infinities
            (1, 0xff80_0000, 0xff80_0000),
            (1, 0x7f80_0001, 0x7f80_0001), // NaNs, whose payload would be lost
            (1, 0xffff_ffff, 0xffff_ffff),
        ] {
            assert_eq!(round32(keep, from), to, "{keep} {from:08x}");
        }
    }

    #[test]
    fn other_widths() {
        let mut bytes = [0x3ff8_0000_0000_0000u64, 0x3fff_ffff_ffff_ffff].map(u64::to_le_bytes).concat();
        round(Scalar::Complex128, 1, &mut bytes);
        assert_eq!(bytes, [0x3ff8_0000_0000_0000u64, 0x4000_0000_0000_0000].map(u64::to_le_bytes).concat());
        // f16: 1 + 3/1024 to 9 bits is 1 + 4/1024 (half way, to even); bf16: 1 + 3/128 to 6 bits is 1 + 4/128.
        for (item, from, to, keep) in
            [(Scalar::F16, 0x3c03u16, 0x3c04u16, 9), (Scalar::Bf16, 0x3f83, 0x3f84, 6)]
        {
            let mut bytes = from.to_le_bytes();
            round(item, keep, &mut bytes);
            assert_eq!(u16::from_le_bytes(bytes), to);
        }
    }

    #[test]
    fn the_error_is_bounded_and_rounding_twice_changes_nothing() {
        for i in 0..100_000u32 {
            let from = i.wrapping_mul(2_654_435_761);
            let (x, keep) = (f32::from_bits(from), (i % 23) as u8 + 1);
            let y = f32::from_bits(round32(keep, from));
            assert_eq!(round32(keep, y.to_bits()), y.to_bits());
            if x.is_normal() && x.abs() < 1e38 {
                let bound = f64::from(x).abs() * 0.5f64.powi(i32::from(keep) + 1);
                assert!((f64::from(x) - f64::from(y)).abs() <= bound, "{x} {y} {keep}");
            }
        }
    }
}
