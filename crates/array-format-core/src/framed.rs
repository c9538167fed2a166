//! Blocks cut into frames that decode alone: `docs/format.md` section 9.2.

use std::ops::Range;

use crate::buffer::{Elements, Values};
use crate::checksum::{checksum, verify};
use crate::chunk::{decode_fixed, is_plain, mask_bytes, unpack_mask};
use crate::codec::{CompressionCodec, NO_COMPRESSION_ID, encode_filters};
use crate::cursor::Cursor;
use crate::error::{Error, Result};
use crate::format::constants::MAX_FRAME_BYTES;
use crate::schema::ArraySchema;

const ENTRY_BYTES: u64 = 12;

/// What codecs ask for besides an eighth more than they get, for the worst case.
const SLACK_BYTES: usize = 4 << 10;

/// A block in frames: its table, then its frames.
#[derive(Debug)]
pub struct FramedBlock {
    /// The stored bytes.
    pub bytes: Vec<u8>,
    /// Bytes of the raw values and the mask together.
    pub decoded_bytes: u64,
    /// Checksum of the table.
    pub checksum: u32,
}

/// Cuts the elements of a chunk into frames of `frame_bytes` raw bytes and compresses each alone.
///
/// # Errors
/// As filters and codec; `InvalidArgument` if elements vary in length or do not fit the frames.
pub fn encode(
    schema: &ArraySchema,
    elements: &Elements,
    frame_bytes: u64,
    codec: &dyn CompressionCodec,
) -> Result<FramedBlock> {
    let raw = elements.values.fixed()?;
    let item =
        schema.dtype.item().ok_or_else(|| Error::invalid("elements of varying length are not framed"))?;
    let size = schema.dtype.fixed_size_bytes().unwrap_or(1) as u64;
    if frame_bytes == 0 || frame_bytes > MAX_FRAME_BYTES || !frame_bytes.is_multiple_of(size) {
        return Err(Error::invalid(format!("frames of {frame_bytes} bytes for elements of {size}")));
    }
    let mask = match elements.validity {
        Some(_) => {
            let only_mask = Elements { values: Values::Fixed(Vec::new()), ..elements.clone() };
            let mut mask = Vec::new();
            let unfiltered = ArraySchema { filters: Vec::new(), ..schema.clone() };
            crate::chunk::encode(&unfiltered, &only_mask, &mut mask)?;
            Some(mask)
        }
        None => None,
    };
    let raw_frames = raw.chunks(frame_bytes as usize);
    let count = raw_frames.len() + usize::from(mask.is_some());
    let count = u32::try_from(count).map_err(|_| Error::invalid("too many frames"))?;
    // Compressed to where they stay, behind room for the table. Memory that is taken and not touched costs nothing; to grow would copy.
    let frames_at = 4 + usize::try_from(ENTRY_BYTES * u64::from(count)).unwrap_or(usize::MAX);
    let mut bytes = Vec::with_capacity(frames_at + raw.len() + raw.len() / 8 + SLACK_BYTES);
    bytes.extend(count.to_le_bytes());
    bytes.resize(frames_at, 0);
    let mut table = Vec::with_capacity(frames_at);
    let mut push = |filtered: &[u8]| -> Result<()> {
        let start = bytes.len();
        codec.compress(filtered, &mut bytes)?;
        let stored = bytes.get(start..).unwrap_or_default();
        for len in [stored.len(), filtered.len()] {
            let len = u32::try_from(len).map_err(|_| Error::invalid("a frame of more than 4 GiB"))?;
            table.extend(len.to_le_bytes());
        }
        table.extend(checksum(stored).to_le_bytes());
        Ok(())
    };
    for frame in raw_frames {
        push(&encode_filters(&schema.filters, item, frame)?)?;
    }
    let mut decoded_bytes = raw.len() as u64;
    if let Some(mask) = mask {
        decoded_bytes += mask.len() as u64;
        push(&mask)?;
    }
    let (head, _) =
        bytes.split_at_mut_checked(frames_at).ok_or_else(|| Error::invalid("a codec took bytes away"))?;
    head.get_mut(4..).unwrap_or_default().copy_from_slice(&table);
    let checksum = checksum(head);
    // What waits to be written waits in memory.
    if bytes.capacity() / 4 > bytes.len() {
        bytes.shrink_to_fit();
    }
    Ok(FramedBlock { bytes, decoded_bytes, checksum })
}

