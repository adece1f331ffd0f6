//! `tracejury simulate`: the debug API on loopback until it is stopped.

use super::read;
use crate::cli::SimulateArgs;
use crate::exit::{Exit, Failure};
use crate::report;
use crate::simulator::{self, Script, Vendor};
use serde_json::json;
use std::net::{Ipv4Addr, SocketAddr};

pub(super) async fn execute(args: SimulateArgs) -> Result<Exit, Failure> {
    let script = match &args.scenario {
        Some(file) => {
            let (name, text) = read(file)?;
            // An error that has a place begins with it.
            let placed =
                |e: String| if e.starts_with(|c: char| c.is_ascii_digit()) { format!("{name}:{e}") } else { format!("{name}: {e}") };
            Script::parse(&text).map_err(|e| Failure::new(Exit::Usage, placed(e), "README, section Simulator, has the format"))?
        }
        None => Script::built_in().map_err(|e| Failure::new(Exit::CouldNotRun, e, "please report this"))?,
    };
    let (client, vendor) = (script.client.clone(), args.profile.unwrap_or(script.profile));
    let script = Script { profile: vendor, ..script };
    let listen = args.port.map_or(args.listen, |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
    let running = simulator::start(listen, script, args.deliveries).await.map_err(|e| {
        Failure::new(Exit::CouldNotRun, format!("{}: cannot be listened on: {e}", listen), "try another --listen; port 0 takes a free one")
    })?;
    // The secret of a simulated client is there to be read.
    let line = json!({"url": running.url, "webhook": running.webhook, "clientId": client.id, "clientSecret": client.secret.expose()});
    report::to_stdout(&line.to_string());
    let (url, id, secret) = (&running.url, &client.id, client.secret.expose());
    report::to_stderr(&match vendor {
        Vendor::Cxone => format!(
            "in another terminal:\n  export CXONE_BASE_URL={url} CXONE_CLIENT_ID={id} CXONE_CLIENT_SECRET={secret}\n  tracejury run vectors.json\nCtrl-C ends it"
        ),
        Vendor::Genesys => format!(
            "in another terminal, with profile = \"genesys\" under [api] in tracejury.toml:\n  export TRACEJURY_BASE_URL={url} TRACEJURY_LOGIN_URL={url} TRACEJURY_CLIENT_ID={id} TRACEJURY_CLIENT_SECRET={secret}\n  tracejury run vectors.json\nCtrl-C ends it"
        ),
    });
    let _ = tokio::signal::ctrl_c().await;
    Ok(Exit::AsExpected)
}
