//! `tracejury webhook …`: deliveries looked after, and one checked as a receiver should.

use super::{at, bytes, journal, records, trust};
use crate::cli::{FlushArgs, ListArgs, PurgeArgs, ReplayArgs, ShowArgs, VerifyArgs, WebhookCommand};
use crate::config::{self, Settings, Webhook};
use crate::exit::{Exit, Failure};
use crate::model::{RunId, printable};
use crate::outbox::{Courier, Outbox, Received, Unverified, verify};
use crate::report::{self, Format, plain_table, plural};
use crate::store::{Delivery, DeliveryState, Lease, Pick, now};
use serde_json::{Value, json};

pub(super) async fn execute(command: WebhookCommand) -> Result<Exit, Failure> {
    match command {
        WebhookCommand::List(args) => list(&args).await,
        WebhookCommand::Show(args) => show(&args).await,
        WebhookCommand::Replay(args) => replay(&args).await,
        WebhookCommand::Purge(args) => purge(&args).await,
        WebhookCommand::Flush(args) => flush(&args).await,
        WebhookCommand::Verify(args) => check(&args),
    }
}

async fn list(args: &ListArgs) -> Result<Exit, Failure> {
    let settings = records(&args.records)?;
    let store = journal(&settings)?;
    let states = if args.all { Vec::new() } else { vec![DeliveryState::Waiting, DeliveryState::Dead] };
    let deliveries = store.deliveries(&Pick { states, endpoint: args.endpoint.clone(), ..Pick::default() }).await?;
    if args.records.format == Format::Json {
        deliveries.iter().for_each(|delivery| report::to_stdout(&line(delivery).to_string()));
        return Ok(Exit::AsExpected);
    }
    if deliveries.is_empty() {
        report::to_stderr(if args.all { "no delivery yet" } else { "nothing waits, and there is no dead letter" });
        return Ok(Exit::AsExpected);
    }
    let row = |delivery: &Delivery| {
        let next = if delivery.state == DeliveryState::Waiting { at(delivery.due) } else { "–".to_owned() };
        let why = delivery.why.as_deref().map_or_else(|| "–".to_owned(), printable);
        let Delivery { parcel, attempts, .. } = delivery;
        vec![parcel.id.clone(), parcel.endpoint.clone(), delivery.state.as_str().to_owned(), attempts.to_string(), next, why]
    };
    report::to_stdout(&plain_table(&["ID", "ENDPOINT", "STATE", "ATTEMPTS", "NEXT", "LAST"], deliveries.iter().map(row)));
    let known = settings.webhook.all();
    let unknown: std::collections::BTreeSet<_> = deliveries
        .iter()
        .filter(|delivery| delivery.state == DeliveryState::Waiting)
        .map(|delivery| &delivery.parcel.endpoint)
        .filter(|name| !known.contains_key(*name))
        .collect();
    for name in unknown {
        report::warn(
            &format!("no endpoint of the settings is named {name}"),
            "name it in [webhook.endpoints], or `tracejury webhook purge --endpoint NAME --waiting --older-than 0s`",
        );
    }
    Ok(Exit::AsExpected)
}

fn line(delivery: &Delivery) -> Value {
    let waiting = delivery.state == DeliveryState::Waiting;
    json!({
        "schema": 1, "id": delivery.parcel.id, "endpoint": delivery.parcel.endpoint, "run": delivery.run, "made": at(delivery.made),
        "state": delivery.state.as_str(), "attempts": delivery.attempts, "next": waiting.then(|| at(delivery.due)), "last": delivery.why,
    })
}

async fn show(args: &ShowArgs) -> Result<Exit, Failure> {
    let store = journal(&records(&args.records)?)?;
    let deliveries = store.deliveries(&Pick { id: Some(args.id.clone()), ..Pick::default() }).await?;
    if deliveries.is_empty() {
        return Err(no_such(&args.id));
    }
    for delivery in deliveries {
        let attempts = store.attempts(&delivery.parcel).await?;
        if args.records.format == Format::Json {
            let tried = attempts.iter().map(|tried| {
                json!({"began": at(tried.began), "tookMs": u64::try_from(tried.took.as_millis()).ok(), "status": tried.status, "why": tried.why})
            });
            let mut shown = line(&delivery);
            if let Some(fields) = shown.as_object_mut() {
                fields.insert("tried".to_owned(), tried.collect());
                fields.insert("body".to_owned(), serde_json::from_str(&delivery.parcel.body).unwrap_or_default());
            }
            report::to_stdout(&shown.to_string());
            continue;
        }
        report::to_stdout(&format!("{} to {}: {}", delivery.parcel.id, delivery.parcel.endpoint, delivery.state.as_str()));
        for tried in attempts {
            let said = tried.why.as_deref().map_or_else(|| "delivered".to_owned(), printable);
            report::to_stdout(&format!("  {}  {} ms  {said}", at(tried.began), tried.took.as_millis()));
        }
        report::to_stdout(&printable(&delivery.parcel.body));
    }
    Ok(Exit::AsExpected)
}

