//! Reads everything there is.

use array_format::*;

use crate::object::Objects;

/// A reader of this test asks for no more at once: what it asks for is its own doing.
const MOST_ASKED_BYTES: usize = 64 << 10;

/// Goes on after errors, of which the first is returned.
pub(crate) async fn read_everything(objects: &Objects) -> Result<()> {
    let config = FileConfig::default().with_cache(DeltaCache::new(1 << 20));
    let file = ArrayFile::open(objects.storage(), objects.path(), config).await?;
    let mut first = None;
    let mut note = |error: Option<Error>| {
        first = first.take().or(error);
    };
    let found = file.snapshot();
    let groups = found.list_groups().await;
    for path in std::iter::once(String::new()).chain(groups.as_ref().ok().cloned().unwrap_or_default()) {
        note(found.dimensions(&path).await.err());
        note(found.attributes(&path).await.err());
    }
    note(groups.err());
    let arrays = found.arrays("").await;
    for info in arrays.as_ref().ok().into_iter().flatten() {
        note(found.attributes(&info.name).await.err());
        note(found.statistics(&info.name).await.err());
        note(found.chunks(&info.name).await.err());
        let size = info.schema.dtype.fixed_size_bytes().unwrap_or(16).max(1);
        if size > MOST_ASKED_BYTES {
            continue;
        }
        for (start, shape) in corners(&info.shape, (MOST_ASKED_BYTES / size) as u64) {
            note(found.read_elements(&info.name, start, shape, vec![]).await.err());
        }
    }
    note(arrays.err());
    note(found.statistics_index().await.err());
    for name in ["units", "k0", "title", "a"] {
        note(found.attribute_index(name).await.err());
    }
    note(file.versions().await.err());
    match file.verify(VerifyOptions::default().statistics(true)).await {
        Ok(report) => note((!report.is_clean()).then(|| Error::corrupt("verify finds damage"))),
        Err(e) => note(Some(e)),
    }
    first.map_or(Ok(()), Err)
}

/// The first and the last elements of an array of this shape, at most `most`.
fn corners(shape: &[u64], most: u64) -> [(Vec<u64>, Vec<u64>); 2] {
    let mut left = most;
    let mut count = shape.to_vec();
    for n in &mut count {
        *n = (*n).min(left);
        left /= (*n).max(1);
    }
    let last = shape.iter().zip(&count).map(|(n, c)| n - c).collect();
    [(vec![0; shape.len()], count.clone()), (last, count)]
}
