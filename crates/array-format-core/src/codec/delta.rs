//! Filter 2: differences of neighbours.

/// Replaces every lane but the first by its difference to the one before, modulo the range of the type.
pub(super) fn encode(lane_bytes: usize, bytes: &mut [u8]) {
    macro_rules! differences {
        ($t:ty) => {{
            let mut before: $t = 0;
            for lane in bytes.as_chunks_mut().0 {
                let this = <$t>::from_le_bytes(*lane);
                *lane = this.wrapping_sub(before).to_le_bytes();
                before = this;
            }
        }};
    }
    match lane_bytes {
        1 => differences!(u8),
        2 => differences!(u16),
        4 => differences!(u32),
        // Types that have Delta have no other width.
        _ => differences!(u64),
    }
}

/// The inverse: running sums.
pub(super) fn decode(lane_bytes: usize, bytes: &mut [u8]) {
    macro_rules! sums {
        ($t:ty) => {{
            let mut sum: $t = 0;
            for lane in bytes.as_chunks_mut().0 {
                sum = sum.wrapping_add(<$t>::from_le_bytes(*lane));
                *lane = sum.to_le_bytes();
            }
        }};
    }
    match lane_bytes {
        1 => sums!(u8),
        2 => sums!(u16),
        4 => sums!(u32),
        _ => sums!(u64),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_answers() {
        // i16: 5, 3, -32768, 32767
        let raw = [5, 0, 3, 0, 0x00, 0x80, 0xff, 0x7f];
        let mut bytes = raw;
        encode(2, &mut bytes);
        // 5, -2, 32765 (-32771 wraps), -1 (65535 wraps)
        assert_eq!(bytes, [5, 0, 0xfe, 0xff, 0xfd, 0x7f, 0xff, 0xff]);
        decode(2, &mut bytes);
        assert_eq!(bytes, raw);
    }

    #[test]
    fn every_width_comes_back() {
        for width in [1, 2, 4, 8] {
            let raw: Vec<u8> = (0..width * 37).map(|i| (i * i * 31) as u8).collect();
            let mut bytes = raw.clone();
            encode(width, &mut bytes);
            assert_eq!(bytes[..width], raw[..width]);
            assert_ne!(bytes, raw);
            decode(width, &mut bytes);
            assert_eq!(bytes, raw);
        }
    }
}
