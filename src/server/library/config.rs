//! The configuration as anyone may read it.

use reqwest::Url;
use serde_json::Value;

use crate::app::config::Config;
use crate::server::tool::ToolError;

/// The configuration in force, secrets taken out: the path of a webhook's address is one.
pub(super) fn shown(config: &Config) -> Result<Value, ToolError> {
    let mut shown = config.clone();
    for webhook in &mut shown.monitoring.alert_webhooks {
        *webhook = host_of(webhook);
    }
    for base in [
        &mut shown.venue.gamma_url,
        &mut shown.venue.clob_url,
        &mut shown.venue.data_url,
    ] {
        *base = without_login(base);
    }
    serde_json::to_value(shown).map_err(|error| ToolError::internal(error.to_string()))
}

/// `https://hooks.example/***`; `***` for what is no address.
fn host_of(webhook: &str) -> String {
    let url = Url::parse(webhook.trim()).ok();
    let shown = url.as_ref().and_then(|url| {
        let host = url.host_str()?;
        Some(format!("{}://{host}/***", url.scheme()))
    });
    shown.unwrap_or_else(|| "***".to_owned())
}

/// The address as configured, unless it holds a user name, a password or a query.
fn without_login(address: &str) -> String {
    match Url::parse(address) {
        Ok(url)
            if url.username().is_empty() && url.password().is_none() && url.query().is_none() =>
        {
            address.to_owned()
        }
        _ => host_of(address),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_taken_out_and_the_rest_is_kept() {
        let mut config = Config::default();
        let hooks = [
            "https://user:pw@hooks.example:8443/services/T0KEN?key=T0KEN2#T0KEN3",
            "not an address with T0KEN",
        ];
        config.monitoring.alert_webhooks = hooks.map(str::to_owned).to_vec();
        config.venue.data_url = "http://someone:T0KEN@127.0.0.1:9".to_owned();
        config.poll_interval = 77;
        let value = shown(&config).unwrap();
        let text = value.to_string();
        assert!(!text.contains("T0KEN") && !text.contains("pw"), "{text}");
        assert_eq!(
            value["monitoring"]["alert_webhooks"],
            serde_json::json!(["https://hooks.example/***", "***"])
        );
        assert_eq!(value["venue"]["data_url"], "http://127.0.0.1/***");
        assert_eq!(value["venue"]["gamma_url"], config.venue.gamma_url);
        assert_eq!(value["poll_interval"], 77);
        assert_eq!(value["mode"], "paper");
    }
}
