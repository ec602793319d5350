//! Target duties 1 and 4, the ledger, and S7.
#![allow(clippy::unwrap_used, clippy::expect_used)] // A case fails by panicking.

use standpipe_core::{
    Advance, Claim, ClaimRequest, Error, LEDGER_FORMAT, LedgerRow, SourceId, StreamId, Target, Window,
};

use super::{
    TargetFixture,
    world::{ORIGIN, World, apply, batch, only, to},
};

/// Each lane of a stream that nobody claimed before has a row, at the request's origin and epoch 1.
pub async fn target_duty_1_a_new_stream_gets_its_lanes_at_the_origin(fixture: &dyn TargetFixture) {
    let world = World::new(fixture, "new_stream").await;
    let request = ClaimRequest { origin: 40, owner: "host 1".into(), ..world.request("s", 3) };
    let claims = world.a.claim(&request).await.unwrap();
    let lanes: Vec<u32> = claims.iter().map(|claim| claim.lane.lane).collect();
    assert_eq!(lanes, [0, 1, 2], "the claims come in the order of their lanes");
    for claim in &claims {
        assert_eq!((claim.epoch, claim.position, claim.lanes), (1, 40, 3));
        assert_eq!(claim.lane.stream, request.stream);
        assert_eq!(claim.source_position, "");
    }
    let rows = world.ledger("s").await;
    assert_eq!(rows.len(), 3);
    for (lane, row) in (0..).zip(&rows) {
        assert_eq!(row.lane.lane, lane);
        assert_eq!((row.epoch, row.position, row.lanes, row.complete), (1, 40, 3, false));
        assert_eq!((row.format, row.owner.as_str()), (LEDGER_FORMAT, "host 1"));
        assert_eq!(row.source, request.source);
    }
    let unnamed = ClaimRequest { lanes: None, ..request };
    assert_eq!(world.b.claim(&unnamed).await.unwrap().len(), 3, "the ledger knows the number of lanes");
}

/// The next claim has the next epoch and the positions of the last, and leaves its owner's name.
pub async fn target_duty_1_a_claim_raises_the_epoch_and_names_its_owner(fixture: &dyn TargetFixture) {
    let world = World::new(fixture, "raise_epoch").await;
    for epoch in 1..=3_u64 {
        let request =
            ClaimRequest { owner: format!("run {epoch} of 'me' \u{00fc}"), ..world.request("s", 2) };
        let claims = world.b.claim(&request).await.unwrap();
        assert!(claims.iter().all(|claim| claim.epoch == epoch && claim.position == ORIGIN), "{claims:?}");
        let rows = world.ledger("s").await;
        assert!(rows.iter().all(|row| row.epoch == epoch && row.owner == request.owner), "{rows:?}");
    }
}

/// `WrongSource`, `Gap`, `Ahead` and `Lanes` come by name and leave the ledger, and whoever owns the stream, alone.
pub async fn target_duty_1_a_refused_claim_writes_nothing(fixture: &dyn TargetFixture) {
    let world = World::new(fixture, "refused_claim").await;
    let table = world.table("t").await;
    let mut claim = world.claim("s").await;
    apply(&*world.a, &batch(&claim.lane, &table, &[&[1]]), &mut claim, 50).await.unwrap();
    let before = world.ledger("s").await;
    let plain = world.request("s", 1);
    let window = |start, end| Window { start, end, floors: Vec::new() };

    let request = ClaimRequest { source: SourceId::new("log:other").unwrap(), ..plain.clone() };
    let refused = world.b.claim(&request).await;
    assert!(matches!(refused, Err(Error::WrongSource { .. })), "{refused:?}");
    unchanged(&world, &before, "WrongSource").await;

    let request = ClaimRequest { window: window(60, 100), ..plain.clone() };
    let refused = world.b.claim(&request).await;
    assert!(matches!(refused, Err(Error::Gap { from: 50, to: 60, .. })), "{refused:?}");
    unchanged(&world, &before, "Gap").await;

    let request = ClaimRequest { window: window(1, 49), ..plain.clone() };
    let refused = world.b.claim(&request).await;
    assert!(matches!(refused, Err(Error::Ahead { position: 50, end: 49, .. })), "{refused:?}");
    unchanged(&world, &before, "Ahead").await;

    let refused = world.b.claim(&ClaimRequest { lanes: Some(2), ..plain.clone() }).await;
    assert!(matches!(refused, Err(Error::Lanes { ledger: 1, asked: 2, .. })), "{refused:?}");
    unchanged(&world, &before, "Lanes").await;

    let refused = world.b.claim(&world.request("none", 0)).await;
    assert!(refused.is_err(), "a stream has at least one lane: {refused:?}");
    assert!(world.ledger("none").await.is_empty());

    apply(&*world.a, &batch(&claim.lane, &table, &[&[2]]), &mut claim, 60)
        .await
        .expect("the owner is still the owner");
}

