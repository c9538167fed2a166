//! What a pcodec chunk asks for, looked at before pcodec allocates it.
//!
//! A chunk of 20 bytes may ask for a dictionary of 256 MiB, or for a window as large, and pcodec allocates both before
//! it finds the bytes missing. A dictionary longer than the numbers is pointless, and so is a window.

use crate::error::{Error, Result};

/// Bits of the type byte and the number count less one, in front of a chunk's metadata.
const COUNT_AT: usize = 8;
const COUNT_BITS: u32 = 24;
const MODE_AT: usize = 32;
const MODE_BITS: u32 = 4;
const DICTIONARY_BITS: u32 = 25;
/// Behind mode and dictionary length, filled up to a byte.
const DICTIONARY_AT: usize = 64;
const QUANTIZE_BITS: usize = 8;
const DELTA_BITS: u32 = 4;
const DELTA_LOOKBACK: u64 = 2;
const WINDOW_BITS: u32 = 5;
/// pcodec's own writer takes windows of up to this many numbers.
const USUAL_WINDOW: usize = 1 << 15;

/// Checks the head of a chunk, or of the end, of numbers of `lane_bits`, of which `room` are yet to come. What pcodec
/// finds out for itself is left to it.
///
/// # Errors
/// `Corrupt` for more numbers, a longer dictionary or a larger window than there is room for.
pub(super) fn check_chunk(src: &[u8], lane_bits: usize, room: usize) -> Result<()> {
    if src.first().is_none_or(|&number_type| number_type == 0) {
        return Ok(());
    }
    let count = bits(src, COUNT_AT, COUNT_BITS) as usize + 1;
    if count > room {
        return Err(Error::corrupt(format!("a pco chunk of {count} numbers where {room} are to come")));
    }
    let behind_mode = MODE_AT + MODE_BITS as usize;
    let delta_at = match bits(src, MODE_AT, MODE_BITS) {
        0 => behind_mode,
        1 | 2 => behind_mode + lane_bits,
        3 => behind_mode + QUANTIZE_BITS,
        4 => {
            let length = bits(src, behind_mode, DICTIONARY_BITS) as usize;
            if length > count {
                return Err(Error::corrupt(format!("a pco dictionary of {length} for {count} numbers")));
            }
            DICTIONARY_AT + length * lane_bits
        }
        _ => return Ok(()),
    };
    if bits(src, delta_at, DELTA_BITS) == DELTA_LOOKBACK {
        let window = 2usize << bits(src, delta_at + DELTA_BITS as usize, WINDOW_BITS).min(30);
        if window > count.next_power_of_two().max(USUAL_WINDOW) {
            return Err(Error::corrupt(format!("a pco window of {window} for {count} numbers")));
        }
    }
    Ok(())
}

/// `n` bits, up to 57, from bit `at` on, low bits first. Bits that are not there are zeros: pcodec reports them.
fn bits(src: &[u8], at: usize, n: u32) -> u64 {
    let mut word = [0; 8];
    for (to, from) in word.iter_mut().zip(src.get(at / 8..).unwrap_or_default()) {
        *to = *from;
    }
    (u64::from_le_bytes(word) >> (at % 8)) & ((1 << n) - 1)
}

#[cfg(test)]
mod tests {
    use pco::standalone::{FileDecompressor, simple_compress};
    use pco::{ChunkConfig, DeltaSpec, ModeSpec};

    use super::*;

    const N: usize = 5000;

    /// The first chunk of a stream with this mode and delta encoding.
    fn chunk(mode: ModeSpec, delta: DeltaSpec) -> Vec<u8> {
        let numbers: Vec<u64> = (0..N as u64).map(|i| (i % 100).pow(7) * 10).collect();
        let config = ChunkConfig::default().with_mode_spec(mode).with_delta_spec(delta);
        let stream = simple_compress(&numbers, &config).unwrap();
        FileDecompressor::new(&stream[..]).unwrap().1.to_vec()
    }

    fn set(chunk: &mut [u8], at: usize, n: usize, value: u64) {
        for i in 0..n {
            let (byte, bit) = ((at + i) / 8, (at + i) % 8);
            chunk[byte] = chunk[byte] & !(1 << bit) | (((value >> i & 1) as u8) << bit);
        }
    }

    #[test]
    fn what_pcodec_writes_passes_and_excess_is_refused() {
        // Where the delta encoding stands, by mode.
        let modes = [
            (ModeSpec::Classic, 0, 36),
            (ModeSpec::TryIntMult(10), 1, 36 + 64),
            (ModeSpec::TryDict, 4, 64 + 100 * 64),
        ];
        for (mode, id, delta_at) in modes {
            let mut chunk = chunk(mode, DeltaSpec::TryLookback);
            assert_eq!(bits(&chunk, 32, 4), id);
            assert_eq!(bits(&chunk, delta_at, 4), 2);
            check_chunk(&chunk, 64, N).unwrap();
            assert!(check_chunk(&chunk, 64, N - 1).is_err());
            for cut in 0..40 {
                let _ = check_chunk(&chunk[..cut], 64, N);
            }
            // 2^15 is what every chunk may have, 2^16 is more than 5000 numbers can use.
            set(&mut chunk, delta_at + 4, 5, 14);
            check_chunk(&chunk, 64, N).unwrap();
            set(&mut chunk, delta_at + 4, 5, 15);
            assert!(check_chunk(&chunk, 64, N).is_err());
        }
        let mut dictionary = chunk(ModeSpec::TryDict, DeltaSpec::NoOp);
        set(&mut dictionary, 36, 25, N as u64);
        check_chunk(&dictionary, 64, N).unwrap();
        set(&mut dictionary, 36, 25, N as u64 + 1);
        assert!(check_chunk(&dictionary, 64, N).is_err());
    }
}
