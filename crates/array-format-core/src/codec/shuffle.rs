//! Filter 1: byte planes.
//!
//! The loops for 2, 4 and 8 bytes are written so that the compiler vectorises them for plain x86-64, at 4 to 20 GB/s
//! and so near the speed of memory. Those that look simpler (one plane after the other, or bytes instead of words)
//! measured 2 to 4 times slower.

/// Lanes taken at once.
const BLOCK4: usize = 16;
const BLOCK8: usize = 32;

/// Writes the planes of `raw` to `planes`, which is as long; both are whole lanes.
pub(super) fn shuffle(lane_bytes: usize, raw: &[u8], planes: &mut [u8]) {
    match lane_bytes {
        1 => planes.copy_from_slice(raw),
        2 => shuffle2(raw, planes),
        4 => shuffle4(raw, planes),
        8 => shuffle8(raw, planes),
        _ => shuffle_from(0, lane_bytes, raw, planes),
    }
}

/// Writes the lanes whose planes are `planes` to `raw`, which is as long; both are whole lanes.
pub(super) fn unshuffle(lane_bytes: usize, planes: &[u8], raw: &mut [u8]) {
    match lane_bytes {
        1 => raw.copy_from_slice(planes),
        2 => unshuffle2(planes, raw),
        4 => unshuffle4(planes, raw),
        8 => unshuffle8(planes, raw),
        _ => unshuffle_any(lane_bytes, planes, raw),
    }
}

/// The lanes from number `first` on: of any width, or what blocks leave over.
fn shuffle_from(first: usize, lane_bytes: usize, raw: &[u8], planes: &mut [u8]) {
    let width = lane_bytes.max(1);
    let lanes = raw.len() / width;
    for (k, plane) in planes.chunks_exact_mut(lanes.max(1)).enumerate() {
        let from = raw.get(first * width..).unwrap_or_default().iter().skip(k).step_by(width);
        for (to, from) in plane.get_mut(first..).unwrap_or_default().iter_mut().zip(from) {
            *to = *from;
        }
    }
}

fn unshuffle_any(lane_bytes: usize, planes: &[u8], raw: &mut [u8]) {
    let lanes = raw.len() / lane_bytes.max(1);
    for (k, plane) in planes.chunks_exact(lanes.max(1)).enumerate() {
        for (to, from) in raw.iter_mut().skip(k).step_by(lane_bytes.max(1)).zip(plane) {
            *to = *from;
        }
    }
}

fn shuffle2(raw: &[u8], planes: &mut [u8]) {
    let (lanes, _) = raw.as_chunks::<2>();
    let (p0, p1) = planes.split_at_mut(lanes.len());
    for ((lane, p0), p1) in lanes.iter().zip(p0).zip(p1) {
        let x = u16::from_le_bytes(*lane);
        *p0 = x as u8;
        *p1 = (x >> 8) as u8;
    }
}

fn shuffle4(raw: &[u8], planes: &mut [u8]) {
    let (lanes, _) = raw.as_chunks::<4>();
    let (blocks, _) = lanes.as_chunks::<BLOCK4>();
    for (i, block) in blocks.iter().enumerate() {
        let words = block.map(u32::from_le_bytes);
        for (k, plane) in planes.chunks_exact_mut(lanes.len()).enumerate() {
            narrow(&words, 8 * k as u32, i, plane);
        }
    }
    shuffle_from(blocks.len() * BLOCK4, 4, raw, planes);
}

fn shuffle8(raw: &[u8], planes: &mut [u8]) {
    let (lanes, _) = raw.as_chunks::<8>();
    let (blocks, _) = lanes.as_chunks::<BLOCK8>();
    for (i, block) in blocks.iter().enumerate() {
        // Two halves of 32 bits: SSE2 narrows those well, and 64 bits badly.
        let low = block.map(|[a, b, c, d, ..]| u32::from_le_bytes([a, b, c, d]));
        let high = block.map(|[.., a, b, c, d]| u32::from_le_bytes([a, b, c, d]));
        for (k, plane) in planes.chunks_exact_mut(lanes.len()).enumerate() {
            let words = if k < 4 { &low } else { &high };
            narrow(words, 8 * (k as u32 % 4), i, plane);
        }
    }
    shuffle_from(blocks.len() * BLOCK8, 8, raw, planes);
}

