use standpipe::{
    Sqlite, TargetUrl,
    core::{Finding, FindingLevel},
    open_target, sqlite,
};

use crate::{
    args::DoctorArgs,
    exit::{Exit, Failure},
    load::runtime,
    output,
};

/// `standpipe doctor URL`: what the target's settings mean for what is promised.
pub(crate) fn run(args: &DoctorArgs) -> Result<Exit, Failure> {
    let url: TargetUrl =
        args.url.parse().map_err(|error: standpipe::Error| Failure::usage(error.to_string()))?;
    let findings = runtime()?.block_on(examine(&url))?;
    let rows: Vec<Vec<String>> = findings
        .iter()
        .map(|finding| vec![finding.level.to_string(), finding.subject.clone(), finding.message.clone()])
        .collect();
    output::say(output::table(&["level", "what", "found"], &rows));
    let broken = findings.iter().filter(|finding| finding.level == FindingLevel::Broken).count();
    if broken > 0 {
        return Err(Failure::refused(format!("{url}: {broken} of {} checks are broken", findings.len())));
    }
    Ok(Exit::Applied)
}

async fn examine(url: &TargetUrl) -> Result<Vec<Finding>, Failure> {
    match url {
        // Looks at what cannot be opened, too.
        TargetUrl::Sqlite(path) => Ok(Sqlite::examine(path, sqlite::Settings::default()).await?),
        url => {
            let target = open_target(url, false).await?;
            let findings = target.doctor().await?;
            target.close().await?;
            Ok(findings)
        }
    }
}
