//! What `bench` alone offers.

use super::Command;

pub(crate) fn choose() -> Result<Option<Command>, String> {
    Ok(None)
}