/// One byte of every word, to the plane's block number `i`.
#[inline(always)]
fn narrow<const N: usize>(words: &[u32; N], shift: u32, i: usize, plane: &mut [u8]) {
    // An array, not a slice: only with its length known is this loop one of vectors.
    if let Some(to) = plane.as_chunks_mut::<N>().0.get_mut(i) {
        *to = words.map(|word| (word >> shift) as u8);
    }
}

/// The planes, each as long as there are lanes; empty ones where there are fewer.
fn split<const N: usize>(planes: &[u8], lanes: usize) -> [&[u8]; N] {
    let mut planes = planes.chunks_exact(lanes.max(1));
    std::array::from_fn(|_| planes.next().unwrap_or_default())
}

fn unshuffle2(planes: &[u8], raw: &mut [u8]) {
    let (lanes, _) = raw.as_chunks_mut::<2>();
    let [p0, p1] = split(planes, lanes.len());
    for ((lane, p0), p1) in lanes.iter_mut().zip(p0).zip(p1) {
        *lane = (u16::from(*p0) | u16::from(*p1) << 8).to_le_bytes();
    }
}

#[inline(always)]
fn word(p0: u8, p1: u8, p2: u8, p3: u8) -> u32 {
    u32::from(p0) | u32::from(p1) << 8 | u32::from(p2) << 16 | u32::from(p3) << 24
}

fn unshuffle4(planes: &[u8], raw: &mut [u8]) {
    let (lanes, _) = raw.as_chunks_mut::<4>();
    let [p0, p1, p2, p3] = split(planes, lanes.len());
    for ((((lane, p0), p1), p2), p3) in lanes.iter_mut().zip(p0).zip(p1).zip(p2).zip(p3) {
        *lane = word(*p0, *p1, *p2, *p3).to_le_bytes();
    }
}

fn unshuffle8(planes: &[u8], raw: &mut [u8]) {
    let (lanes, _) = raw.as_chunks_mut::<8>();
    let [p0, p1, p2, p3, p4, p5, p6, p7] = split(planes, lanes.len());
    let low = p0.iter().zip(p1).zip(p2).zip(p3);
    let high = p4.iter().zip(p5).zip(p6).zip(p7);
    for ((lane, (((p0, p1), p2), p3)), (((p4, p5), p6), p7)) in lanes.iter_mut().zip(low).zip(high) {
        let (low, high) = (word(*p0, *p1, *p2, *p3), word(*p4, *p5, *p6, *p7));
        *lane = (u64::from(low) | u64::from(high) << 32).to_le_bytes();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_answer() {
        let mut planes = [0; 12];
        shuffle(4, &[0, 1, 2, 3, 10, 11, 12, 13, 20, 21, 22, 23], &mut planes);
        assert_eq!(planes, [0, 10, 20, 1, 11, 21, 2, 12, 22, 3, 13, 23]);
    }

    #[test]
    fn every_width_and_length_is_the_plain_transposition() {
        for width in [1, 2, 3, 4, 8, 16] {
            for lanes in (0..70).chain([127, 128, 1000]) {
                let raw: Vec<u8> = (0..width * lanes).map(|i| (i * 167 + i / 256) as u8).collect();
                let plain: Vec<u8> =
                    (0..width).flat_map(|k| raw.iter().copied().skip(k).step_by(width)).collect();
                let (mut planes, mut back) = (vec![0; raw.len()], vec![0; raw.len()]);
                shuffle(width, &raw, &mut planes);
                assert_eq!(planes, plain, "{width} {lanes}");
                unshuffle(width, &planes, &mut back);
                assert_eq!(back, raw, "{width} {lanes}");
            }
        }
    }
}
