use std::{
    env,
    path::{Path, PathBuf},
};

use standpipe::{StreamId, TargetUrl, Wal, log::LogError, wal::Settings};

use crate::{
    args::LoadArgs,
    exit::{Exit, Failure},
};

/// The directory of the log for standard input: the one that was named, or one of this target and stream in the user's state
/// directory, the same from wherever the command is run.
pub(crate) fn place(args: &LoadArgs, url: &TargetUrl, stream: &StreamId) -> Result<PathBuf, Failure> {
    if let Some(dir) = &args.wal {
        return Ok(dir.clone());
    }
    let state = env::var_os("XDG_STATE_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    let state = state.or_else(|| Some(PathBuf::from(env::var_os("HOME")?).join(".local/state")));
    let state =
        state.ok_or_else(|| Failure::usage("no home directory for the log; name a directory with --wal"))?;
    let name = format!("{}\n{stream}", url.canonical());
    Ok(state.join("standpipe").join(format!("{:016x}", xxhash_rust::xxh3::xxh3_64(name.as_bytes()))))
}

/// Opens the log, making its directory if it is absent.
pub(crate) fn open(args: &LoadArgs, dir: &Path) -> Result<Wal, Failure> {
    let told = |what: String| Failure::refused(format!("the log at {}: {what}", dir.display()));
    std::fs::create_dir_all(dir)
        .map_err(|error| told(format!("{error}; name another directory with --wal")))?;
    // Room for the limit to be reached in many steps, each of which can be let go of.
    let segment_bytes = (args.wal_max / 16).clamp(4 << 20, 64 << 20);
    if args.wal_max < 4 * segment_bytes {
        return Err(Failure::usage(format!("--wal-max is at least {} bytes", 16 << 20)));
    }
    let settings = Settings {
        durability: args.durability,
        size_bytes_max: args.wal_max,
        segment_bytes,
        ..Settings::default()
    };
    Wal::open(dir, settings).map_err(|error| match error {
        LogError::InUse { .. } => {
            told("in use by another process; wait for it, or name another directory with --wal".into())
        }
        error => {
            let mut failure = Failure::from(error).at(format!("the log at {}", dir.display()));
            failure.message.push_str(if failure.exit == Exit::Corrupt {
                "; `standpipe wal verify` names every place, `standpipe wal repair` copies what is sound to another directory"
            } else {
                "; see to the directory, or name another with --wal"
            });
            failure
        }
    })
}
