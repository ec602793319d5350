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

/// The flights table as plain CSV: the whole data set where it is beside the project, else the repository's sample.
/// Returns the path and whether it is the whole.
pub(crate) fn flights(scratch: &Path) -> Result<(PathBuf, bool), String> {
    let packed = env::var_os("STANDPIPE_DATA").map_or_else(|| root().join("../shared/data"), PathBuf::from);
    let packed = packed.join("flights.csv.gz");
    if !packed.exists() {
        return Ok((root().join("data/flights.csv"), false));
    }
    let plain = scratch.join("flights.csv");
    let failed = |error: std::io::Error| format!("{}: {error}", packed.display());
    let mut bytes = Vec::new();
    flate2::read::MultiGzDecoder::new(fs::File::open(&packed).map_err(failed)?)
        .read_to_end(&mut bytes)
        .map_err(failed)?;
    fs::write(&plain, bytes).map_err(failed)?;
    Ok((plain, true))
}
