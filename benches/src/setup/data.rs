//! The flights data as a CSV file.

use std::{
    env,
    fs::File,
    io::{BufRead, BufReader, BufWriter, Read, Write},
    path::{Path, PathBuf},
};

use standpipe_harness::{Context, Outcome, Scale};

/// Rows of a quick run.
const QUICK_ROWS: u64 = 60_000;
/// The repository's sample. Within the program: the tree that it was built in may be gone when it runs.
const SAMPLE: &[u8] = include_bytes!("../../../data/flights.csv");
/// How often the repository's sample is repeated where the whole data set is not there.
const SAMPLE_REPEATS: u64 = 40;

/// A CSV file of flights.
#[derive(Debug)]
pub struct Flights {
    /// The file.
    pub path: PathBuf,
    /// Rows in it, the header not counted.
    pub rows: u64,
    /// Where they come from.
    pub source: &'static str,
}

impl Flights {
    /// Writes the file into `dir`: the whole data set (`STANDPIPE_DATA`, or `../shared/data` beside the repository)
    /// where it is there, its beginning when quick, else the repository's sample, repeated; once, the sample as it is.
    ///
    /// # Errors
    /// No data can be read.
    pub fn write(context: &Context, dir: &Path) -> Outcome<Self> {
        let path = dir.join("flights.csv");
        let packed =
            env::var_os("STANDPIPE_DATA").map_or_else(|| root().join("../shared/data"), PathBuf::from);
        let packed = packed.join("flights.csv.gz");
        let most = if context.scale == Scale::Full { u64::MAX } else { QUICK_ROWS };
        if context.scale > Scale::Once && packed.exists() {
            let unpacked = flate2::read::MultiGzDecoder::new(File::open(&packed)?);
            let rows = copy(unpacked, &mut BufWriter::new(File::create(&path)?), most)?;
            return Ok(Flights { path, rows, source: "the flights data" });
        }
        let repeats = if context.scale == Scale::Once { 1 } else { SAMPLE_REPEATS };
        let mut file = BufWriter::new(File::create(&path)?);
        let mut rows = 0;
        let records = SAMPLE.iter().position(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        file.write_all(&SAMPLE[..records])?;
        for _ in 0..repeats {
            file.write_all(&SAMPLE[records..])?;
            rows += SAMPLE[records..].iter().filter(|byte| **byte == b'\n').count() as u64;
        }
        file.flush()?;
        Ok(Flights { path, rows, source: "the repository's sample" })
    }
}

fn root() -> &'static Path {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.parent().unwrap_or(manifest)
}

/// Copies the header and so many records, of one line each.
fn copy(from: impl Read, to: &mut impl Write, most: u64) -> Outcome<u64> {
    let (mut from, mut line, mut rows) = (BufReader::with_capacity(1 << 16, from), Vec::new(), 0);
    from.read_until(b'\n', &mut line)?;
    to.write_all(&line)?;
    while rows < most {
        line.clear();
        if from.read_until(b'\n', &mut line)? == 0 {
            break;
        }
        to.write_all(&line)?;
        rows += 1;
    }
    to.flush()?;
    Ok(rows)
}
