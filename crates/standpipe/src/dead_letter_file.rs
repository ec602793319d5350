use std::{
    fs::{self, File, OpenOptions},
    io::{self, BufRead, BufReader, BufWriter, Read, Write},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use standpipe_core::{DeadLetter, Error, LaneId, StreamId, TableName};
use standpipe_sink::DeadLetterStore;

/// Dead letters in a file, one JSON object a line.
///
/// Each letter is written and synced before the commit that it belongs to, and names its lane, position and place, so
/// that letters of commits that never happened are removed when the lane is claimed again. One file may serve several
/// targets: each letter names its own.
#[derive(Clone, Debug)]
pub struct DeadLetterFile {
    path: Arc<PathBuf>,
    /// Where the rows were meant to go.
    target: Arc<str>,
    /// One writer at a time.
    turn: Arc<Mutex<()>>,
}

/// A line of the file. `target` stands first: it is what a letter is known by that a crash cut.
#[derive(Debug, Serialize, Deserialize)]
struct Line {
    target: String,
    stream: String,
    lane: u32,
    position: u64,
    ordinal: u32,
    table: String,
    file: String,
    line: Option<u64>,
    column: Option<String>,
    code: Option<String>,
    reason: String,
    row: String,
}

impl DeadLetterFile {
    /// The longest line of such a file, in bytes; a longer one is nobody's dead letter.
    const LINE_BYTES_MAX: u64 = 4 << 20;

    /// Letters of rows that were meant for `target` go to the file at `path`, which is made when the first one comes.
    ///
    /// # Errors
    /// [`Invalid`](standpipe_core::ErrorKind::Invalid) when there is something at `path` that is no file of dead
    /// letters: it is not touched.
    pub fn open(path: impl Into<PathBuf>, target: &str) -> Result<Self, Error> {
        let path = path.into();
        match fs::metadata(&path) {
            Ok(metadata) if !metadata.is_file() => {
                return Err(Error::invalid(format!(
                    "{} is no regular file; dead letters need one, or table:NAME",
                    path.display()
                )));
            }
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(&path, error)),
            _ => {}
        }
        let store = DeadLetterFile { path: Arc::new(path), target: Arc::from(target), turn: Arc::default() };
        if let Some(Err(error)) = store.lines()?.and_then(|mut lines| lines.next()) {
            return Err(error);
        }
        Ok(store)
    }

    /// Every letter of the file, in order. Empty when there is no file.
    ///
    /// # Errors
    /// What the system says, and lines that are no dead letters.
    pub fn read(path: &Path) -> Result<Vec<DeadLetter>, Error> {
        Self::letters(path)?.collect()
    }

    /// Every letter of the file, in order, read as they are asked for: of a file of any size little is in memory.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn letters(path: &Path) -> Result<impl Iterator<Item = Result<DeadLetter, Error>>, Error> {
        let lines = Self::open(path, "")?.lines()?;
        Ok(lines.into_iter().flatten().map(|line| line.and_then(|(_, line)| line.into_letter())))
    }

    /// The whole lines of the file, `None` when there is none.
    fn lines(&self) -> Result<Option<Lines>, Error> {
        match File::open(&*self.path) {
            Ok(file) => {
                Ok(Some(Lines { path: Arc::clone(&self.path), reader: BufReader::new(file), number: 0 }))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(failed(&self.path, error)),
        }
    }

    fn append(&self, letters: &[DeadLetter]) -> io::Result<()> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let is_new = !self.path.exists();
        let mut file = OpenOptions::new().create(true).append(true).open(&*self.path)?;
        let mut bytes = Vec::new();
        for letter in letters {
            serde_json::to_writer(&mut bytes, &Line::of(letter, &self.target))?;
            bytes.push(b'\n');
        }
        file.write_all(&bytes)?;
        file.sync_data()?;
        if is_new { sync_parent(&self.path) } else { Ok(()) }
    }

    /// Rewrites the file without the letters that `drop_if` names. A last line that was cut by a crash goes too: its
    /// commit never happened. A file with anything else in it is left as it is.
    fn rewrite(&self, drop_if: impl Fn(&Line) -> bool) -> Result<(), Error> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(lines) = self.lines()? else { return Ok(()) };
        let (mut whole_bytes, mut dropped) = (0, false);
        for line in lines {
            let (text, line) = line?;
            dropped |= drop_if(&line);
            whole_bytes += text.len() as u64;
        }
        let size_bytes = fs::metadata(&*self.path).map_err(|error| failed(&self.path, error))?.len();
        if !dropped && whole_bytes == size_bytes {
            return Ok(());
        }
        let beside = self.path.with_extension("trimmed");
        self.copy_without(&beside, drop_if).map_err(|error| failed(&beside, error))
    }

    fn copy_without(&self, beside: &Path, drop_if: impl Fn(&Line) -> bool) -> io::Result<()> {
        let mut file = BufWriter::new(File::create(beside)?);
        for line in self.lines().map_err(io::Error::other)?.into_iter().flatten() {
            let (text, line) = line.map_err(io::Error::other)?;
            if !drop_if(&line) {
                file.write_all(&text)?;
            }
        }
        file.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
        fs::rename(beside, &*self.path)?;
        sync_parent(&self.path)
    }
}

/// Reads whole lines, each of which has to be a dead letter.
struct Lines {
    path: Arc<PathBuf>,
    reader: BufReader<File>,
    number: u64,
}

