//! Branch duty 8, and the pages of dead letters.
#![allow(clippy::unwrap_used, clippy::expect_used)] // A case fails by panicking.

use std::pin::pin;

use standpipe_core::{Branch, Claim, DeadLetter, Error, ErrorKind, LetterId, LetterPage, TableName, Target};

use super::{
    TargetFixture,
    world::{World, batch, letter, to},
};
use crate::poll::{join, until};

/// A letter and its row change places in one commit; after a rollback or a drop the letter is where it was. One that is
/// kept again by the branch that took it out is there with its new reason.
pub async fn branch_duty_8_letters_are_withdrawn_and_written_in_one_commit(fixture: &dyn TargetFixture) {
    let world = World::new(fixture, "withdrawn").await;
    let (table, letters) = (world.table("t").await, world.name("letters"));
    let claim = world.claim("s").await;
    let mut branch = world.a.begin(&[], None).await.unwrap();
    let absent = branch.withdraw(&letters, &[letter(&claim, &table, 0).id()]).await.unwrap();
    assert_eq!(absent, 0, "there is no table of dead letters yet");
    branch.rollback().await.unwrap();
    let kept = keep(&world, &claim, &table, &letters, 4).await;
    let ids: Vec<LetterId> = kept.iter().map(DeadLetter::id).collect();

    for ends in ["rollback", "drop", "commit"] {
        let mut branch = world.a.begin(&[], None).await.unwrap();
        assert_eq!(branch.withdraw(&letters, &ids[..2]).await.unwrap(), 2);
        branch.write(&batch(&claim.lane, &table, &[&[7]])).await.unwrap();
        let again =
            DeadLetter { reason: "refused again".into(), column: None, code: None, ..kept[1].clone() };
        branch.dead_letter(&letters, std::slice::from_ref(&again)).await.unwrap();
        match ends {
            "rollback" => branch.rollback().await.unwrap(),
            "drop" => drop(branch),
            _ => branch.commit().await.unwrap(),
        }
        // The first connection is the one whose branch ended somehow; a later call of it comes behind that.
        world.claim("s").await;
        let left = world.b.dead_letters(&letters, &LetterPage::first(100)).await.unwrap();
        if ends == "commit" {
            assert_eq!(left, [again, kept[2].clone(), kept[3].clone()]);
            assert_eq!(world.ids(&table).await, [7]);
        } else {
            assert_eq!((left.as_slice(), world.ids(&table).await), (kept.as_slice(), vec![]), "{ends}");
        }
    }
    let mut branch = world.b.begin(&[], None).await.unwrap();
    let there = branch.withdraw(&letters, &ids).await.unwrap();
    assert_eq!(there, 3, "one of the four was withdrawn before");
    branch.rollback().await.unwrap();
}

/// Two transactions take the same letter out: the second waits, and finds it gone once the first has committed.
pub async fn branch_duty_8_a_letter_is_withdrawn_by_one_of_two(fixture: &dyn TargetFixture) {
    for commits in [true, false] {
        let world = World::new(fixture, "two_withdraw").await;
        let part = if commits { "committed" } else { "rolled_back" };
        let (table, letters) = (world.table(part).await, world.name(&format!("l{}", u8::from(commits))));
        let claim = world.claim(part).await;
        let id = [keep(&world, &claim, &table, &letters, 1).await[0].id()];
        let mut first = world.a.begin(&[], None).await.unwrap();
        assert_eq!(first.withdraw(&letters, &id).await.unwrap(), 1);
        let mut taking = pin!(withdraw(&*world.b, &letters, &id));
        let early = until(taking.as_mut(), pin!(world.fixture.settle())).await;
        let ending = async move { if commits { first.commit().await } else { first.rollback().await } };
        let (ended, second) = match early {
            Some(second) => (ending.await, second),
            None => join(pin!(ending), taking).await,
        };
        ended.unwrap();
        let count = match second {
            Ok((branch, count)) => {
                branch.rollback().await.unwrap();
                count
            }
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Retry, "one that met another's lock: {error}");
                let (branch, count) = withdraw(&*world.b, &letters, &id).await.unwrap();
                branch.rollback().await.unwrap();
                count
            }
        };
        assert_eq!(count, u64::from(!commits), "{part}: the letter was withdrawn twice, or by nobody");
    }
}

