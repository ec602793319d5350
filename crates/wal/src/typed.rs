use std::{cell::Cell, error, fmt, marker::PhantomData, sync::Arc, time::Duration};

use standpipe_log::{Log, LogError, Lsn, Reader, Record};

use crate::codec::{Codec, CodecError};

/// A buffer above this size is given back after the value that needed it, in bytes.
const KEPT_BYTES_MAX: usize = 1 << 20;

thread_local! {
    static BUFFER: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// A log and a codec: values of one type, on any [`Log`]. Clones share both.
///
/// A value is encoded on the thread that appends it, into a buffer that the thread keeps: in steady state an append
/// allocates nothing beyond what the codec does.
///
/// ```
/// use standpipe_wal::{Codec, CodecError, Settings, Ticket, Typed, Wal};
/// use std::{sync::Arc, time::Duration};
///
/// struct Text;
///
/// impl Codec<String> for Text {
///     fn encode(&self, value: &String, out: &mut Vec<u8>) -> Result<(), CodecError> {
///         out.extend_from_slice(value.as_bytes());
///         Ok(())
///     }
///     fn decode(&self, bytes: &[u8]) -> Result<String, CodecError> {
///         String::from_utf8(bytes.to_vec()).map_err(CodecError::malformed)
///     }
/// }
///
/// # let place = tempfile::tempdir()?;
/// # let path = place.path();
/// let log = Typed::new(Arc::new(Wal::open(path, Settings::default())?), Text);
/// let lsn = log.append(&"hello".to_owned())?.wait()?;
/// let mut reader = log.follow(lsn)?;
/// assert_eq!(reader.next(Duration::ZERO)?, Some((lsn, "hello".to_owned())));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Typed<T, C, L> {
    log: Arc<L>,
    codec: Arc<C>,
    value: PhantomData<fn(&T) -> T>,
}

impl<T, C: Codec<T>, L: Log> Typed<T, C, L> {
    /// Values of type `T` on a log, in this codec's bytes. The log is also usable as it is.
    pub fn new(log: Arc<L>, codec: C) -> Self {
        Typed { log, codec: Arc::new(codec), value: PhantomData }
    }

    /// The log.
    pub fn log(&self) -> &Arc<L> {
        &self.log
    }

    /// The codec.
    pub fn codec(&self) -> &C {
        &self.codec
    }

    /// Appends one value; see [`Log::append`].
    ///
    /// # Errors
    /// [`TypedError::Encode`] and [`TypedError::Log`]; nothing was appended.
    pub fn append(&self, value: &T) -> Result<L::Ticket, TypedError> {
        with_buffer(|buffer| {
            self.codec.encode(value, buffer).map_err(TypedError::Encode)?;
            Ok(self.log.append(Record::new(&[buffer]))?)
        })
    }

    /// Appends several values, all or none of which survive a crash; see [`Log::append_batch`].
    ///
    /// # Errors
    /// As [`append`](Typed::append); nothing was appended.
    pub fn append_batch(&self, values: &[T]) -> Result<L::Ticket, TypedError> {
        with_buffer(|buffer| {
            let mut places = Vec::with_capacity(values.len());
            for value in values {
                let start = buffer.len();
                self.codec.encode(value, buffer).map_err(TypedError::Encode)?;
                if buffer.len() < start {
                    let why = "the codec took away what was laid down before";
                    return Err(TypedError::Encode(CodecError::unencodable(why)));
                }
                places.push(start..buffer.len());
            }
            let parts: Vec<[&[u8]; 1]> = places.into_iter().map(|place| [&buffer[place]]).collect();
            let records: Vec<Record<'_>> = parts.iter().map(|parts| Record::new(parts)).collect();
            Ok(self.log.append_batch(&records)?)
        })
    }

    /// A reader that starts at `from`; see [`Log::follow`].
    ///
    /// # Errors
    /// As [`Log::follow`].
    pub fn follow(&self, from: Lsn) -> Result<TypedReader<T, C, L::Reader>, TypedError> {
        Ok(TypedReader { reader: self.log.follow(from)?, codec: self.codec.clone(), value: PhantomData })
    }
}

impl<T, C, L> Clone for Typed<T, C, L> {
    fn clone(&self) -> Self {
        Typed { log: self.log.clone(), codec: self.codec.clone(), value: PhantomData }
    }
}

impl<T, C, L: fmt::Debug> fmt::Debug for Typed<T, C, L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Typed").field("log", &self.log).finish_non_exhaustive()
    }
}

/// Follows a [`Typed`] log.
pub struct TypedReader<T, C, R> {
    reader: R,
    codec: Arc<C>,
    value: PhantomData<fn(&T) -> T>,
}

impl<T, C: Codec<T>, R: Reader> TypedReader<T, C, R> {
    /// The next durable value; see [`Reader::next`].
    ///
    /// # Errors
    /// [`TypedError::Decode`]: the record is passed over, and the next call gives the one after it.
    /// [`TypedError::Log`] as [`Reader::next`].
    pub fn next(&mut self, patience: Duration) -> Result<Option<(Lsn, T)>, TypedError> {
        let Some(entry) = self.reader.next(patience)? else { return Ok(None) };
        let lsn = entry.lsn;
        let decoded = self.codec.decode(entry.payload);
        decoded.map(|value| Some((lsn, value))).map_err(|error| TypedError::Decode { lsn, error })
    }

    /// The number from which the next record is looked for.
    pub fn position(&self) -> Lsn {
        self.reader.position()
    }
}

impl<T, C, R: fmt::Debug> fmt::Debug for TypedReader<T, C, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TypedReader").field("reader", &self.reader).finish_non_exhaustive()
    }
}

/// Why a value was not appended or read.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum TypedError {
    /// The log refused.
    Log(LogError),
    /// The codec refused the value.
    Encode(CodecError),
    /// The codec refused a record.
    Decode {
        /// Its number.
        lsn: Lsn,
        /// Why.
        error: CodecError,
    },
}

impl From<LogError> for TypedError {
    fn from(error: LogError) -> Self {
        TypedError::Log(error)
    }
}

impl fmt::Display for TypedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TypedError::Log(error) => error.fmt(f),
            TypedError::Encode(error) => error.fmt(f),
            TypedError::Decode { lsn, error } => write!(f, "record {lsn}: {error}"),
        }
    }
}

impl error::Error for TypedError {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match self {
            TypedError::Log(error) => error.source(),
            TypedError::Encode(_) | TypedError::Decode { .. } => None,
        }
    }
}

/// Lends the thread's buffer, empty. A codec that appends to another log meanwhile gets a fresh one.
fn with_buffer<R>(work: impl FnOnce(&mut Vec<u8>) -> R) -> R {
    // A thread that is ending has none any more.
    let mut buffer = BUFFER.try_with(Cell::take).unwrap_or_default();
    buffer.clear();
    let out = work(&mut buffer);
    if buffer.capacity() <= KEPT_BYTES_MAX {
        let _ = BUFFER.try_with(|kept| kept.set(buffer));
    }
    out
}