async fn unchanged(world: &World<'_>, before: &[LedgerRow], after: &str) {
    assert_eq!(world.ledger("s").await, before, "a claim refused for {after} changed the ledger");
}

/// Every lane complete: no claims, and not even `updated_at` moves. With `reopen` it goes on where it was.
pub async fn target_duty_1_a_complete_source_is_left_alone_until_reopened(fixture: &dyn TargetFixture) {
    let world = World::new(fixture, "complete").await;
    let claims = world.a.claim(&world.request("s", 2)).await.unwrap();
    finish(&*world.a, &claims[0]).await;
    let taken = world.b.claim(&world.request("s", 2)).await.unwrap();
    assert_eq!(taken.len(), 2, "one lane of two is complete, so the source is not");
    assert!(world.ledger("s").await.iter().all(|row| !row.complete), "taking a stream clears `complete`");
    finish(&*world.b, &taken[0]).await;
    finish(&*world.b, &taken[1]).await;
    let before = world.ledger("s").await;
    assert!(before.iter().all(|row| row.complete), "{before:?}");

    let claims = world.a.claim(&world.request("s", 2)).await.unwrap();
    assert_eq!(claims, [], "nothing is left to claim");
    assert_eq!(world.ledger("s").await, before, "S7: looking at a complete source moved its bookmark");

    let request = ClaimRequest { reopen: true, ..world.request("s", 2) };
    let claims = world.a.claim(&request).await.unwrap();
    assert_eq!(claims.len(), 2);
    assert!(claims.iter().all(|claim| claim.position == 90 && claim.epoch == 3), "{claims:?}");
    assert!(world.ledger("s").await.iter().all(|row| !row.complete));
}

async fn finish(target: &dyn Target, claim: &Claim) {
    let mut branch = target.begin(&[claim], None).await.unwrap();
    branch.advance(claim, &Advance { complete: true, ..to(90) }).await.unwrap();
    branch.commit().await.unwrap();
}

/// What was committed last is what the next owner is told.
pub async fn target_duty_4_a_claims_position_is_what_the_last_commit_said(fixture: &dyn TargetFixture) {
    let world = World::new(fixture, "last_position").await;
    let table = world.table("t").await;
    let mut claim = world.claim("s").await;
    for (id, end) in [(1, 10), (2, 10), (3, u64::from(u32::MAX) + 7), (4, i64::MAX as u64)] {
        apply(&*world.a, &batch(&claim.lane, &table, &[&[id]]), &mut claim, end).await.unwrap();
        let next = world.take_over("s").await;
        assert_eq!((next.position, &next.source_position), (end, &claim.source_position));
        claim = next;
    }
    assert_eq!(world.ids(&table).await, [1, 2, 3, 4]);
}