async fn replay(args: &ReplayArgs) -> Result<Exit, Failure> {
    let store = journal(&records(&args.records)?)?;
    let states = if args.dead { vec![DeliveryState::Dead] } else { Vec::new() };
    let replayed = store.replay(&Pick { id: args.id.clone(), endpoint: args.endpoint.clone(), states, before: None }).await?;
    match (&args.id, replayed) {
        (Some(id), 0) => return Err(no_such(id)),
        (None, 0) => report::to_stdout("there is no dead letter"),
        _ => report::to_stdout(&format!("{} due now; `tracejury webhook flush` or the next run tries", plural(replayed, "delivery"))),
    }
    Ok(Exit::AsExpected)
}

fn no_such(id: &str) -> Failure {
    Failure::new(Exit::Usage, format!("there is no delivery {}", printable(id)), "`tracejury webhook list --all` shows those there are")
}

async fn purge(args: &PurgeArgs) -> Result<Exit, Failure> {
    let store = journal(&records(&args.records)?)?;
    let age = i64::try_from(args.older_than.as_millis()).unwrap_or(i64::MAX);
    let states = if args.waiting { Vec::new() } else { vec![DeliveryState::Delivered, DeliveryState::Dead] };
    let endpoint = args.endpoint.clone();
    let purged = store.forget_deliveries(&Pick { states, endpoint, before: Some(now().saturating_sub(age)), ..Pick::default() }).await?;
    report::to_stdout(&format!("{} forgotten", plural(purged, "delivery")));
    Ok(Exit::AsExpected)
}

async fn flush(args: &FlushArgs) -> Result<Exit, Failure> {
    let settings = records(&args.records)?;
    let outbox = outbox(&settings)?;
    let store = journal(&settings)?;
    if args.now {
        store.hasten().await?;
    }
    // Claims are told from those of the dead by a lease.
    let own = RunId::new();
    let _lease = Lease::take(store.path(), &own)?;
    let (mut delivered, mut failed) = (0, 0);
    // Many take longer than the grace: as long as something is due and gets somewhere, it goes on.
    loop {
        let counts = Courier::start(&outbox, &store, &own, None).finish(outbox.grace(), std::future::pending()).await;
        (delivered, failed) = (delivered + counts.delivered, failed + counts.failed);
        if counts.delivered == 0 {
            break;
        }
    }
    let left = store.waiting().await?;
    report::to_stdout(&format!("{delivered} delivered, {} failed, {left} waiting", plural(failed, "attempt")));
    Ok(if failed == 0 { Exit::AsExpected } else { Exit::Unexpected })
}

fn outbox(settings: &Settings) -> Result<Outbox, Failure> {
    let outbox = Outbox::new(&settings.webhook, &trust(settings)?.anonymous())?;
    match outbox.is_empty() {
        true => Err(Failure::new(Exit::Usage, "no endpoint is set", "set WEBHOOK_URL, or [webhook] in tracejury.toml")),
        false => Ok(outbox),
    }
}

fn check(args: &VerifyArgs) -> Result<Exit, Failure> {
    let mut settings = config::load(args.config.as_deref(), |name| std::env::var(name).ok())?.webhook;
    if let Some(name) = &args.endpoint {
        let own = settings.endpoints.remove(name).ok_or_else(|| {
            Failure::new(Exit::Usage, format!("webhook.endpoints: none is named {name}"), "leave --endpoint out for that of [webhook]")
        })?;
        settings = Webhook { secret: own.secret, previous_secrets: own.previous_secrets, ..settings };
    }
    let (_, body) = bytes(&args.body)?;
    let received = Received { id: &args.id, timestamp: &args.timestamp, signature: &args.signature, body: &body };
    match verify(&settings, &received, chrono::Utc::now().timestamp()) {
        Ok(()) => {
            report::to_stdout("the delivery is what it says");
            Ok(Exit::AsExpected)
        }
        Err(Unverified::Delivery(what)) => {
            report::to_stdout(&format!("not to be trusted: {what}"));
            Ok(Exit::Unexpected)
        }
        Err(Unverified::Settings(what)) => {
            Err(Failure::new(Exit::Usage, what, "set WEBHOOK_SECRET to the secret that deliveries are signed with"))
        }
    }
}
