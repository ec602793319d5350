use std::{
    fs::File,
    io::{self, BufReader, Read, Seek, SeekFrom},
    path::{Path, PathBuf},
};

use super::interrupt::Interrupt;
use crate::{
    args::Format,
    exit::{Exit, Failure},
};

/// Something to load: a file, or standard input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Input {
    File(PathBuf),
    Stdin,
}

/// How a file is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Packing {
    Plain,
    Gzip,
    Zstd,
    Lz4,
}

impl Input {
    pub(crate) fn of(argument: &str) -> Self {
        if argument == "-" { Input::Stdin } else { Input::File(PathBuf::from(argument)) }
    }

    /// Whether both are one file, however its path is written.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        let place = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
        match (self, other) {
            (Input::File(one), Input::File(other)) => place(one) == place(other),
            (one, other) => one == other,
        }
    }

    /// The name for messages.
    pub(crate) fn name(&self) -> String {
        match self {
            Input::File(path) => path.display().to_string(),
            Input::Stdin => "standard input".to_owned(),
        }
    }

    /// The table that a file's name stands for: `data/flights.csv.gz` is `flights`.
    pub(crate) fn table(&self) -> Option<String> {
        let Input::File(path) = self else { return None };
        let name = path.file_name()?.to_str()?;
        let known = ["gz", "zst", "lz4", "csv", "tsv", "txt", "ndjson", "jsonl", "json"];
        let mut stem = name;
        while let Some((rest, ending)) = stem.rsplit_once('.') {
            if rest.is_empty() || !known.contains(&ending.to_ascii_lowercase().as_str()) {
                break;
            }
            stem = rest;
        }
        Some(stem.to_owned())
    }

    /// Whether the name says that tabs separate the fields.
    pub(crate) fn is_tabbed(&self) -> bool {
        matches!(self, Input::File(path) if unpacked_name(path).is_some_and(|name| name.ends_with(".tsv")))
    }

    /// The format that a file's name stands for.
    pub(crate) fn format(&self) -> Option<Format> {
        let Input::File(path) = self else { return None };
        let name = unpacked_name(path)?;
        let ends = |endings: &[&str]| endings.iter().any(|ending| name.ends_with(ending));
        if ends(&[".ndjson", ".jsonl", ".json"]) {
            Some(Format::Ndjson)
        } else if ends(&[".csv", ".tsv", ".txt"]) {
            Some(Format::Csv)
        } else {
            None
        }
    }
}

/// A file's name in lower case, without the ending that says how it is packed.
fn unpacked_name(path: &Path) -> Option<String> {
    let name = path.file_name()?.to_str()?.to_ascii_lowercase();
    let unpacked =
        [".gz", ".zst", ".lz4"].iter().find_map(|ending| name.strip_suffix(ending)).map(str::to_owned);
    Some(unpacked.unwrap_or(name))
}

impl Packing {
    /// Tells by the first bytes, whatever the name says.
    pub(crate) fn detect(head: &[u8]) -> Self {
        match head {
            [0x1f, 0x8b, ..] => Packing::Gzip,
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Packing::Zstd,
            [0x04, 0x22, 0x4d, 0x18, ..] => Packing::Lz4,
            _ => Packing::Plain,
        }
    }

    /// What tells a sound file of this kind from a damaged one.
    fn test_command(self) -> &'static str {
        match self {
            Packing::Plain => "cat",
            Packing::Gzip => "gzip -t",
            Packing::Zstd => "zstd -t",
            Packing::Lz4 => "lz4 -t",
        }
    }

    /// Unpacks while reading.
    pub(crate) fn unpack<'a>(self, packed: impl Read + Send + 'a) -> io::Result<Box<dyn Read + Send + 'a>> {
        Ok(match self {
            Packing::Plain => Box::new(packed),
            Packing::Gzip => {
                let packed = BufReader::with_capacity(128 << 10, packed);
                Box::new(Unpacking { reader: flate2::read::MultiGzDecoder::new(packed), kind: "gzip" })
            }
            Packing::Zstd => {
                Box::new(Unpacking { reader: zstd::stream::read::Decoder::new(packed)?, kind: "zstd" })
            }
            Packing::Lz4 => {
                Box::new(Unpacking { reader: lz4_flex::frame::FrameDecoder::new(packed), kind: "lz4" })
            }
        })
    }
}

/// Unpacks, and says in one way for every kind what is wrong with the packed bytes.
struct Unpacking<R> {
    reader: R,
    kind: &'static str,
}

impl<R: Read> Read for Unpacking<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.reader.read(buf).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => {
                io::Error::new(error.kind(), format!("the {} data ends too early: it was cut", self.kind))
            }
            // lz4_flex says `Other` of a checksum that does not match.
            io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput | io::ErrorKind::Other => {
                io::Error::new(
                    io::ErrorKind::InvalidData,
                    format!("the {} data is damaged ({error})", self.kind),
                )
            }
            _ => error,
        })
    }
}

