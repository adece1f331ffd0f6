//! Where deliveries may go. The endpoint's address comes out of a file or a variable, and its answers are told to whoever runs this: without
//! a guard it could be used to look around in the network that this program runs in.

use crate::config::Webhook;
use crate::http::{Http, Trust, check_literal, is_loopback, proxy_for};

/// The client for an endpoint, if it may be delivered to.
///
/// # Errors
/// The setting that stands against it.
pub(super) fn client(url: &reqwest::Url, settings: &Webhook, trust: &Trust, max_answer: usize) -> Result<Http, String> {
    let (timeout, private) = (settings.timeout.duration(), settings.allow_private_targets);
    let unusable = |e: crate::http::CallError| format!("url: {e}");
    // An address in the own network is told of first: with leave for that, plain http will do on this machine.
    if !private {
        check_literal(url).map_err(|e| format!("url: {e}; set webhook.allow_private_targets where that is meant"))?;
    }
    if url.scheme() == "http" && !settings.allow_http && !(private && is_loopback(url)) {
        return Err("url is plain http: error texts and ids would be readable on the way; use https, or set webhook.allow_http".to_owned());
    }
    // Behind a proxy it is the proxy that looks a name up, and says where it may connect.
    if private || proxy_for(url).is_some() {
        return Http::new(timeout, max_answer, trust).map_err(unusable);
    }
    Http::to_the_public(timeout, max_answer, trust).map_err(unusable)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(url: &str, allow_http: bool, allow_private_targets: bool) -> Option<String> {
        let settings = Webhook { allow_http, allow_private_targets, ..Webhook::default() };
        client(&reqwest::Url::parse(url).unwrap(), &settings, &Trust::default(), 1).err()
    }

    #[test]
    fn plain_http_and_private_targets_need_a_word() {
        assert!(refused("https://hooks.example.com/x", false, false).is_none());
        assert!(refused("http://hooks.example.com/x", false, true).unwrap().contains("webhook.allow_http"));
        assert!(refused("http://hooks.example.com/x", true, false).is_none());
        let metadata = refused("https://169.254.169.254/latest", true, false).unwrap();
        assert_eq!(
            metadata,
            "url: 169.254.169.254 is at 169.254.169.254, which is a cloud's metadata service; set webhook.allow_private_targets where that is meant"
        );
        assert!(refused("https://[::ffff:10.0.0.1]/", false, false).is_some() && refused("https://2130706433/", false, false).is_some());
        assert!(
            refused("http://127.0.0.1:1/", false, false).unwrap().contains("webhook.allow_private_targets"),
            "the one word that will do"
        );
        assert!(refused("http://127.0.0.1:1/", false, true).is_none() && refused("http://10.0.0.1/", false, true).is_some());
    }
}
