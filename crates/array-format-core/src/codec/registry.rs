//! Which codecs a reader has.

use std::collections::HashMap;
use std::sync::Arc;

use super::{CompressionCodec, FIRST_USER_CODEC_ID, Lz4Codec, NoCompression, NumbersCodec, ZstdCodec};
use crate::error::{Error, ErrorKind, Result};

/// The codecs that blocks are decoded with, by id. Starts with the built-in ones; a clone costs one reference.
#[derive(Debug, Clone)]
pub struct CodecRegistry {
    codecs: Arc<HashMap<u32, Arc<dyn CompressionCodec>>>,
}

impl Default for CodecRegistry {
    fn default() -> Self {
        let built_in: [Arc<dyn CompressionCodec>; 4] = [
            Arc::new(NoCompression),
            Arc::new(Lz4Codec),
            Arc::new(ZstdCodec::default()),
            Arc::new(NumbersCodec::default()),
        ];
        Self { codecs: Arc::new(built_in.into_iter().map(|codec| (codec.id(), codec)).collect()) }
    }
}

impl CodecRegistry {
    /// Adds a user's codec. One of the same id and name is replaced. Clones made before do not see it.
    ///
    /// # Errors
    /// `InvalidArgument` for an id below [`FIRST_USER_CODEC_ID`] or an empty name, `AlreadyExists` for an id that
    /// a codec of another name has.
    pub fn register(&mut self, codec: Arc<dyn CompressionCodec>) -> Result<()> {
        let (id, name) = (codec.id(), codec.name());
        if id < FIRST_USER_CODEC_ID {
            return Err(Error::invalid(format!(
                "codec {name:?} has id {id}; ids below {FIRST_USER_CODEC_ID} are kept for the format's own codecs"
            )));
        }
        if name.is_empty() {
            return Err(Error::invalid(format!("the codec with id {id} has no name")));
        }
        if let Some(there) = self.codecs.get(&id).filter(|there| there.name() != name) {
            return Err(Error::new(
                ErrorKind::AlreadyExists,
                format!("codec {name:?} has id {id}, which codec {:?} has already", there.name()),
            ));
        }
        Arc::make_mut(&mut self.codecs).insert(id, codec);
        Ok(())
    }

    /// The codec with this id. `name` is what the file calls it: two users who gave the same id to different
    /// codecs learn that here, rather than from bytes that do not decode.
    ///
    /// # Errors
    /// `Unsupported`, saying what to do about it, where there is no such codec.
    pub fn codec(&self, id: u32, name: &str) -> Result<Arc<dyn CompressionCodec>> {
        let found = self.codecs.get(&id);
        match found {
            // The format's own ids mean what they mean, whatever a writer called them.
            Some(codec) if id < FIRST_USER_CODEC_ID || codec.name() == name => Ok(Arc::clone(codec)),
            Some(codec) => Err(Error::unsupported(format!(
                "block is compressed with codec {name:?} (id {id}), but the codec registered with that id is {:?}",
                codec.name()
            ))),
            None if id < FIRST_USER_CODEC_ID => Err(Error::unsupported(format!(
                "block is compressed with codec {name:?} (id {id}), which this version does not know; use a later one"
            ))),
            None => Err(Error::unsupported(format!(
                "block is compressed with codec {name:?} (id {id}), which is not registered: pass it to \
                 FileConfig::register_codec"
            ))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Mine(u32, &'static str);

    impl CompressionCodec for Mine {
        fn id(&self) -> u32 {
            self.0
        }

        fn name(&self) -> &str {
            self.1
        }

        fn compress(&self, src: &[u8], dst: &mut Vec<u8>) -> Result<()> {
            dst.extend(src.iter().map(|b| !b));
            Ok(())
        }

        fn decompress(&self, _params: &[u8], src: &[u8], dst: &mut [u8]) -> Result<()> {
            dst.copy_from_slice(&src.iter().map(|b| !b).collect::<Vec<_>>());
            Ok(())
        }
    }

    #[test]
    fn built_in_codecs_are_there_and_cannot_be_replaced() {
        let mut registry = CodecRegistry::default();
        for (id, name) in [(0, "none"), (1, "lz4"), (2, "zstd"), (3, "numbers")] {
            assert_eq!(registry.codec(id, name).unwrap().name(), name);
            assert_eq!(registry.codec(id, "a writer's own word for it").unwrap().id(), id);
            assert_eq!(
                registry.register(Arc::new(Mine(id, name))).unwrap_err().kind(),
                ErrorKind::InvalidArgument
            );
        }
        let e = registry.codec(4, "brotli").unwrap_err();
        assert_eq!(e.kind(), ErrorKind::Unsupported);
        assert!(e.message().contains("\"brotli\" (id 4)"), "{e}");
    }

    #[test]
    fn a_users_codec_is_found_by_id_and_name() {
        let mut registry = CodecRegistry::default();
        let before = registry.clone();
        registry.register(Arc::new(Mine(0x1_0000, "mine"))).unwrap();
        registry.register(Arc::new(Mine(0x1_0000, "mine"))).unwrap();
        let codec: Arc<dyn CompressionCodec> = registry.codec(0x1_0000, "mine").unwrap();
        let mut out = Vec::new();
        Box::new(codec).compress(&[1], &mut out).unwrap();
        assert_eq!(out, [254]);

        let taken = registry.register(Arc::new(Mine(0x1_0000, "yours"))).unwrap_err();
        assert_eq!(taken.kind(), ErrorKind::AlreadyExists);
        assert!(registry.register(Arc::new(Mine(0x1_0001, ""))).is_err());
        assert!(registry.codec(0x1_0000, "yours").unwrap_err().message().contains("\"mine\""));
        assert_eq!(
            before.codec(0x1_0000, "mine").unwrap_err().message(),
            "block is compressed with codec \"mine\" (id 65536), which is not registered: pass it to \
             FileConfig::register_codec"
        );
    }
}
