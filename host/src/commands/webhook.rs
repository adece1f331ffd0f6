//! `tracejury webhook …`: what receivers need.

use super::bytes;
use crate::cli::{VerifyArgs, WebhookCommand};
use crate::config;
use crate::exit::{Exit, Failure};
use crate::outbox::{Received, Unverified, verify};
use crate::report;

pub(super) fn execute(command: &WebhookCommand) -> Result<Exit, Failure> {
    match command {
        WebhookCommand::Verify(args) => check(args),
    }
}

fn check(args: &VerifyArgs) -> Result<Exit, Failure> {
    let settings = config::load(args.config.as_deref(), |name| std::env::var(name).ok())?;
    let (_, body) = bytes(&args.body)?;
    let received = Received { id: &args.id, timestamp: &args.timestamp, signature: &args.signature, body: &body };
    match verify(&settings.webhook, &received, chrono::Utc::now().timestamp()) {
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
