//! The loader: at a start, reads what is pending into the lanes while appends already work.

use std::time::Duration;

use super::Shared;
use super::pages::ReadError;

/// How long it waits after a page that could not be read.
const PAUSE: Duration = Duration::from_millis(200);

/// Reads page after page until it has caught up with the log, or the inbox ends.
pub(super) fn run(shared: &Shared, low_water: i64) {
    let mut replays_loaded = false;
    let mut loaded_to = low_water - 1;
    while !is_ending(shared) {
        let step = if replays_loaded {
            load_page(shared, &mut loaded_to)
        } else {
            load_replays(shared, low_water).map(|()| {
                replays_loaded = true;
                false
            })
        };
        match step {
            Ok(true) => return,
            Ok(false) => {}
            Err(error) => {
                tracing::warn!(%error, "what is pending could not be read: trying again");
                std::thread::sleep(PAUSE);
            }
        }
    }
}

fn is_ending(shared: &Shared) -> bool {
    use crate::inbox::Error;
    matches!(shared.mailbox.trouble(), Some(Error::Closed | Error::Engine(_)))
}

/// Replayed events may lie below the low-water mark, which knows of first rounds only.
fn load_replays(shared: &Shared, low_water: i64) -> Result<(), ReadError> {
    let replays = shared.pages.open_replays(low_water)?;
    shared.lanes.load_replays(replays, shared.clock.now());
    Ok(())
}

fn load_page(shared: &Shared, loaded_to: &mut i64) -> Result<bool, ReadError> {
    let (page, scanned_to) = shared.pages.pending_after(*loaded_to)?;
    *loaded_to = scanned_to.max(*loaded_to);
    Ok(shared.lanes.load(page, *loaded_to, shared.clock.now()))
}