/// An open file, and how it is packed.
pub(crate) struct InputFile {
    pub(crate) path: PathBuf,
    pub(crate) packing: Packing,
    /// Its size on disk, in bytes.
    pub(crate) size_bytes: u64,
}

impl InputFile {
    /// Unpacks a packed file once without keeping anything, and returns its unpacked size in bytes. Checksums come behind
    /// the data that they are of: only so is nothing loaded that turns out to be damaged.
    pub(crate) fn check_packing(&self, interrupt: &Interrupt) -> Result<u64, Failure> {
        let damaged = |error: io::Error| {
            let test = self.packing.test_command();
            Failure::of_reading(
                format!("{error}; nothing of it was loaded. Get a sound copy (check it with {test})"),
                &error,
            )
        };
        let mut reader = self.read().map_err(damaged)?;
        let (mut buffer, mut size_bytes) = (vec![0; 256 << 10], 0);
        loop {
            if interrupt.asked() {
                return Err(Failure::new(Exit::Interrupted, "interrupted while the file was checked"));
            }
            match reader.read(&mut buffer) {
                Ok(0) => return Ok(size_bytes),
                Ok(read) => size_bytes += read as u64,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(damaged(error)),
            }
        }
    }

    /// Its size on disk at this moment.
    pub(crate) fn size_now(&self) -> Option<u64> {
        std::fs::metadata(&self.path).ok().map(|metadata| metadata.len())
    }

    /// Opens a file and looks at its first bytes.
    pub(crate) fn open(path: &Path) -> Result<Self, Failure> {
        let failed = |error: io::Error| {
            let advice = match error.kind() {
                io::ErrorKind::NotFound => "no such file; check the path",
                io::ErrorKind::PermissionDenied => "it may not be read; check its permissions",
                _ => return Failure::usage(format!("it cannot be opened: {error}")),
            };
            Failure::usage(advice)
        };
        let mut file = File::open(path).map_err(failed)?;
        let metadata = file.metadata().map_err(failed)?;
        if metadata.is_dir() {
            return Err(Failure::usage(format!(
                "this is a directory; name the files in it, for example {}/*.csv",
                path.display()
            )));
        }
        if !metadata.is_file() {
            return Err(Failure::usage(format!(
                "this is no regular file and cannot be read twice; load it through standard input: standpipe load - < {}",
                path.display()
            )));
        }
        let mut head = Vec::new();
        (&mut file).take(4).read_to_end(&mut head).map_err(failed)?;
        Ok(InputFile { path: path.to_owned(), packing: Packing::detect(&head), size_bytes: metadata.len() })
    }

    /// Whether any place in it can be reached without reading all before.
    pub(crate) fn is_seekable(&self) -> bool {
        self.packing == Packing::Plain
    }

    /// The first unpacked bytes, up to `bytes`, and whether more may follow. A file that is damaged further on has a
    /// beginning all the same.
    pub(crate) fn head(&self, bytes: u64) -> Result<(Vec<u8>, bool), Failure> {
        let mut head = Vec::new();
        match self.read().and_then(|reader| reader.take(bytes).read_to_end(&mut head)) {
            Ok(_) => {
                let more = head.len() as u64 >= bytes;
                Ok((head, more))
            }
            Err(_) if !head.is_empty() => Ok((head, true)),
            Err(error) => Err(Failure::of_reading(
                format!(
                    "it cannot be read: {error}; check the file, for example with {}",
                    self.packing.test_command()
                ),
                &error,
            )),
        }
    }

    /// The unpacked bytes from the beginning.
    pub(crate) fn read(&self) -> io::Result<Box<dyn Read + Send>> {
        self.packing.unpack(self.open_at(0)?)
    }

    /// The bytes of a plain file from `offset` on.
    pub(crate) fn open_at(&self, offset: u64) -> io::Result<File> {
        let mut file = File::open(&self.path)?;
        file.seek(SeekFrom::Start(offset))?;
        Ok(file)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_table_and_format() {
        let input = |name: &str| Input::of(name);
        assert_eq!(input("data/flights.csv.gz").table().as_deref(), Some("flights"));
        assert_eq!(input("a.b.ndjson").table().as_deref(), Some("a.b"));
        assert_eq!(input("plain").table().as_deref(), Some("plain"));
        assert_eq!(input("x.JSONL.zst").format(), Some(Format::Ndjson));
        assert_eq!(input("x.csv").format(), Some(Format::Csv));
        assert_eq!(input("x.dat").format(), None);
        assert_eq!(input("-"), Input::Stdin);
        assert!(input("x.TSV.gz").is_tabbed() && !input("x.csv").is_tabbed());
    }
}
