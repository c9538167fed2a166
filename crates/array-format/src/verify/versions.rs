//! The versions beside the one that is verified: their roots, layers and index pages.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use array_format_core::address::ObjectId;
use array_format_core::format::constants::HEADER_BYTES;
use array_format_core::format::trailer::check_header;
use array_format_core::{Error, ErrorKind, Result};

use super::Check;
use crate::index::Version;
use crate::layer::head::{OpenLayer, layers_of, open_layer, read_root};
use crate::layer::{Head, names, open_head};

impl Check {
    /// Checks all versions that the file still has. What is collected meanwhile is no damage.
    pub(super) async fn other_versions(&mut self, version: &Version) -> Result<()> {
        let objects = &version.objects;
        let listing = objects.list().await?;
        let newest = match open_head(objects, None).await {
            Ok(newest) if newest.file_id == version.head.file_id => newest,
            // Another file stands here by now, or none.
            Ok(_) => return Ok(()),
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(()),
            Err(e) => {
                self.damaged(e);
                return Ok(());
            }
        };
        let listed: BTreeSet<u64> =
            layers_of(&listing, &newest.file_id).into_iter().map(|(n, _)| n).collect();
        let sidecar = |n: u64| names::sidecar(&objects.path, &newest.file_id, ObjectId::Layer(n));
        let kept = listed.iter().filter(|n| newest.footer.keeps(**n));
        let mut layers: BTreeMap<u64, String> = kept.map(|n| (*n, sidecar(*n))).collect();
        layers.insert(newest.base, objects.path.clone());
        for (number, path) in &layers {
            let checked = match open_layer(objects, path).await {
                Ok(layer) => self.other_version(version, &newest, &listed, layer).await,
                Err(e) => Err(e),
            };
            if let Err(e) = checked
                && (!is_gone(&e) || is_still_there(version, *number).await?)
            {
                self.damaged(version.in_file(e.in_layer(*number)));
            }
        }
        for number in newest.footer.tags.values() {
            if !layers.contains_key(number) && is_still_there(version, *number).await? {
                let e = Error::corrupt(format!("the layer of version {number}, which has a tag, is missing"));
                self.damaged(version.in_file(e.in_layer(*number)));
            }
        }
        Ok(())
    }

    async fn other_version(
        &mut self,
        version: &Version,
        newest: &Head,
        listed: &BTreeSet<u64>,
        layer: OpenLayer,
    ) -> Result<()> {
        if !self.layers.contains(&layer.trailer.write_id) {
            let header = layer.object.read(0..HEADER_BYTES as u64).await?;
            check_header(&header, &layer.trailer)?;
        }
        let footer = read_root(&layer).await?;
        if layer.trailer.file_id != newest.file_id {
            return Err(Error::corrupt("a layer of another file stands in the place of this one"));
        }
        version.objects.remember(layer.trailer.write_id, layer.object);
        // Without a tag, a version whose layers were collected is none any more.
        let has = |id: ObjectId| match id {
            ObjectId::Layer(n) => n == newest.base || listed.contains(&n),
            ObjectId::Detached(_) => true,
        };
        let is_version = newest.footer.tags.values().any(|v| *v == footer.version)
            || newest.footer.keeps(footer.version) && footer.objects.iter().all(|o| has(o.id));
        if is_version && footer.version != version.number() {
            let (number, before) = (footer.version, self.report.damage.len());
            let head = Arc::new(Head { footer: Arc::new(footer), ..newest.clone() });
            self.layers_of(&Version { head, ..version.clone() }).await;
            let found = self.report.damage.split_off(before);
            let was_collected = found.iter().any(is_gone) && !is_still_there(version, number).await?;
            self.report.damage.extend(found.into_iter().filter(|e| !(was_collected && is_gone(e))));
        }
        Ok(())
    }
}

fn is_gone(e: &Error) -> bool {
    matches!(e.kind(), ErrorKind::NotFound | ErrorKind::SnapshotExpired)
}

/// Whether a version belongs to the file still, and has a sidecar, so that its absence is damage.
async fn is_still_there(version: &Version, number: u64) -> Result<bool> {
    match open_head(&version.objects, None).await {
        Ok(now) => {
            let is_sidecar = number > 0 && number != now.base;
            Ok(is_sidecar && now.file_id == version.head.file_id && now.footer.keeps(number))
        }
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(false),
        Err(e) => Err(e),
    }
}
