use std::{path::PathBuf, sync::mpsc, thread};

use rusqlite::Connection;
use standpipe_core::{Connect, Error};
use tokio::sync::oneshot;

/// Opens one SQLite file, each connection on a thread of its own.
pub(super) struct SqliteFile(pub(super) PathBuf);

type Reply = oneshot::Sender<rusqlite::Result<i64>>;

/// A connection's thread, which answers `SELECT 1` and ends with this.
pub(super) struct SqliteThread {
    questions: Option<mpsc::Sender<Reply>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Connect for SqliteFile {
    type Connection = SqliteThread;

    async fn connect(&self) -> Result<SqliteThread, Error> {
        let (path, (questions, asked)) = (self.0.clone(), mpsc::channel::<Reply>());
        let (opened, open) = oneshot::channel();
        let work = move || match Connection::open(path).and_then(|connection| {
            ask(&connection)?;
            Ok(connection)
        }) {
            Ok(connection) => {
                let _ = opened.send(Ok(()));
                for reply in asked {
                    let _ = reply.send(ask(&connection));
                }
            }
            Err(error) => drop(opened.send(Err(error))),
        };
        let thread = thread::Builder::new().spawn(work).map_err(failed)?;
        let connection = SqliteThread { questions: Some(questions), thread: Some(thread) };
        open.await.map_err(failed)?.map_err(failed)?;
        Ok(connection)
    }

    async fn check(&self, connection: &mut SqliteThread) -> Result<(), Error> {
        let (reply, answer) = oneshot::channel();
        let questions = connection.questions.as_ref().ok_or_else(|| Error::retry("the connection ended"))?;
        questions.send(reply).map_err(failed)?;
        match answer.await.map_err(failed)? {
            Ok(1) => Ok(()),
            Ok(other) => Err(Error::retry(format!("SELECT 1 gave {other}"))),
            Err(error) => Err(failed(error)),
        }
    }

    fn is_broken(&self, connection: &mut SqliteThread) -> bool {
        connection.thread.as_ref().is_none_or(thread::JoinHandle::is_finished)
    }
}

impl Drop for SqliteThread {
    fn drop(&mut self) {
        // The thread ends when nobody can ask it any more; the file is closed when this returns.
        self.questions = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn ask(connection: &Connection) -> rusqlite::Result<i64> {
    connection.prepare_cached("SELECT 1")?.query_row([], |row| row.get(0))
}

fn failed(error: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::retry("a SQLite connection failed").with_source(error)
}
