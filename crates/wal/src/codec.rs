use std::{error, fmt};

#[cfg(feature = "bincode")]
mod bincode;

#[cfg(feature = "bincode")]
pub use self::bincode::Bincode;

/// How values of one type become the bytes of a record, and back. For [`Typed`](crate::Typed).
///
/// # Duties of an implementer
/// 1. `decode` of what `encode` laid down gives an equal value, in this version of the program and later ones.
/// 2. `encode` lays its bytes behind what is in `out`, and leaves that alone.
/// 3. `decode` gets exactly one record. It believes no length in it: damage is kept away by the log's checksums, but a
///    record of another program or version is not.
///
/// ```
/// use standpipe_wal::{Codec, CodecError};
///
/// /// Little-endian numbers.
/// struct Numbers;
///
/// impl Codec<u64> for Numbers {
///     fn encode(&self, value: &u64, out: &mut Vec<u8>) -> Result<(), CodecError> {
///         out.extend_from_slice(&value.to_le_bytes());
///         Ok(())
///     }
///
///     fn decode(&self, bytes: &[u8]) -> Result<u64, CodecError> {
///         bytes.try_into().map(u64::from_le_bytes).map_err(|_| CodecError::malformed("not 8 bytes"))
///     }
/// }
/// # let mut out = Vec::new();
/// # Numbers.encode(&7, &mut out)?;
/// # assert_eq!(Numbers.decode(&out)?, 7);
/// # Ok::<(), CodecError>(())
/// ```
pub trait Codec<T> {
    /// Lays the bytes of a value behind what is in `out`.
    ///
    /// # Errors
    /// [`CodecError::Unencodable`]; what was laid down by then is of no meaning.
    fn encode(&self, value: &T, out: &mut Vec<u8>) -> Result<(), CodecError>;

    /// The value of one record.
    ///
    /// # Errors
    /// [`CodecError::Malformed`], [`CodecError::TooLarge`].
    fn decode(&self, bytes: &[u8]) -> Result<T, CodecError>;
}

/// Why a value is no record, or a record no value.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CodecError {
    /// The format has no bytes for this value.
    Unencodable(String),
    /// The bytes are not what the codec lays down for a value of this type.
    Malformed(String),
    /// Decoding would take more memory than allowed.
    TooLarge {
        /// The limit, in bytes.
        limit_bytes: usize,
    },
}

impl CodecError {
    /// Bytes that are no value, and why.
    #[must_use]
    pub fn malformed(why: impl fmt::Display) -> Self {
        CodecError::Malformed(why.to_string())
    }

    /// A value that has no bytes, and why.
    #[must_use]
    pub fn unencodable(why: impl fmt::Display) -> Self {
        CodecError::Unencodable(why.to_string())
    }
}

impl fmt::Display for CodecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CodecError::Unencodable(why) => write!(f, "the value cannot be encoded: {why}"),
            CodecError::Malformed(why) => write!(f, "the record is not such a value: {why}"),
            CodecError::TooLarge { limit_bytes } => {
                write!(f, "the record would decode to more than {limit_bytes} bytes")
            }
        }
    }
}

impl error::Error for CodecError {}
