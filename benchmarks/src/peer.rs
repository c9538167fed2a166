//! What every peer does, in its own way.

use std::path::Path;
use std::time::Duration;

use anyhow::{Result, bail};

use crate::data::{Profiles, Values, Volume};

/// How a volume is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    None,
    Lz4,
    Zstd3,
    /// What the peer does when nobody says anything.
    Default,
}

/// One way of storing arrays. `dir` is an empty folder for what is written, and the folder written to for what is opened. What a
/// peer cannot do it says with an error; the table then has a dash.
pub trait Peer: Sync {
    fn name(&self) -> &'static str;

    /// Stores a volume; when it returns, the data is with the operating system.
    fn write_volume(&self, _dir: &Path, _volume: &Volume, _how: Compression) -> Result<()> {
        bail!("not possible with {}", self.name())
    }

    fn open_volume(&self, _dir: &Path) -> Result<Box<dyn OpenVolume>> {
        bail!("not possible with {}", self.name())
    }

    /// Stores profiles with their attributes, all in one transaction if there are any.
    fn write_profiles(&self, _dir: &Path, _profiles: &Profiles) -> Result<()> {
        bail!("not possible with {}", self.name())
    }

    fn open_profiles(&self, _dir: &Path) -> Result<Box<dyn OpenProfiles>> {
        bail!("not possible with {}", self.name())
    }

    /// Stores arrays of integers, array `i` made by `make`, named like profiles, compressed with LZ4.
    fn write_integers(&self, _dir: &Path, _count: usize, _make: &dyn Fn(usize) -> Vec<i32>) -> Result<()> {
        bail!("not possible with {}", self.name())
    }

    /// Reads all of them, in order of their names, and returns the sum of all elements.
    fn sum_integers(&self, _dir: &Path, _count: usize) -> Result<i64> {
        bail!("not possible with {}", self.name())
    }

    /// A volume behind a network where every request takes `latency`, uncompressed.
    fn far_volume(&self, _volume: &Volume, _latency: Duration) -> Result<Box<dyn FarVolume>> {
        bail!("not possible with {}", self.name())
    }

    /// What `write_profiles` wrote, to be committed to: on the disk with all its syncs, or a copy in memory that has none.
    fn open_catalogue(&self, _dir: &Path, _on_disk: bool) -> Result<Box<dyn Catalogue>> {
        bail!("not possible with {}", self.name())
    }

    /// Commits of one 100 x 100 f32 chunk each, into an array of `commits` chunks along the first axis.
    fn updates(&self, _dir: &Path, _commits: usize) -> Result<Box<dyn Updates>> {
        bail!("not possible with {}", self.name())
    }

    /// Opens what they left, as far as that is needed to read from it.
    fn open_updates(&self, _dir: &Path) -> Result<()> {
        bail!("not possible with {}", self.name())
    }

    /// The sum of all elements, opening included.
    fn sum_updates(&self, _dir: &Path, _commits: usize) -> Result<f64> {
        bail!("not possible with {}", self.name())
    }

    /// Merges what the commits left.
    fn compact_updates(&self, _dir: &Path) -> Result<()> {
        bail!("not possible with {}", self.name())
    }
}

/// A volume that is open for reading.
pub trait OpenVolume: Sync {
    /// The elements of a box, in C order. As many threads as the peer likes.
    fn read(&self, start: [u64; 3], shape: [u64; 3]) -> Result<Values>;

    /// As `read`, on the calling thread alone where the peer can be told to; called by several threads at once.
    fn read_alone(&self, start: [u64; 3], shape: [u64; 3]) -> Result<Values> {
        self.read(start, shape)
    }
}

/// A volume behind a network.
pub trait FarVolume {
    /// Finds what reading needs, before the first of it.
    fn open(&mut self) -> Result<()>;

    /// As [`OpenVolume::read`].
    fn read(&self, start: [u64; 3], shape: [u64; 3]) -> Result<Values>;

    /// Requests so far.
    fn requests(&self) -> u64;
}

/// A file of many arrays.
pub trait Catalogue {
    /// Adds an array of 16,384 f32 in one chunk, and commits.
    fn add(&mut self, name: &str, values: &[f32]) -> Result<()>;

    /// Bytes that were read and written so far, beside the values that were added.
    fn traffic(&self) -> Result<(u64, u64)>;
}

/// Profiles that are open for reading.
pub trait OpenProfiles {
    fn read(&self, name: &str) -> Result<Vec<f32>>;

    /// Many at once.
    fn read_batch(&self, names: &[String]) -> Result<Vec<Vec<f32>>> {
        names.iter().map(|n| self.read(n)).collect()
    }

    /// The values of many, one behind the other.
    fn read_ragged(&self, names: &[String]) -> Result<Vec<f32>> {
        Ok(self.read_batch(names)?.concat())
    }

    /// How many arrays have an attribute `cycle` of 7.
    fn count_cycle_7(&self) -> Result<usize> {
        bail!("not possible")
    }

    /// How many arrays hold values above 29, told by their maxima, and the attribute `cycle` of 7.
    fn count_pruned(&self) -> Result<usize> {
        bail!("not possible")
    }

    /// The sum of all maxima, read from statistics.
    fn sum_of_maxima(&self) -> Result<f64> {
        bail!("not possible")
    }
}

/// A file that is updated again and again.
pub trait Updates {
    /// Writes chunk `i`, whose 10,000 elements are `value` + their number, and commits.
    fn commit(&mut self, i: u64, value: f32) -> Result<()>;
}
