//! One large array: on disk, and behind a network.

use std::path::Path;
use std::time::Duration;

use anyhow::{Result, bail, ensure};

use super::{Context, Step, folder_bytes, timed};
use crate::data::{Dice, Values, Volume};
use crate::peer::{Compression, OpenVolume, Peer};

fn at(values: &Values, i: usize) -> f64 {
    match values {
        Values::F32(v) => f64::from(v[i]),
        Values::U16(v) => f64::from(v[i]),
    }
}

/// Compares a box that was read with the volume, element by element.
fn check(volume: &Volume, start: [u64; 3], shape: [u64; 3], found: &Values) -> Result<()> {
    let n: u64 = shape.iter().product();
    ensure!(found.len() as u64 == n, "{} elements instead of {n}", found.len());
    let [_, ny, nx] = volume.shape;
    let mut i = 0;
    for z in start[0]..start[0] + shape[0] {
        for y in start[1]..start[1] + shape[1] {
            for x in start[2]..start[2] + shape[2] {
                let expected = at(&volume.values, ((z * ny + y) * nx + x) as usize);
                ensure!(
                    at(found, i) == expected,
                    "at {:?}: {} instead of {expected}",
                    [z, y, x],
                    at(found, i)
                );
                i += 1;
            }
        }
    }
    Ok(())
}

pub(super) fn grid(
    peer: &dyn Peer,
    phase: &str,
    c: &Context,
    make: &dyn Fn(&Path) -> Result<Volume>,
    how: Compression,
) -> Result<Vec<Step>> {
    let mut steps = Vec::new();
    // The volume is in memory for the check; reading phases look at it only after the clock has stopped.
    if phase == "write" {
        let volume = make(&c.data)?;
        timed(&mut steps, "write", || peer.write_volume(&c.dir, &volume, how))?;
        steps[0].bytes = Some(folder_bytes(&c.dir));
        return Ok(steps);
    }
    let whole = |open: &dyn OpenVolume, shape: [u64; 3]| open.read([0; 3], shape);
    let (shape, chunk) = if how == Compression::None || c.dir.ends_with("voxels-zstd3") {
        ([512; 3], [128; 3])
    } else {
        ([64, 720, 1440], [4, 180, 360])
    };
    match phase {
        "read" => {
            let (open, first) = timed(&mut steps, "open and read", || {
                let open = peer.open_volume(&c.dir)?;
                let first = whole(&*open, shape)?;
                Ok((open, first))
            })?;
            drop(first);
            let again = timed(&mut steps, "read again", || whole(&*open, shape))?;
            check(&make(&c.data)?, [0; 3], shape, &again)?;
        }
        "series" => {
            let mut dice = Dice::new(4);
            let points: Vec<[u64; 3]> =
                (0..100).map(|_| [0, dice.below(shape[1]), dice.below(shape[2])]).collect();
            let found = timed(&mut steps, "100 series", || {
                let open = peer.open_volume(&c.dir)?;
                points.iter().map(|p| open.read(*p, [shape[0], 1, 1])).collect::<Result<Vec<_>>>()
            })?;
            let volume = make(&c.data)?;
            for (p, found) in points.iter().zip(&found) {
                check(&volume, *p, [shape[0], 1, 1], found)?;
            }
        }
        "maps" => {
            let mut dice = Dice::new(5);
            let times: Vec<[u64; 3]> = (0..20).map(|_| [dice.below(shape[0]), 0, 0]).collect();
            let found = timed(&mut steps, "20 maps", || {
                let open = peer.open_volume(&c.dir)?;
                times.iter().map(|p| open.read(*p, [1, shape[1], shape[2]])).collect::<Result<Vec<_>>>()
            })?;
            let volume = make(&c.data)?;
            for (p, found) in times.iter().zip(&found) {
                check(&volume, *p, [1, shape[1], shape[2]], found)?;
            }
        }
        "chunks" => {
            let mut starts = Vec::new();
            for z in (0..shape[0]).step_by(chunk[0] as usize) {
                for y in (0..shape[1]).step_by(chunk[1] as usize) {
                    for x in (0..shape[2]).step_by(chunk[2] as usize) {
                        starts.push([z, y, x]);
                    }
                }
            }
            let open = peer.open_volume(&c.dir)?;
            timed(&mut steps, "chunks, 1 thread", || {
                starts.iter().try_for_each(|s| open.read_alone(*s, chunk).map(drop))
            })?;
            let open = peer.open_volume(&c.dir)?;
            timed(&mut steps, "chunks, 2 threads", || {
                std::thread::scope(|scope| {
                    let half = |odd: usize| {
                        let (starts, open) = (&starts, &open);
                        move || {
                            starts
                                .iter()
                                .skip(odd)
                                .step_by(2)
                                .try_for_each(|s| open.read_alone(*s, chunk).map(drop))
                        }
                    };
                    let other = scope.spawn(half(1));
                    half(0)()?;
                    other.join().map_err(|_| anyhow::anyhow!("a thread panicked"))?
                })
            })?;
        }
        _ => bail!("no phase {phase:?}"),
    }
    Ok(steps)
}

/// A region of 32 chunks that do not lie beside each other, so that each takes a request.
pub(super) fn remote(peer: &dyn Peer) -> Result<Vec<Step>> {
    let mut steps = Vec::new();
    let shape = [32, 256, 1024];
    let mut dice = Dice::new(8);
    let values = (0..shape.iter().product()).map(|_| dice.unit()).collect();
    let volume = Volume { shape, chunk: [1, 256, 256], values: Values::F32(values) };
    let mut far = peer.far_volume(&volume, Duration::from_millis(10))?;
    timed(&mut steps, "open", || far.open())?;
    let before = far.requests();
    let found = timed(&mut steps, "32 chunks", || far.read([0; 3], [32, 256, 256]))?;
    let requests = far.requests() - before;
    ensure!((32..=33).contains(&requests), "{requests} requests for 32 chunks");
    check(&volume, [0; 3], [32, 256, 256], &found)?;
    Ok(steps)
}
