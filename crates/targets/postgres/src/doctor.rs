//! What a server's settings mean for what is promised.

use standpipe_core::{Error, Finding};

use crate::{link::Link, postgres::Shared};

/// Looks at the server. Changes nothing.
pub(crate) async fn examine(_link: &mut Link, _shared: &Shared) -> Result<Vec<Finding>, Error> {
    Ok(Vec::new())
}
