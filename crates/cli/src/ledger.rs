use standpipe::{TargetUrl, core::LedgerRow, open_target};

use crate::{
    args::LedgerArgs,
    exit::{Exit, Failure},
    load::runtime,
    output, size,
};

/// `standpipe ledger URL`: how far every stream has come.
pub(crate) fn run(args: &LedgerArgs) -> Result<Exit, Failure> {
    let url: TargetUrl =
        args.url.parse().map_err(|error: standpipe::Error| Failure::usage(error.to_string()))?;
    let rows = runtime()?.block_on(async {
        let target = open_target(&url, false).await?;
        let rows = target.ledger(None).await?;
        target.close().await?;
        Ok::<_, Failure>(rows)
    })?;
    if args.json {
        for row in &rows {
            output::say(json(row));
        }
        return Ok(Exit::Applied);
    }
    if rows.is_empty() {
        output::say(format!("{url} has no ledger yet: nothing was loaded into it by standpipe"));
        return Ok(Exit::Applied);
    }
    let cells: Vec<Vec<String>> = rows.iter().map(cells).collect();
    let header = ["stream", "lane", "epoch", "position", "complete", "source", "updated", "owner"];
    output::say(output::table(&header, &cells));
    Ok(Exit::Applied)
}

fn cells(row: &LedgerRow) -> Vec<String> {
    vec![
        row.lane.stream.to_string(),
        format!("{}/{}", row.lane.lane, row.lanes),
        row.epoch.to_string(),
        size::count(row.position),
        if row.complete { "yes" } else { "no" }.to_owned(),
        row.source.to_string(),
        row.updated_at.clone(),
        row.owner.clone(),
    ]
}

fn json(row: &LedgerRow) -> serde_json::Value {
    serde_json::json!({
        "stream": row.lane.stream.as_str(),
        "lane": row.lane.lane,
        "lanes": row.lanes,
        "epoch": row.epoch,
        "position": row.position,
        "source": row.source.as_str(),
        "source_position": row.source_position,
        "complete": row.complete,
        "format": row.format,
        "owner": row.owner,
        "updated_at": row.updated_at,
    })
}