/// One frame of a block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// Its bytes, relative to the start of the block.
    pub stored: Range<u64>,
    filtered_bytes: u32,
    checksum: u32,
    raw: Range<u64>,
}

/// Where the frames of a block lie.
#[derive(Debug, Clone)]
pub struct FrameTable {
    frames: Vec<Frame>,
    has_mask: bool,
}

/// Bytes of the table of a chunk of `n` elements.
pub fn table_bytes(schema: &ArraySchema, n: usize, frame_bytes: u64) -> u64 {
    ENTRY_BYTES.saturating_mul(frame_count(schema, n, frame_bytes)).saturating_add(4)
}

fn raw_bytes(schema: &ArraySchema, n: usize) -> u64 {
    (n as u64).saturating_mul(schema.dtype.fixed_size_bytes().unwrap_or(0) as u64)
}

/// Frames of a chunk of `n` elements, with that of the mask.
pub fn frame_count(schema: &ArraySchema, n: usize, frame_bytes: u64) -> u64 {
    raw_bytes(schema, n).div_ceil(frame_bytes.max(1)).saturating_add(u64::from(schema.nullable))
}

impl FrameTable {
    /// Reads the table of a block of `stored_bytes` that holds a chunk of `n` elements, from its first
    /// [`table_bytes`]; these were checked against the block's checksum.
    ///
    /// # Errors
    /// `Corrupt` where it does not fit the chunk.
    pub fn decode(
        schema: &ArraySchema,
        n: usize,
        frame_bytes: u64,
        stored_bytes: u64,
        bytes: &[u8],
    ) -> Result<Self> {
        let mut c = Cursor::new(bytes);
        let count = u64::from(c.u32()?);
        let expected = frame_count(schema, n, frame_bytes);
        let size = schema.dtype.fixed_size_bytes().unwrap_or(1) as u64;
        if !frame_bytes.is_multiple_of(size) {
            return Err(Error::corrupt(format!("frames of {frame_bytes} bytes for elements of {size}")));
        }
        if count != expected || frame_bytes > MAX_FRAME_BYTES {
            return Err(Error::corrupt(format!("a block of {count} frames, its chunk makes {expected}")));
        }
        let total = raw_bytes(schema, n);
        let mut at = table_bytes(schema, n, frame_bytes);
        let mut frames = Vec::new();
        for i in 0..count {
            let (stored, filtered_bytes, checksum) = (u64::from(c.u32()?), c.u32()?, c.u32()?);
            let stored = at..at + stored;
            at = stored.end;
            let is_mask = schema.nullable && i + 1 == count;
            let start = if is_mask { total } else { i * frame_bytes };
            let end =
                if is_mask { total + mask_bytes(schema, n) as u64 } else { total.min(start + frame_bytes) };
            let raw = end - start;
            if u64::from(filtered_bytes) > raw.saturating_mul(2) + 4096 {
                return Err(Error::corrupt(format!(
                    "a frame of {filtered_bytes} bytes for {raw} bytes of values"
                )));
            }
            frames.push(Frame { stored, filtered_bytes, checksum, raw: start..end });
        }
        if at != stored_bytes {
            return Err(Error::corrupt(format!("a block of {stored_bytes} bytes whose frames end at {at}")));
        }
        Ok(Self { frames, has_mask: schema.nullable })
    }

    /// A frame by its number. The mask is the last one.
    pub fn get(&self, number: usize) -> Option<&Frame> {
        self.frames.get(number)
    }