async fn withdraw(
    target: &dyn Target,
    letters: &TableName,
    ids: &[LetterId],
) -> Result<(Box<dyn Branch>, u64), Error> {
    let mut branch = target.begin(&[], None).await?;
    let count = branch.withdraw(letters, ids).await?;
    Ok((branch, count))
}

/// Pages follow each other by the last id read, whether that letter is still there or not, end by count and by bytes,
/// and hold each letter once, as it was kept.
pub async fn dead_letters_come_in_pages(fixture: &dyn TargetFixture) {
    let world = World::new(fixture, "pages").await;
    let (table, letters) = (world.table("t").await, world.name("letters"));
    let none = world.b.dead_letters(&letters, &LetterPage::first(10)).await.unwrap();
    assert_eq!(none, [], "there is no such table");
    let claims = world.a.claim(&world.request("s", 2)).await.unwrap();
    let mut kept: Vec<DeadLetter> = Vec::new();
    for claim in claims.iter().rev() {
        let far = Claim { position: claim.position + 300, ..claim.clone() };
        for of in [&far, claim] {
            kept.extend([11, 2].map(|ordinal| letter(of, &table, ordinal)));
        }
    }
    let mut branch = world.a.begin(&[&claims[0]], None).await.unwrap();
    branch.dead_letter(&letters, &kept).await.unwrap();
    branch.advance(&claims[0], &to(10)).await.unwrap();
    branch.commit().await.unwrap();
    kept.sort_by_key(DeadLetter::id);

    for letters_max in [1, 3, 8, 100] {
        let mut read: Vec<DeadLetter> = Vec::new();
        loop {
            let after = read.last().map(DeadLetter::id);
            let page = LetterPage { after, ..LetterPage::first(letters_max) };
            let found = world.b.dead_letters(&letters, &page).await.unwrap();
            assert!(found.len() as u64 <= letters_max && read.len() < 100, "{}", found.len());
            if found.is_empty() {
                break;
            }
            read.extend(found);
        }
        assert_eq!(read, kept, "in pages of {letters_max}");
    }

    let row_bytes = kept[0].row.len() as u64;
    for (bytes_max, expected) in [(1, 1), (row_bytes, 1), (row_bytes + 1, 2), (row_bytes * 5, 5)] {
        let page = LetterPage { bytes_max, ..LetterPage::first(100) };
        let found = world.b.dead_letters(&letters, &page).await.unwrap();
        assert_eq!(found, kept[..expected], "in a page of {bytes_max} bytes");
    }

    let after = kept[3].id();
    let mut branch = world.a.begin(&[], None).await.unwrap();
    branch.withdraw(&letters, std::slice::from_ref(&after)).await.unwrap();
    branch.commit().await.unwrap();
    let page = LetterPage { after: Some(after), ..LetterPage::first(2) };
    assert_eq!(world.b.dead_letters(&letters, &page).await.unwrap(), kept[4..6], "behind one that is gone");
}

/// Letters of the claim's position, in a commit of their own.
async fn keep(
    world: &World<'_>,
    claim: &Claim,
    table: &TableName,
    letters: &TableName,
    count: u32,
) -> Vec<DeadLetter> {
    let kept: Vec<DeadLetter> = (0..count).map(|ordinal| letter(claim, table, ordinal)).collect();
    let mut branch = world.a.begin(&[claim], None).await.unwrap();
    branch.dead_letter(letters, &kept).await.unwrap();
    branch.advance(claim, &to(claim.position + 1)).await.unwrap();
    branch.commit().await.unwrap();
    kept
}
