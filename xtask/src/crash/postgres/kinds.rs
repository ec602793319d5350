//! What is done to loads.

use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::{
    client::Load,
    ground::{Ground, Kind, Logged, Moment, await_moment},
    proxy::{At, Phase, Proxy},
    tally::Tally,
};
use crate::{crash::Dice, interrupt};

pub(super) const CLIENT_KILLS: Kind =
    Kind { name: "client kills", short: "killed", disturb: kill_client, log: Logged::Sometimes };
pub(super) const SERVER_KILLS: Kind =
    Kind { name: "server kills", short: "server_killed", disturb: kill_server, log: Logged::Sometimes };
pub(super) const RECOVERIES: Kind =
    Kind { name: "backend kills", short: "recovered", disturb: kill_backend, log: Logged::Sometimes };
pub(super) const RESTARTS: Kind =
    Kind { name: "server restarts", short: "restarted", disturb: restart_server, log: Logged::Sometimes };
pub(super) const CUTS: Kind =
    Kind { name: "cut commits", short: "cut", disturb: cut_commit, log: Logged::Sometimes };

/// SIGKILL of the client; then the same command again.
fn kill_client(
    ground: &mut Ground,
    load: &Load,
    dice: &mut Dice,
    left: u32,
    tally: &mut Tally,
) -> Result<(), String> {
    let planned = (1 + dice.below(4) as u32).min(left);
    let mut killed = 0;
    let mut share = 0.0;
    loop {
        let is_seen = killed == planned || dice.below(4) > 0;
        let proxy = is_seen.then(|| ground.proxy()).transpose()?;
        let moment = ground.moment(dice, part(1.0 - share, planned - killed), is_seen);
        let mut run = ground.start(load, proxy.as_ref())?;
        if killed < planned && await_moment(&mut run, proxy.as_ref(), moment)? {
            let phase = proxy.as_ref().map(Proxy::phase);
            if run.kill()?.is_none() {
                drop(proxy);
                killed += 1;
                share = ground.tables.share(&load.table)?;
                tally.event(share, phase);
                continue;
            }
            // It was faster than the signal.
            return Ok(());
        }
        return run.complete();
    }
}

/// SIGKILL of the postmaster, and a start; the client goes on by itself.
fn kill_server(
    ground: &mut Ground,
    load: &Load,
    dice: &mut Dice,
    left: u32,
    tally: &mut Tally,
) -> Result<(), String> {
    under_one_run(ground, load, dice, left, tally, |ground, dice| {
        ground.server.kill()?;
        interrupt::pause(Duration::from_millis(dice.below(300)))?;
        ground.server.start_again()?;
        Ok(true)
    })
}

/// SIGKILL of a backend: the server ends all others, and takes nobody until it has recovered.
fn kill_backend(
    ground: &mut Ground,
    load: &Load,
    dice: &mut Dice,
    left: u32,
    tally: &mut Tally,
) -> Result<(), String> {
    under_one_run(ground, load, dice, left, tally, |ground, _| {
        let query = "SELECT pid FROM pg_stat_activity WHERE application_name = 'standpipe' LIMIT 1";
        let Some(pid) = ground.tables.ask(query)?.parse().ok().and_then(Pid::from_raw) else {
            return Ok(false);
        };
        Ok(kill_process(pid, Signal::KILL).is_ok())
    })
}

/// A stop as an operator does it, and a start.
fn restart_server(
    ground: &mut Ground,
    load: &Load,
    dice: &mut Dice,
    left: u32,
    tally: &mut Tally,
) -> Result<(), String> {
    under_one_run(ground, load, dice, left, tally, |ground, dice| {
        ground.server.halt()?;
        interrupt::pause(Duration::from_millis(dice.below(300)))?;
        ground.server.start_again()?;
        Ok(true)
    })
}

/// Does something to the server several times while one run goes on, which must complete by itself.
fn under_one_run(
    ground: &mut Ground,
    load: &Load,
    dice: &mut Dice,
    left: u32,
    tally: &mut Tally,
    mut disturb: impl FnMut(&mut Ground, &mut Dice) -> Result<bool, String>,
) -> Result<(), String> {
    let planned = (1 + dice.below(3) as u32).min(left);
    let proxy = (dice.below(3) > 0).then(|| ground.proxy()).transpose()?;
    let mut run = ground.start(load, proxy.as_ref())?;
    let mut share = 0.0;
    for done in 0..planned {
        let moment = ground.moment(dice, part(1.0 - share, planned - done), proxy.is_some());
        if !await_moment(&mut run, proxy.as_ref(), moment)? {
            break;
        }
        let phase = proxy.as_ref().map(Proxy::phase);
        let is_done = disturb(ground, dice)?;
        if let Some(proxy) = &proxy {
            // A held connection has nobody behind it any more.
            proxy.cut();
        }
        share = patient_share(ground, load)?;
        if is_done {
            tally.event(share, phase);
        }
    }
    run.complete()
}

/// The connection ends at `COMMIT`, half of the time before the server heard of it, half after it answered.
fn cut_commit(
    ground: &mut Ground,
    load: &Load,
    dice: &mut Dice,
    left: u32,
    tally: &mut Tally,
) -> Result<(), String> {
    let planned = (1 + dice.below(3) as u32).min(left);
    let proxy = ground.proxy()?;
    let mut run = ground.start(load, Some(&proxy))?;
    let mut share = 0.0;
    for done in 0..planned {
        let within = part(1.0 - share, planned - done) * dice.share();
        let (at, note) = if tally.events.is_multiple_of(2) {
            (At::Before, "before the server heard of it")
        } else {
            (At::Behind, "after the server answered")
        };
        let ahead = 1 + (within * ground.whole.commits as f64) as u64;
        if !await_moment(&mut run, Some(&proxy), Moment::Commit(ahead, at))? {
            break;
        }
        share = ground.tables.share(&load.table)?;
        tally.event(share, Some(Phase::Committing));
        tally.note(note);
        proxy.cut();
    }
    run.complete()
}

/// The part of the rest in which the next of so many should fall.
fn part(rest: f64, events: u32) -> f64 {
    if events < 2 { rest } else { rest * 1.5 / f64::from(events) }
}

/// Which share of the rows is in, asked until the server answers.
fn patient_share(ground: &Ground, load: &Load) -> Result<f64, String> {
    let began = Instant::now();
    loop {
        match ground.tables.share(&load.table) {
            Err(_) if began.elapsed() < Duration::from_secs(30) => {
                interrupt::pause(Duration::from_millis(20))?
            }
            outcome => return outcome,
        }
    }
}
