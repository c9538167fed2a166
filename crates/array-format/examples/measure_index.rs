//! What the index costs with ten million chunks, and with 50,000 attributes of different names:
//! `cargo run --release -p array-format --example measure_index [chunks | keys]`. The numbers are in `docs/design.md`.

#![allow(clippy::print_stdout, reason = "a program for the terminal")]

use std::path::Path;
use std::time::Instant;

use array_format::{ArrayFile, FileConfig, Result, Value};
use futures::executor::block_on;
use ndarray::Array1;

/// Elements of a chunk.
const CHUNK: u64 = 8;
const CHUNKS: u64 = 10_000_000;
const COMMITS: u64 = 10;
const KEYS: usize = 50_000;

fn main() -> Result<()> {
    let folder = std::env::temp_dir().join(format!("measure-index-{}", std::process::id()));
    let wanted = |what: &str| std::env::args().nth(1).is_none_or(|only| only == what);
    let measured = block_on(async {
        if wanted("chunks") {
            many_chunks(&folder.join("chunks.af")).await?;
        }
        if wanted("keys") {
            many_keys(&folder.join("keys.af")).await?;
        }
        Ok(())
    });
    // What is left behind is for the system to clean.
    let _ = std::fs::remove_dir_all(&folder);
    measured
}

fn say(what: &str, since: Instant, file: &ArrayFile) {
    let c = file.counters();
    let ms = since.elapsed().as_secs_f64() * 1e3;
    println!("{what}: {ms:.1} ms, so far {} requests and {} KiB", c.requests, c.bytes >> 10);
}

async fn many_chunks(path: &Path) -> Result<()> {
    let start = Instant::now();
    let mut file = ArrayFile::create_path(path, FileConfig::default()).await?;
    file.define_array::<u8>("a", vec!["n".into()], vec![CHUNKS * CHUNK], Some(vec![CHUNK]), None)?;
    let each = CHUNKS / COMMITS * CHUNK;
    for commit in 0..COMMITS {
        let values = Array1::from_iter((0..each).map(|i| (commit * each + i) as u8)).into_dyn();
        file.write_array("a", vec![commit * each], values.view()).await?;
        file.flush().await?;
    }
    say(&format!("{CHUNKS} chunks written in {COMMITS} commits"), start, &file);
    let usage = file.usage();
    let index = usage.object_bytes - usage.block_bytes;
    println!("index: {index} bytes, {:.2} a chunk", index as f64 / CHUNKS as f64);
    let start = Instant::now();
    let file = ArrayFile::open_path(path, FileConfig::default()).await?;
    say("open", start, &file);
    for chunk in [CHUNKS / 3, CHUNKS / 2] {
        let start = Instant::now();
        let found = file.read_array::<u8>("a", vec![chunk * CHUNK], vec![CHUNK]).await?;
        assert_eq!(found[[0]], (chunk * CHUNK) as u8);
        say("one chunk", start, &file);
    }
    Ok(())
}

async fn many_keys(path: &Path) -> Result<()> {
    let start = Instant::now();
    let mut file = ArrayFile::create_path(path, FileConfig::default()).await?;
    let (name, key) = (|i: usize| format!("array_{i:06}"), |i: usize| format!("attribute number {i}"));
    for i in 0..KEYS {
        file.define_array::<f32>(&name(i), vec!["n".into()], vec![4], None, None)?;
        file.set_attribute(&name(i), "units", "K").await?;
        file.set_attribute(&name(i), &key(i), i as i64).await?;
    }
    file.flush().await?;
    say(&format!("{KEYS} arrays with attributes of {KEYS} names"), start, &file);
    let usage = file.usage();
    println!("file: {:.1} bytes an array", usage.object_bytes as f64 / KEYS as f64);
    let start = Instant::now();
    let file = ArrayFile::open_path(path, FileConfig::default()).await?;
    say("open", start, &file);
    let start = Instant::now();
    let all = file.attributes(&name(KEYS / 3)).await?;
    assert!(all.contains(&(key(KEYS / 3), Value::from((KEYS / 3) as i64))));
    say("all attributes of one array", start, &file);
    let start = Instant::now();
    let column = file.attribute_column(&key(KEYS / 2)).await?;
    assert_eq!(column.ids_where(|v| *v == Value::from((KEYS / 2) as i64)).len(), 1);
    say("one attribute of all", start, &file);
    let start = Instant::now();
    let column = file.attribute_column("units").await?;
    assert_eq!(column.ids_where(|_| true).len(), KEYS);
    say("one that all have", start, &file);
    Ok(())
}
