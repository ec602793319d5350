use std::{
    fs::{self, File, OpenOptions},
    io::{self, BufRead, BufReader, BufWriter, Write},
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
/// that letters of commits that never happened are removed when the lane is claimed again.
#[derive(Clone, Debug)]
pub struct DeadLetterFile {
    path: Arc<PathBuf>,
    /// One writer at a time.
    turn: Arc<Mutex<()>>,
}

/// A line of the file.
#[derive(Debug, Serialize, Deserialize)]
struct Line {
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
    /// Letters go to the file at `path`, which is made when the first one comes.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        DeadLetterFile { path: Arc::new(path.into()), turn: Arc::default() }
    }

    /// Every letter of the file, in order. Empty when there is no file.
    ///
    /// # Errors
    /// What the system says, and lines that are no dead letters.
    pub fn read(path: &Path) -> Result<Vec<DeadLetter>, Error> {
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(failed(path, error)),
        };
        let mut letters = Vec::new();
        for (index, line) in BufReader::new(file).lines().enumerate() {
            let line = line.map_err(|error| failed(path, error))?;
            let line: Line = serde_json::from_str(&line).map_err(|error| {
                Error::invalid(format!("{}:{}: this is no dead letter: {error}", path.display(), index + 1))
            })?;
            letters.push(line.into_letter()?);
        }
        Ok(letters)
    }

    fn append(&self, letters: &[DeadLetter]) -> io::Result<()> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let is_new = !self.path.exists();
        let mut file = OpenOptions::new().create(true).append(true).open(&*self.path)?;
        let mut bytes = Vec::new();
        for letter in letters {
            serde_json::to_writer(&mut bytes, &Line::of(letter))?;
            bytes.push(b'\n');
        }
        file.write_all(&bytes)?;
        file.sync_data()?;
        if is_new { sync_parent(&self.path) } else { Ok(()) }
    }

    /// Rewrites the file without the letters that `drop_if` names. A last line that was cut by a crash goes too: its
    /// commit never happened.
    fn rewrite(&self, drop_if: impl Fn(&Line) -> bool) -> io::Result<()> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let bytes = match fs::read(&*self.path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error),
        };
        let (mut kept, mut dropped) = (Vec::new(), false);
        for text in bytes.split_inclusive(|byte| *byte == b'\n') {
            let is_cut = !text.ends_with(b"\n");
            match serde_json::from_slice::<Line>(text) {
                Ok(line) if drop_if(&line) => dropped = true,
                Err(_) if is_cut => dropped = true,
                // Lines of somebody else's are not ours to remove.
                _ => kept.push(text),
            }
        }
        if !dropped {
            return Ok(());
        }
        let beside = self.path.with_extension("trimmed");
        let mut file = BufWriter::new(File::create(&beside)?);
        for text in kept {
            file.write_all(text)?;
        }
        file.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
        fs::rename(&beside, &*self.path)?;
        sync_parent(&self.path)
    }
}

#[async_trait]
impl DeadLetterStore for DeadLetterFile {
    async fn keep(&self, letters: &[DeadLetter]) -> Result<(), Error> {
        let (store, letters) = (self.clone(), letters.to_vec());
        on_a_thread(self.path.clone(), move || store.append(&letters)).await
    }

    async fn trim(&self, lane: &LaneId, from_position: u64) -> Result<(), Error> {
        let (store, lane) = (self.clone(), lane.clone());
        on_a_thread(self.path.clone(), move || {
            store.rewrite(|line| {
                line.stream == lane.stream.as_str()
                    && line.lane == lane.lane
                    && line.position >= from_position
            })
        })
        .await
    }
}

async fn on_a_thread(
    path: Arc<PathBuf>,
    work: impl FnOnce() -> io::Result<()> + Send + 'static,
) -> Result<(), Error> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done.map_err(|error| failed(&path, error)),
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
    fn of(letter: &DeadLetter) -> Self {
        Line {
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