impl Iterator for Lines {
    type Item = Result<(Vec<u8>, Line), Error>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut text = Vec::new();
        let limited = (&mut self.reader).take(DeadLetterFile::LINE_BYTES_MAX).read_until(b'\n', &mut text);
        if let Err(error) = limited {
            return Some(Err(failed(&self.path, error)));
        }
        self.number += 1;
        let is_whole = text.ends_with(b"\n");
        match serde_json::from_slice(&text) {
            Ok(line) if is_whole => Some(Ok((text, line))),
            _ if !is_whole && is_cut_letter(&text) => None,
            _ => Some(Err(Error::invalid(format!(
                "{}:{}: this is no dead letter; name another file, this one was not touched",
                self.path.display(),
                self.number
            )))),
        }
    }
}

/// Whether this, without a line end, is what a crash left of a letter.
fn is_cut_letter(text: &[u8]) -> bool {
    const BEGINNING: &[u8] = b"{\"target\":";
    text.starts_with(BEGINNING) || BEGINNING.starts_with(text)
}

#[async_trait]
impl DeadLetterStore for DeadLetterFile {
    async fn keep(&self, letters: &[DeadLetter]) -> Result<(), Error> {
        let (store, letters) = (self.clone(), letters.to_vec());
        on_a_thread(move || store.append(&letters).map_err(|error| failed(&store.path, error))).await
    }

    async fn trim(&self, lane: &LaneId, from_position: u64) -> Result<(), Error> {
        let (store, lane) = (self.clone(), lane.clone());
        on_a_thread(move || {
            store.rewrite(|line| {
                line.target == *store.target
                    && line.stream == lane.stream.as_str()
                    && line.lane == lane.lane
                    && line.position >= from_position
            })
        })
        .await
    }
}

async fn on_a_thread(work: impl FnOnce() -> Result<(), Error> + Send + 'static) -> Result<(), Error> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => Err(Error::invalid(format!("writing dead letters: {error}"))),
    }
}

fn failed(path: &Path, error: io::Error) -> Error {
    Error::invalid(format!("the dead-letter file {}: {error}", path.display())).with_source(error)
}

fn sync_parent(path: &Path) -> io::Result<()> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    File::open(parent.unwrap_or(Path::new(".")))?.sync_all()
}

impl Line {
    fn of(letter: &DeadLetter, target: &str) -> Self {
        Line {
            target: target.to_owned(),
            stream: letter.lane.stream.as_str().to_owned(),
            lane: letter.lane.lane,
            position: letter.position,
            ordinal: letter.ordinal,
            table: letter.table.to_string(),
            file: letter.origin.to_string(),
            line: letter.line,
            column: letter.column.clone(),
            code: letter.code.clone(),
            reason: letter.reason.clone(),
            row: String::from_utf8_lossy(&letter.row).into_owned(),
        }
    }

    fn into_letter(self) -> Result<DeadLetter, Error> {
        Ok(DeadLetter {
            lane: LaneId { stream: StreamId::new(self.stream)?, lane: self.lane },
            position: self.position,
            ordinal: self.ordinal,
            table: TableName::new(self.table),
            origin: Arc::from(self.file),
            line: self.line,
            column: self.column,
            code: self.code,
            reason: self.reason,
            row: self.row.into(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn letter(position: u64) -> DeadLetter {
        DeadLetter {
            lane: lane(),
            position,
            ordinal: 3,
            table: TableName::new("t"),
            origin: Arc::from("f.csv"),
            line: Some(7),
            column: None,
            code: None,
            reason: "why".into(),
            row: "a,b".into(),
        }
    }

    fn lane() -> LaneId {
        LaneId { stream: StreamId::new("s").unwrap(), lane: 0 }
    }

    #[tokio::test]
    async fn letters_of_another_target_stay_when_a_lane_is_claimed_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("bad.ndjson");
        let open = |target| DeadLetterFile::open(&path, target).unwrap();
        let (one, other) = (open("one"), open("other"));
        one.keep(&[letter(0), letter(10)]).await.unwrap();
        other.keep(&[letter(20)]).await.unwrap();
        one.trim(&lane(), 5).await.unwrap();
        let positions: Vec<u64> =
            DeadLetterFile::read(&path).unwrap().iter().map(|letter| letter.position).collect();
        assert_eq!(positions, [0, 20]);
    }

    #[tokio::test]
    async fn a_letter_that_a_crash_cut_goes() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("bad.ndjson");
        let store = DeadLetterFile::open(&path, "one").unwrap();
        store.keep(&[letter(0)]).await.unwrap();
        let whole = fs::read(&path).unwrap();
        for cut in 1..whole.len() {
            fs::write(&path, [&whole[..], &whole[..cut]].concat()).unwrap();
            let store = DeadLetterFile::open(&path, "one").unwrap();
            store.trim(&lane(), 1).await.unwrap();
            assert_eq!(fs::read(&path).unwrap(), whole, "cut at {cut}");
        }
    }

    #[test]
    fn what_is_no_file_of_dead_letters_is_not_touched() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("precious.db");
        for precious in [b"SQLite format 3\0 and more".as_slice(), b"id,name\n1,a\n", b"{\"a\":1}\n"] {
            fs::write(&path, precious).unwrap();
            let refused = DeadLetterFile::open(&path, "one").unwrap_err().to_string();
            assert!(refused.contains("not touched"), "{refused}");
            assert_eq!(fs::read(&path).unwrap(), precious);
        }
        let device = DeadLetterFile::open("/dev/full", "one").unwrap_err().to_string();
        assert!(device.contains("no regular file"), "{device}");
    }
}