/// S7: long ids, quotes, other scripts, and ids that differ in case, blanks or form only.
pub async fn s7_stream_ids_of_any_text_never_meet(fixture: &dyn TargetFixture) {
    let world = World::new(fixture, "stream_ids").await;
    let suffix = fixture.suffix();
    let long = |fill: &str, last: &str| {
        let room = StreamId::BYTES_MAX - last.len() - suffix.len();
        let fill: String =
            fill.chars().cycle().take(room / fill.chars().next().unwrap().len_utf8()).collect();
        format!("{suffix}{fill}{last}")
    };
    let ids = [
        long("x", "a"),
        long("x", "b"),
        long("\u{1f6b0}", "a"),
        long("\u{1f6b0}", "b"),
        format!("{suffix}ids"),
        format!("{suffix}IDS"),
        format!("{suffix}ids "),
        format!("{suffix} ids"),
        format!("{suffix}ids'; DROP TABLE standpipe_ledger; --"),
        format!("{suffix}ids\"`[]\\%_$1?:x"),
        format!("{suffix}ids\n\t\r"),
        format!("{suffix}id\u{e9}"),
        format!("{suffix}ide\u{301}"),
        format!("{suffix}ide"),
        format!("{suffix}stra\u{df}e"),
        format!("{suffix}strasse"),
    ];
    let mut claims = Vec::new();
    for (number, id) in (1_u64..).zip(&ids) {
        let stream = StreamId::new(id.as_str()).unwrap();
        let claim = only(
            world.a.claim(&ClaimRequest { stream, origin: number, ..world.request("s", 1) }).await.unwrap(),
        );
        assert_eq!(
            (claim.epoch, claim.position),
            (1, number),
            "stream {number}, of {} bytes, met another one",
            id.len()
        );
        assert_eq!(claim.lane.stream.as_str(), id, "the id comes back as it was given");
        claims.push(claim);
    }
    for (number, claim) in (1_u64..).zip(&claims) {
        let rows = world.b.ledger(Some(&claim.lane.stream)).await.unwrap();
        assert_eq!(rows.len(), 1, "{:?}", claim.lane.stream);
        assert_eq!((&rows[0].lane, rows[0].position), (&claim.lane, number));
        let mut branch = world.a.begin(&[claim], None).await.unwrap();
        branch.advance(claim, &to(number + 100)).await.unwrap();
        branch.commit().await.unwrap();
        assert_eq!(world.b.ledger(Some(&claim.lane.stream)).await.unwrap()[0].position, number + 100);
    }
}

/// S7: what the source remembers, its id and the owner are text of any length and kind.
pub async fn s7_source_positions_of_any_text_come_back(fixture: &dyn TargetFixture) {
    let world = World::new(fixture, "source_positions").await;
    let request = ClaimRequest {
        source: SourceId::new(format!("file:{}'\"\u{e9}", "y".repeat(1000))).unwrap(),
        owner: format!("host {} '\"", "z".repeat(2000)),
        ..world.request("s", 1)
    };
    let mut claim = only(world.a.claim(&request).await.unwrap());
    for (end, text) in
        (2..).zip(["", " ", "byte 17, line 3", "'; --", "{\"a\":\"\u{1f6b0}\\n\"}", &"p".repeat(10_000)])
    {
        let mut branch = world.a.begin(&[&claim], None).await.unwrap();
        let step = Advance { position: end, source_position: text.to_owned(), complete: false };
        branch.advance(&claim, &step).await.unwrap();
        branch.commit().await.unwrap();
        claim = only(world.a.claim(&request).await.unwrap());
        assert_eq!((claim.position, claim.source_position.as_str()), (end, text));
    }
    let row = &world.ledger("s").await[0];
    assert_eq!((&row.source, &row.owner), (&request.source, &request.owner));
}

/// `ledger` names every stream and lane in order, or those of one stream, and is only a look.
pub async fn ledger_lists_streams_in_order_and_changes_nothing(fixture: &dyn TargetFixture) {
    let world = World::new(fixture, "ledger_order").await;
    assert!(world.ledger("absent").await.is_empty());
    for (part, lanes) in [("b", 2), ("a", 12), ("c", 1)] {
        world.a.claim(&world.request(part, lanes)).await.unwrap();
    }
    let all = world.b.ledger(None).await.unwrap();
    let ours = [world.stream("a"), world.stream("b"), world.stream("c")];
    let listed: Vec<_> = all
        .iter()
        .filter(|row| ours.contains(&row.lane.stream))
        .map(|row| (row.lane.stream.clone(), row.lane.lane))
        .collect();
    let mut sorted = listed.clone();
    sorted.sort();
    assert_eq!(listed.len(), 15);
    assert_eq!(listed, sorted, "ordered by stream and lane, the lanes as numbers");
    assert_eq!(world.ledger("a").await.len(), 12);
    assert_eq!(world.b.ledger(None).await.unwrap(), all, "looking changed the ledger");
}
