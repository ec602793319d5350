use bincode::{
    Decode, Encode,
    config::{Configuration, Limit, LittleEndian, Varint},
    de::{Decoder, DecoderImpl, read::Reader},
    enc::write::Writer,
    error::{DecodeError, EncodeError},
};

use super::{Codec, CodecError};

/// The most that any record may decode to.
const LIMIT_BYTES: usize = 1 << 30;
/// What the smallest record may decode to.
const LEAST_BYTES: usize = 4 << 10;

type Settings = Configuration<LittleEndian, Varint, Limit<LIMIT_BYTES>>;

/// bincode 2 with its standard settings (little-endian, numbers of variable length), for types that derive its
/// `Encode` and `Decode`. Behind the feature `bincode`.
///
/// A record may decode to at most a set multiple of its own size (and 4 KiB are always allowed): a length in it that
/// lies costs no more memory than that. The multiple is 64 unless told; types with large, mostly absent parts (a
/// vector of `Option`s of arrays, say) need more. Counted as bincode counts: sizes of numbers and of elements.
///
/// ```
/// use bincode::{Decode, Encode};
/// use standpipe_wal::{Bincode, Codec};
///
/// #[derive(Encode, Decode, PartialEq, Debug)]
/// struct Paid { account: u64, cents: i64, note: String }
///
/// let (paid, mut bytes) = (Paid { account: 7, cents: -250, note: "tea".to_owned() }, Vec::new());
/// Bincode::default().encode(&paid, &mut bytes)?;
/// assert_eq!(bytes.len(), 8);
/// let again: Paid = Bincode::default().decode(&bytes)?;
/// assert_eq!(again, paid);
/// # Ok::<(), standpipe_wal::CodecError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bincode {
    times: usize,
}

impl Default for Bincode {
    fn default() -> Self {
        Bincode { times: 64 }
    }
}

impl Bincode {
    /// Lets a record decode to `times` its own size.
    #[must_use]
    pub fn expanding(times: usize) -> Self {
        Bincode { times }
    }
}

const fn settings() -> Settings {
    bincode::config::standard().with_limit::<LIMIT_BYTES>()
}

impl<T: Encode + Decode<()>> Codec<T> for Bincode {
    fn encode(&self, value: &T, out: &mut Vec<u8>) -> Result<(), CodecError> {
        bincode::encode_into_writer(value, Behind(out), settings()).map_err(CodecError::unencodable)
    }

    /// Refuses bytes that are left over.
    fn decode(&self, bytes: &[u8]) -> Result<T, CodecError> {
        let limit_bytes = bytes.len().saturating_mul(self.times).clamp(LEAST_BYTES, LIMIT_BYTES);
        let mut decoder = DecoderImpl::new(Whole(bytes), settings(), ());
        // The limit is a constant of the type. What is counted as read before leaves as much as is wanted here.
        let decoded =
            decoder.claim_bytes_read(LIMIT_BYTES - limit_bytes).and_then(|()| T::decode(&mut decoder));
        let value = decoded.map_err(|error| match error {
            DecodeError::LimitExceeded => CodecError::TooLarge { limit_bytes },
            other => CodecError::malformed(other),
        })?;
        match decoder.reader().0.len() {
            0 => Ok(value),
            left => Err(CodecError::malformed(format_args!("{left} bytes are left over"))),
        }
    }
}

/// Writes behind what is there.
struct Behind<'a>(&'a mut Vec<u8>);

impl Writer for Behind<'_> {
    #[inline]
    fn write(&mut self, bytes: &[u8]) -> Result<(), EncodeError> {
        self.0.extend_from_slice(bytes);
        Ok(())
    }
}

/// What is left of a record.
struct Whole<'a>(&'a [u8]);

impl Reader for Whole<'_> {
    #[inline]
    fn read(&mut self, bytes: &mut [u8]) -> Result<(), DecodeError> {
        let Some((taken, left)) = self.0.split_at_checked(bytes.len()) else {
            return Err(DecodeError::UnexpectedEnd { additional: bytes.len() - self.0.len() });
        };
        bytes.copy_from_slice(taken);
        self.0 = left;
        Ok(())
    }

    #[inline]
    fn peek_read(&mut self, bytes: usize) -> Option<&[u8]> {
        self.0.get(..bytes)
    }

    #[inline]
    fn consume(&mut self, bytes: usize) {
        self.0 = self.0.get(bytes..).unwrap_or_default();
    }
}
