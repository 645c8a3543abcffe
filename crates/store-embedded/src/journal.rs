//! A look at the journals before the tree reads them.
//!
//! After a loss of power the batch that was being written may be there in part. The tree drops it when its end is
//! missing, but gives up when only its middle is; and it drops in silence everything after a spot in the middle of
//! the journal that has gone bad. So here, with the same eyes: a bad batch with nothing good after it was never
//! acknowledged, and is cut off. A bad batch with a good one after it had been synced: that is damage, which is
//! told and left as it is.
//!
//! Knows the journal of fjall 3 (`fjall::journal::entry`), whose version is pinned.

use std::{
    fs::{self, File, OpenOptions},
    hash::Hasher as _,
    io::{self, BufReader, Read, Seek, SeekFrom},
    path::{Path, PathBuf},
};

use xxhash_rust::xxh3::Xxh3;

use crate::open_error::OpenError;

const START: u8 = 1;
const ITEM: u8 = 2;
const END: u8 = 3;
const CLEAR: u8 = 4;
const TRAILER: [u8; 4] = [b'F', b'J', b'L', 3];

/// Tag, count of entries, sequence number.
const START_BYTES: usize = 1 + 4 + 8;

/// How much is read at a time.
const CHUNK_BYTES: usize = 1 << 16;

/// Cuts off what was being written when the power went. Errs when more than that cannot be read.
pub(crate) fn repair(directory: &Path) -> Result<(), OpenError> {
    let mut journals = journals(directory).map_err(OpenError::Io)?;
    journals.sort_unstable();
    let newest = journals.len().saturating_sub(1);
    for (index, (_, path)) in journals.into_iter().enumerate() {
        let Some((offset, rest)) = first_bad(&path).map_err(OpenError::Io)? else {
            continue;
        };
        // All but the newest were synced before the next was begun.
        if index < newest || holds_batch(&rest) {
            return Err(OpenError::Journal { path, offset });
        }
        tracing::warn!(path = %path.display(), offset, "dropping a commit that was cut off before it was acknowledged");
        let file = OpenOptions::new()
            .write(true)
            .open(&path)
            .map_err(OpenError::Io)?;
        file.set_len(offset)
            .and_then(|()| file.sync_all())
            .map_err(OpenError::Io)?;
    }
    Ok(())
}

/// The journals, each with its number.
fn journals(directory: &Path) -> io::Result<Vec<(u64, PathBuf)>> {
    let mut journals = Vec::new();
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        let number = path
            .file_name()
            .and_then(|name| name.to_str())
            .and_then(|name| name.strip_suffix(".jnl"));
        if let Some(number) = number.and_then(|number| number.parse().ok()) {
            journals.push((number, path));
        }
    }
    Ok(journals)
}

/// Where the first batch begins that cannot be read, and all that there is from there on. `None`: all can be read,
/// up to the zeros at the end.
fn first_bad(path: &Path) -> io::Result<Option<(u64, Vec<u8>)>> {
    let mut input = BufReader::with_capacity(CHUNK_BYTES, File::open(path)?);
    let mut offset = 0;
    while is_batch(&mut input)? {
        offset = input.stream_position()?;
    }
    input.seek(SeekFrom::Start(offset))?;
    if only_zeros(&mut input)? {
        return Ok(None);
    }
    input.seek(SeekFrom::Start(offset))?;
    let mut rest = Vec::new();
    input.read_to_end(&mut rest)?;
    Ok(Some((offset, rest)))
}

fn only_zeros(input: &mut impl Read) -> io::Result<bool> {
    // Compared as a whole, which is fast: a new journal has 64 MiB of them.
    let (mut chunk, zeros) = (vec![0; CHUNK_BYTES], vec![0; CHUNK_BYTES]);
    loop {
        let count = input.read(&mut chunk)?;
        if count == 0 {
            return Ok(true);
        }
        if chunk.get(..count) != zeros.get(..count) {
            return Ok(false);
        }
    }
}

/// Whether a whole batch begins anywhere after the first byte.
fn holds_batch(bytes: &[u8]) -> bool {
    (1..bytes.len()).any(|offset| {
        let Some(bytes) = bytes.get(offset..) else {
            return false;
        };
        let begins = bytes.first() == Some(&START) && matches!(bytes.get(START_BYTES), Some(&(ITEM | CLEAR)));
        begins && is_batch(&mut &*bytes).unwrap_or(false)
    })
}

/// Reads a batch; whether it is one, whole and with the right checksum.
fn is_batch(input: &mut impl Read) -> io::Result<bool> {
    match read_batch(input) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        other => other,
    }
}

fn read_batch(input: &mut impl Read) -> io::Result<bool> {
    if array::<1>(input)? != [START] {
        return Ok(false);
    }
    let count = u32::from_le_bytes(array(input)?);
    let _sequence_number: [u8; 8] = array(input)?;
    let mut hasher = Xxh3::new();
    for _ in 0..count {
        if !read_entry(input, &mut hasher)? {
            return Ok(false);
        }
    }
    Ok(array::<1>(input)? == [END]
        && u64::from_le_bytes(array(input)?) == hasher.finish()
        && array(input)? == TRAILER)
}

/// Reads an item, or the clearing of a tree.
fn read_entry(input: &mut impl Read, hasher: &mut Xxh3) -> io::Result<bool> {
    let [tag] = hashed::<1>(input, hasher)?;
    match tag {
        ITEM => {
            let _kind_and_compression: [u8; 2] = hashed(input, hasher)?;
            let _tree: [u8; 8] = hashed(input, hasher)?;
            let key_bytes = u16::from_le_bytes(hashed(input, hasher)?);
            let _value_bytes: [u8; 4] = hashed(input, hasher)?;
            let stored_bytes = u32::from_le_bytes(hashed(input, hasher)?);
            hash(input, u64::from(key_bytes) + u64::from(stored_bytes), hasher)?;
            Ok(true)
        }
        CLEAR => {
            let _tree: [u8; 8] = hashed(input, hasher)?;
            Ok(true)
        }
        _ => Ok(false),
    }
}

fn array<const N: usize>(input: &mut impl Read) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    input.read_exact(&mut bytes)?;
    Ok(bytes)
}

fn hashed<const N: usize>(input: &mut impl Read, hasher: &mut Xxh3) -> io::Result<[u8; N]> {
    let bytes = array(input)?;
    hasher.update(&bytes);
    Ok(bytes)
}

/// Reads so many bytes, without holding them all.
fn hash(input: &mut impl Read, count: u64, hasher: &mut Xxh3) -> io::Result<()> {
    let mut chunk = [0; 4_096];
    let mut left = count;
    while left > 0 {
        let want = usize::try_from(left).unwrap_or(usize::MAX).min(chunk.len());
        let Some(target) = chunk.get_mut(..want) else {
            break;
        };
        input.read_exact(target)?;
        hasher.update(target);
        left -= want as u64;
    }
    Ok(())
}
