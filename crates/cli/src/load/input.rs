use std::{
    fs::File,
    io::{self, BufReader, Read, Seek, SeekFrom},
    path::{Path, PathBuf},
};

use crate::{args::Format, exit::Failure};

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

    /// The format that a file's name stands for.
    pub(crate) fn format(&self) -> Option<Format> {
        let Input::File(path) = self else { return None };
        let name = path.file_name()?.to_str()?.to_ascii_lowercase();
        let name = [".gz", ".zst", ".lz4"].iter().find_map(|ending| name.strip_suffix(ending)).unwrap_or(&name);
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

    /// Unpacks while reading.
    pub(crate) fn unpack<'a>(self, packed: impl Read + Send + 'a) -> io::Result<Box<dyn Read + Send + 'a>> {
        Ok(match self {
            Packing::Plain => Box::new(packed),
            Packing::Gzip => Box::new(flate2::read::MultiGzDecoder::new(BufReader::with_capacity(128 << 10, packed))),
            Packing::Zstd => Box::new(zstd::stream::read::Decoder::new(packed)?),
            Packing::Lz4 => Box::new(lz4_flex::frame::FrameDecoder::new(packed)),
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
    /// Opens a file and looks at its first bytes.
    pub(crate) fn open(path: &Path) -> Result<Self, Failure> {
        let failed = |error: io::Error| {
            let advice = match error.kind() {
                io::ErrorKind::NotFound => "no such file; check the path",
                io::ErrorKind::PermissionDenied => "it may not be read; check its permissions",
                _ => return Failure::usage(format!("{}: {error}", path.display())),
            };
            Failure::usage(format!("{}: {advice}", path.display()))
        };
        let mut file = File::open(path).map_err(failed)?;
        let metadata = file.metadata().map_err(failed)?;
        if metadata.is_dir() {
            return Err(Failure::usage(format!(
                "{} is a directory; name the files in it, for example {0}/*.csv",
                path.display()
            )));
        }
        if !metadata.is_file() {
            return Err(Failure::usage(format!(
                "{} is no regular file and cannot be read twice; load it through standard input: standpipe load - < {0}",
                path.display()
            )));
        }
        let mut head = Vec::new();
        (&mut file).take(4).read_to_end(&mut head).map_err(failed)?;
        Ok(InputFile {
            path: path.to_owned(),
            packing: Packing::detect(&head),
            size_bytes: metadata.len(),
        })
    }

    /// Whether any place in it can be reached without reading all before.
    pub(crate) fn is_seekable(&self) -> bool {
        self.packing == Packing::Plain
    }

    /// The unpacked bytes from the beginning.
    pub(crate) fn read(&self) -> io::Result<Box<dyn Read + Send>> {
        self.packing.unpack(self.from_byte(0)?)
    }

    /// The bytes of a plain file from `offset` on.
    pub(crate) fn from_byte(&self, offset: u64) -> io::Result<File> {
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
    }
}
