//! Writes the inputs that fuzzing begins with to `fuzz/seeds`, or to the folder that is named: pages and roots of the golden files, and
//! some inputs of the form that the other targets read.
//!
//! ```text
//! cargo run -p array-format --example write_fuzz_seeds
//! ```

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a program for the terminal, of parts that are a test's"
)]

#[path = "../tests/hostile/object.rs"]
#[allow(dead_code, reason = "shared with a test")]
mod object;

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

use array_format_core::format::attributes::AttributesPage;
use array_format_core::format::nodes::NodesPage;
use array_format_core::format::page::Table;

/// In the order of the target `file`.
const FILES: [&str; 8] = [
    "compacted",
    "groups",
    "layers",
    "versions_kept",
    "tags_detached",
    "runs",
    "compacted_keeping_versions",
    "codecs_filters",
];

/// Larger ones slow the fuzzer down.
const MOST_BYTES: usize = 4096;

struct Seeds {
    folder: PathBuf,
    /// What was written.
    seen: HashSet<Vec<u8>>,
}

impl Seeds {
    fn write(&mut self, target: &str, name: &str, parts: &[&[u8]]) -> std::io::Result<()> {
        let bytes = parts.concat();
        if bytes.len() > MOST_BYTES || !self.seen.insert(bytes.clone()) {
            return Ok(());
        }
        let folder = self.folder.join(target);
        fs::create_dir_all(&folder)?;
        fs::write(folder.join(name), bytes)
    }

    /// Decoders of the target `index`, by their number.
    fn of_index(&mut self, name: &str, objects: &object::Objects) -> std::io::Result<()> {
        let layer = objects.newest();
        let bytes = layer.bytes();
        self.write("index", &format!("{name}-trailer"), &[&[0], &bytes[bytes.len() - 128..]])?;
        self.write("index", &format!("{name}-header"), &[&[1], &bytes[..64]])?;
        self.write("index", &format!("{name}-root"), &[&[2], &layer.root])?;
        let mut directory = Vec::new();
        layer.footer.own_blocks.encode(&mut directory);
        self.write("index", &format!("{name}-directory"), &[&[4], &directory])?;
        for (i, place) in layer.places().into_iter().enumerate() {
            let page = layer.decoded(&layer.page(place));
            let table = Table::ALL.into_iter().find(|t| Some(&t.code()) == page.first());
            let decoder = match table {
                Some(Table::Nodes) => 5,
                Some(Table::Chunks) => 6,
                Some(Table::Attributes) => 7,
                Some(Table::ArrayStatistics) => 8,
                Some(Table::ChunkStatistics) => 9,
                Some(Table::Blocks) => 10,
                None => 4,
            };
            self.write("index", &format!("{name}-page-{i}"), &[&[decoder], &page])?;
            if let Ok(page) = AttributesPage::decode(&page) {
                for (row, attribute) in page.rows().enumerate() {
                    let mut value = Vec::new();
                    attribute.value.iter().for_each(|v| v.encode(&mut value));
                    self.write("index", &format!("{name}-value-{i}-{row}"), &[&[11], &value])?;
                }
            }
            let Ok(page) = NodesPage::decode(&page) else { continue };
            for row in 0..page.len() {
                let Some(node) = page.row(row).node else { continue };
                let mut schema = Vec::new();
                node.schema.encode(&mut schema);
                self.write("index", &format!("{name}-schema-{i}-{row}"), &[&[12], &schema])?;
                let Some((chunk, _)) = node.chunk.filter(|c| c.0.block.frame_bytes > 0) else { continue };
                let elements = node.shape.iter().product::<u64>() as u32;
                let frame_bytes = chunk.block.frame_bytes as u32;
                let length = [schema.len() as u8];
                let parts: [&[u8]; 6] = [
                    &[13],
                    &elements.to_le_bytes(),
                    &frame_bytes.to_le_bytes(),
                    &length,
                    &schema,
                    &layer.stored(&chunk.block),
                ];
                self.write("index", &format!("{name}-frames-{i}-{row}"), &parts)?;
            }
        }
        Ok(())
    }

    /// A file as it is, and with edits of each kind, for each thing that is done with it.
    fn of_file(&mut self, number: u8, name: &str) -> std::io::Result<()> {
        for job in 0..5 {
            let first = number | job << 4;
            self.write("file", &format!("{name}-{job}"), &[&[first]])?;
            for kind in 0..6 {
                let edit = [first, kind, job, 10 * (job + 1), 0, 0x11, 0xff];
                self.write("file", &format!("{name}-{job}-{kind}"), &[&edit])?;
            }
        }
        Ok(())
    }
}

/// Numbers that look random, and are the same in every run.
fn numbers(seed: u64) -> impl Iterator<Item = u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    std::iter::repeat_with(move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as u8
    })
}

fn main() -> std::io::Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let folder = std::env::args_os().nth(1).map_or(root.join("fuzz/seeds"), PathBuf::from);
    let mut seeds = Seeds { folder, seen: HashSet::new() };
    // Too large for a target that reads all of it in every execution.
    for name in FILES.into_iter().chain(["every_type"]) {
        let objects = object::Objects::load(&root.join("fixtures/v1").join(name), name);
        seeds.of_index(name, &objects)?;
    }
    for (number, name) in FILES.into_iter().enumerate() {
        seeds.of_file(number as u8, name)?;
    }
    for i in 0..24u8 {
        let head: Vec<u8> = numbers(i.into()).take(40).collect();
        let ramp: Vec<u8> = (0..300u32).flat_map(|n| (n * u32::from(i)).to_le_bytes()).collect();
        seeds.write("codecs", &format!("ramp-{i}"), &[&head, &ramp])?;
        let many: Vec<u8> = numbers(1000 + u64::from(i)).take(1 + 3 * (5 + 2 * usize::from(i))).collect();
        seeds.write("operations", &format!("many-{i}"), &[&many])?;
    }
    println!("{} seeds, {} bytes", seeds.seen.len(), seeds.seen.iter().map(Vec::len).sum::<usize>());
    Ok(())
}
