//! `tracejury simulate`: the debug API on loopback until it is stopped.

use super::read;
use crate::cli::SimulateArgs;
use crate::exit::{Exit, Failure};
use crate::report;
use crate::simulator::{self, Script};
use serde_json::json;

pub(super) async fn execute(args: SimulateArgs) -> Result<Exit, Failure> {
    let script = match &args.scenario {
        Some(file) => {
            let (name, text) = read(file)?;
            Script::parse(&text)
                .map_err(|e| Failure::new(Exit::Usage, format!("{name}: {e}"), "README, section Simulator, has the format"))?
        }
        None => Script::built_in().map_err(|e| Failure::new(Exit::CouldNotRun, e, "please report this"))?,
    };
    let client = script.client.clone();
    let running = simulator::start(args.listen, script, args.deliveries).await.map_err(|e| {
        Failure::new(
            Exit::CouldNotRun,
            format!("{}: cannot be listened on: {e}", args.listen),
            "try another --listen; port 0 takes a free one",
        )
    })?;
    // The secret of a simulated client is there to be read.
    let line = json!({"url": running.url, "webhook": running.webhook, "clientId": client.id, "clientSecret": client.secret.expose()});
    report::to_stdout(&line.to_string());
    report::to_stderr(&format!(
        "in another terminal:\n  export CXONE_BASE_URL={} CXONE_CLIENT_ID={} CXONE_CLIENT_SECRET={}\n  tracejury run vectors.json\nCtrl-C ends it",
        running.url,
        client.id,
        client.secret.expose()
    ));
    let _ = tokio::signal::ctrl_c().await;
    Ok(Exit::AsExpected)
}
