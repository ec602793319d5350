use std::{
    env, fs,
    io::Read,
    path::{Path, PathBuf},
};

/// The root of the workspace.
pub(crate) fn root() -> PathBuf {
    // The manifest is `xtask/Cargo.toml`.
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.parent().unwrap_or(manifest).to_owned()
}

/// The tests of `standpipe-pool-sqlx`, a workspace of its own, from the root.
pub(crate) const POOL_WITH_SQLX: &str = "crates/pool-sqlx/conformance";

/// Where build results go, `target` unless the environment says otherwise.
pub(crate) fn target_dir() -> PathBuf {
    env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

/// A new, empty directory for one run.
pub(crate) fn scratch(name: &str) -> Result<PathBuf, String> {
    let dir = target_dir().join(name);
    match fs::remove_dir_all(&dir) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(format!("{}: {error}", dir.display()));
        }
        _ => {}
    }
    fs::create_dir_all(&dir).map_err(|error| format!("{}: {error}", dir.display()))?;
    Ok(dir)
}

/// How often the sample is repeated, so that a load of it takes long enough to be killed in the middle.
const SAMPLE_REPEATS: usize = 40;

/// The flights table as plain CSV: the whole data set where it is beside the project, else the repository's sample,
/// repeated. Returns the path and whether it is the whole.
pub(crate) fn flights(scratch: &Path) -> Result<(PathBuf, bool), String> {
    let packed = env::var_os("STANDPIPE_DATA").map_or_else(|| root().join("../shared/data"), PathBuf::from);
    let packed = packed.join("flights.csv.gz");
    let plain = scratch.join("flights.csv");
    if !packed.exists() {
        repeat_sample(&plain)?;
        return Ok((plain, false));
    }
    let failed = |error: std::io::Error| format!("{}: {error}", packed.display());
    let mut bytes = Vec::new();
    flate2::read::MultiGzDecoder::new(fs::File::open(&packed).map_err(failed)?)
        .read_to_end(&mut bytes)
        .map_err(failed)?;
    fs::write(&plain, bytes).map_err(failed)?;
    Ok((plain, true))
}

fn repeat_sample(plain: &Path) -> Result<(), String> {
    let sample = root().join("data/flights.csv");
    let failed = |error: std::io::Error| format!("{}: {error}", sample.display());
    let text = fs::read_to_string(&sample).map_err(failed)?;
    let (header, records) = text.split_once('\n').unwrap_or((&text, ""));
    fs::write(plain, format!("{header}\n{}", records.repeat(SAMPLE_REPEATS))).map_err(failed)
}
