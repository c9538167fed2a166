//! Numbers that follow from a seed.

/// A stream of numbers: the same for the same seed.
#[derive(Debug, Clone)]
pub struct Dice(u64);

impl Dice {
    /// A stream for a seed.
    pub fn new(seed: u64) -> Self {
        Self(hash([seed]))
    }

    /// The next number.
    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// The next number, below `n`.
    pub fn roll(&mut self, n: u64) -> u64 {
        self.number() % n.max(1)
    }
}

/// One number of many; every bit and the order count.
pub fn hash(numbers: impl IntoIterator<Item = u64>) -> u64 {
    numbers.into_iter().fold(0xCBF2_9CE4_8422_2325, |h, n| {
        let z = (h ^ n).wrapping_mul(0xFF51_AFD7_ED55_8CCD);
        (z ^ (z >> 32)).wrapping_mul(0xC4CE_B9FE_1A85_EC53).rotate_left(29)
    })
}
