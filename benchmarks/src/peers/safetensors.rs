//! Safetensors: a header and the elements, mapped into memory.

use std::collections::HashMap;
use std::fs::File;
use std::path::Path;

use anyhow::{Context, Result};
use memmap2::Mmap;
use safetensors::tensor::{Dtype, Metadata, SafeTensors, TensorView, serialize_to_file};
use serde::{Deserialize, Serialize};

use super::{from_bytes, to_bytes};
use crate::data::{Attribute, Profiles};
use crate::peer::{OpenProfiles, Peer};

pub struct Safetensors;

const FILE: &str = "data.safetensors";

/// The attributes of one profile, as text in the only place there is for them: a map of strings for the whole file.
#[derive(Default, Serialize, Deserialize)]
struct Attributes {
    cycle: i64,
    platform: String,
    units: String,
}

impl Peer for Safetensors {
    fn name(&self) -> &'static str {
        "safetensors"
    }

    fn write_profiles(&self, dir: &Path, profiles: &Profiles) -> Result<()> {
        let mut attributes = HashMap::new();
        for i in 0..profiles.count {
            let mut of_one = Attributes::default();
            for a in Profiles::attributes(i) {
                match a {
                    Attribute::Number("cycle", number) => of_one.cycle = number,
                    Attribute::Text("platform", text) => of_one.platform = text,
                    Attribute::Text("units", text) => of_one.units = text,
                    Attribute::Text(..) | Attribute::Number(..) => {}
                }
            }
            attributes.insert(Profiles::name(i), serde_json::to_string(&of_one)?);
        }
        let bytes: Vec<Vec<u8>> = (0..profiles.count).map(|i| to_bytes(profiles.values(i))).collect();
        let view = |i: usize| {
            Ok((Profiles::name(i), TensorView::new(Dtype::F32, vec![bytes[i].len() / 4], &bytes[i])?))
        };
        let views = (0..profiles.count).map(view).collect::<Result<Vec<_>>>()?;
        Ok(serialize_to_file(views, Some(attributes), &dir.join(FILE))?)
    }

    fn open_profiles(&self, dir: &Path) -> Result<Box<dyn OpenProfiles>> {
        let file = File::open(dir.join(FILE))?;
        // SAFETY: nobody changes the file while it is mapped.
        let map = unsafe { Mmap::map(&file)? };
        // What `SafeTensors::deserialize` does, without a borrow of the map.
        let (header, metadata) = SafeTensors::read_metadata(&map)?;
        Ok(Box::new(OpenP { map, start: 8 + header, metadata }))
    }
}

struct OpenP {
    map: Mmap,
    /// Where the elements begin.
    start: usize,
    metadata: Metadata,
}

impl OpenProfiles for OpenP {
    fn read(&self, name: &str) -> Result<Vec<f32>> {
        let (start, end) = self.metadata.info(name).context("no such tensor")?.data_offsets;
        Ok(from_bytes(&self.map[self.start + start..self.start + end]))
    }

    fn count_cycle_7(&self) -> Result<usize> {
        let all = self.metadata.metadata().as_ref().context("no metadata")?;
        let mut count = 0;
        for text in all.values() {
            count += usize::from(serde_json::from_str::<Attributes>(text)?.cycle == 7);
        }
        Ok(count)
    }
}