    /// All frames but that of the mask, in order.
    pub fn values(&self) -> &[Frame] {
        let n = self.frames.len() - usize::from(self.has_mask && !self.frames.is_empty());
        self.frames.get(..n).unwrap_or_default()
    }

    /// The frame of the validity mask.
    pub fn mask(&self) -> Option<&Frame> {
        self.frames.last().filter(|_| self.has_mask)
    }
}

impl Frame {
    /// The bytes of the raw values that the frame holds.
    pub fn raw(&self) -> Range<u64> {
        self.raw.clone()
    }

    /// First byte in the block after the frame.
    pub fn end(&self) -> u64 {
        self.stored.end
    }

    fn decompress(&self, codec: &dyn CompressionCodec, params: &[u8], stored: &[u8]) -> Result<Vec<u8>> {
        verify(stored, self.checksum, "a frame of a block")?;
        let mut filtered = vec![0; self.filtered_bytes as usize];
        codec.decompress(params, stored, &mut filtered)?;
        Ok(filtered)
    }

    /// Whether the codec makes the raw values, and nothing is left to be done.
    fn is_plain(&self, schema: &ArraySchema) -> bool {
        is_plain(schema) && u64::from(self.filtered_bytes) == self.raw.end - self.raw.start
    }

    /// The raw values, checked, if they are stored as they are; `codec` is the id of the block's.
    ///
    /// # Errors
    /// `Corrupt`.
    pub fn stored_raw<'s>(
        &self,
        schema: &ArraySchema,
        codec: u32,
        stored: &'s [u8],
    ) -> Result<Option<&'s [u8]>> {
        if codec != NO_COMPRESSION_ID
            || !self.is_plain(schema)
            || stored.len() != self.filtered_bytes as usize
        {
            return Ok(None);
        }
        verify(stored, self.checksum, "a frame of a block")?;
        Ok(Some(stored))
    }

    /// Checks and decodes the frame into `raw`, which has the length of [`Frame::raw`].
    ///
    /// # Errors
    /// `Corrupt`.
    pub fn decode(
        &self,
        schema: &ArraySchema,
        codec: &dyn CompressionCodec,
        params: &[u8],
        stored: &[u8],
        raw: &mut [u8],
    ) -> Result<()> {
        if self.is_plain(schema) && self.raw.end - self.raw.start == raw.len() as u64 {
            verify(stored, self.checksum, "a frame of a block")?;
            codec.decompress(params, stored, raw)?;
            return Ok(());
        }
        decode_fixed(schema, &self.decompress(codec, params, stored)?, raw)
    }

    /// Checks and decodes the frame of the mask to a byte an element.
    ///
    /// # Errors
    /// `Corrupt`.
    pub fn decode_mask(
        &self,
        codec: &dyn CompressionCodec,
        params: &[u8],
        stored: &[u8],
        n: usize,
    ) -> Result<Vec<u8>> {
        unpack_mask(&self.decompress(codec, params, stored)?, n)
    }
}

/// Checks the table and every frame of a whole block, without knowing its chunk.
///
/// # Errors
/// `Corrupt`.
pub fn check(stored: &[u8], sum: u32) -> Result<()> {
    let count = u64::from(Cursor::new(stored).u32()?);
    let table = usize::try_from(4 + ENTRY_BYTES * count).ok().and_then(|len| stored.get(..len));
    let table = table.ok_or_else(|| Error::corrupt("a block is shorter than its frame table"))?;
    verify(table, sum, "the frame table of a block")?;
    let mut c = Cursor::new(table);
    c.u32()?;
    let mut frames = Cursor::new(stored.get(table.len()..).unwrap_or_default());
    for _ in 0..count {
        let (len, _, sum) = (c.u32()?, c.u32()?, c.u32()?);
        verify(frames.take_u64(u64::from(len))?, sum, "a frame of a block")?;
    }
    match frames.remaining() {
        0 => Ok(()),
        n => Err(Error::corrupt(format!("a block with {n} bytes after its last frame"))),
    }
}
