use std::time::Duration;

use super::{
    client::Load,
    ground::{Ground, Kind, Logged, Moment, await_moment},
    proxy::At,
    tally::Tally,
};
use crate::crash::Dice;

pub(super) const TAKEOVERS: Kind =
    Kind { name: "takeovers", short: "taken", disturb: take_over, log: Logged::Never };

/// The exit code of a run whose stream was taken over.
const REFUSED: i32 = 4;
/// After this a second run that has not come to an end waits for the lock of the first.
const WAITS: Duration = Duration::from_secs(6);
/// How late a `COMMIT` comes that was only slow.
const SLOW: Duration = Duration::from_millis(1500);

/// The client is stopped in the midst of its work, a second one runs the same command, and then the first one goes on: it must
/// end as fenced, and write nothing.
fn take_over(
    ground: &mut Ground,
    load: &Load,
    dice: &mut Dice,
    _left: u32,
    tally: &mut Tally,
) -> Result<(), String> {
    let proxy = ground.proxy()?;
    let moment = moment(ground, dice);
    let mut first = ground.start(load, Some(&proxy))?;
    if !await_moment(&mut first, Some(&proxy), moment)? {
        return first.complete();
    }
    first.pause()?;
    let (phase, share) = (proxy.phase(), ground.tables.share(&load.table)?);
    let epoch = ground.tables.epoch(&load.table)?;
    let is_killed = dice.below(3) == 0;
    let is_before = matches!(moment, Moment::Commit(_, At::Before));
    let waits = if is_before { SLOW } else { WAITS };
    let mut second = ground.start(load, None)?;
    let killed_at = ground.whole.took.mul_f64(dice.share() * (1.0 - share));
    let has_ended = !second
        .until(|second| if is_killed { second.runs_for() > killed_at } else { second.runs_for() > waits })?;
    if !has_ended && is_killed {
        second.kill()?;
    }
    if !has_ended && !is_killed {
        tally.note("the second waited for a lock of the first");
        if is_before {
            // The first one's commit was only slow.
            proxy.release();
        } else {
            first.resume()?;
        }
        second.complete()?;
    } else if has_ended {
        second.complete()?;
    }
    let taken = ground.tables.epoch(&load.table)?;
    // What the wire held comes late.
    proxy.release();
    first.resume()?;
    let code = first.wait()?;
    let now = ground.tables.epoch(&load.table)?;
    if code == 0 {
        // The second one was killed before its claim, or there was nothing left to be taken.
        tally.note("not taken over");
    } else if code != REFUSED || !first.text().contains("fenced") || now == epoch {
        return Err(format!("a run that was taken over ended with {code}: {}", first.text()));
    } else if !is_killed && now != taken {
        return Err(format!("a run that was fenced has claimed again: {}", first.text()));
    } else {
        tally.event(share, Some(phase));
        tally.note(if is_killed { "the second was killed" } else { "the second completed" });
    }
    let mut third = ground.start(load, None)?;
    third.complete()
}

/// Most of the time anywhere, else with a `COMMIT` on its way there or back.
fn moment(ground: &Ground, dice: &mut Dice) -> Moment {
    let within = dice.share() * 0.9;
    let ahead = 1 + (within * ground.whole.commits as f64) as u64;
    match dice.below(5) {
        0 => Moment::Commit(ahead, At::Before),
        1 => Moment::Commit(ahead, At::Behind),
        _ => Moment::Bytes((within * ground.whole.copied_bytes as f64) as u64),
    }
}
