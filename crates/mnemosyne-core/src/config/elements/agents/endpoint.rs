//! What agents of kind `http` are told: the address of their endpoint, and
//! where the key is. The key itself never stands in a configuration.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::{AgentDefinition, AgentKind};
use crate::config::elements::{Validation, placed};
use crate::text::{Finding, name};

/// The way out where something stands in the file that must not.
const NAME_THE_VARIABLE: &str =
    "write the name of a variable such as OPENAI_API_KEY, and set that in the environment of the node";
const EXAMPLE: &str = "write it as https://api.example.org/v1";

impl AgentDefinition {
    /// Checks the keys of endpoints: all that is needed is there, or none of it where it does not fit.
    pub(super) fn validate_endpoint(&self, validation: &mut Validation<'_>) {
        if self.kind != AgentKind::Http {
            self.refuse_endpoint_keys(validation);
            return;
        }
        match &self.base_url {
            None => validation.fail(
                "base_url",
                "is missing: an agent of kind `http` is an endpoint",
                "add base_url = \"https://api.example.org/v1\"",
            ),
            Some(address) => {
                if let Err(Unfit { message, help }) = check_address(address, self.plain_http) {
                    self.refuse_address(validation, &message, help);
                }
            }
        }
        if self.model.is_none() {
            let help = "add model = \"NAME\", as the endpoint calls it";
            validation.fail("model", "is missing: the endpoint must be told which one to ask", help);
        }
        for (key, given) in [("resume", !self.resume.is_empty()), ("env_allow", !self.env_allow.is_empty())] {
            if given {
                let message = "does not fit: an agent of kind `http` is not a program";
                validation.fail(key, message, "remove it, or set kind = \"cli\"");
            }
        }
        self.check_variables(validation);
        for header in self.headers_env.keys().filter(|header| !is_header_name(header)) {
            let message = format!("has {}, which is no name of a header", name(header));
            validation.fail("headers_env", &message, "letters, digits and `-`, as in X-Title");
        }
    }

    /// An address may hold a password, so such a line is not shown.
    fn refuse_address(&self, validation: &mut Validation<'_>, message: &str, help: &str) {
        if self.base_url.as_deref().is_some_and(|address| address.contains('@')) {
            hidden(validation, "base_url", message, help);
        } else {
            validation.fail("base_url", message, help);
        }
    }

    fn check_variables(&self, validation: &mut Validation<'_>) {
        let message = "is not the name of an environment variable";
        if self.api_key_env.as_deref().is_some_and(|variable| !is_variable_name(variable)) {
            hidden(validation, "api_key_env", message, NAME_THE_VARIABLE);
        }
        for (header, _) in self.headers_env.iter().filter(|(_, variable)| !is_variable_name(variable)) {
            let message = format!("of {} {message}", name(header));
            hidden(validation, "headers_env", &message, NAME_THE_VARIABLE);
        }
    }

    fn refuse_endpoint_keys(&self, validation: &mut Validation<'_>) {
        let given = [
            ("base_url", self.base_url.is_some()),
            ("model", self.model.is_some()),
            ("api_key_env", self.api_key_env.is_some()),
            ("system", self.system.is_some()),
            ("temperature", self.temperature.is_some()),
            ("max_tokens", self.max_tokens.is_some()),
            ("headers_env", !self.headers_env.is_empty()),
            ("plain_http", self.plain_http),
        ];
        for (key, _) in given.into_iter().filter(|(_, given)| *given) {
            let message = format!("does not fit: an agent of kind `{}` is not an endpoint", self.kind.as_str());
            validation.fail(key, &message, "remove it, or set kind = \"http\"");
        }
    }
}

/// Complains without showing the line: a secret may stand in it.
fn hidden(validation: &mut Validation<'_>, key: &str, message: &str, help: &str) {
    let finding = Finding::error("config/contradiction", format!("`{}.{key}` {message}", validation.section));
    let place = validation.origins.of(&validation.section);
    validation.findings.push(placed(finding.help(help), &place));
}

/// Why an address cannot be used.
#[derive(Debug)]
struct Unfit {
    message: String,
    help: &'static str,
}

impl Unfit {
    fn new(message: impl Into<String>, help: &'static str) -> Self {
        Self { message: message.into(), help }
    }
}

fn check_address(address: &str, plain_http: bool) -> Result<(), Unfit> {
    let Some((scheme, rest)) = address.split_once("://") else {
        return Err(Unfit::new("is not an address: it has no scheme", EXAMPLE));
    };
    let encrypted = match scheme.to_ascii_lowercase().as_str() {
        "https" => true,
        "http" => false,
        _ => return Err(Unfit::new("is neither an https nor an http address", EXAMPLE)),
    };
    if !address.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(Unfit::new("has a character that addresses do not have", EXAMPLE));
    }
    if address.contains('#') {
        return Err(Unfit::new("has a fragment, which is never sent", "remove `#` and what follows"));
    }
    let authority = rest.split(['/', '?']).next().unwrap_or_default();
    if authority.contains('@') {
        return Err(Unfit::new("holds a user or a password", "remove it, and name the key in api_key_env"));
    }
    let Some(host) = host_of(authority) else {
        return Err(Unfit::new("names no host, or a port that is none", EXAMPLE));
    };
    if !encrypted && !plain_http && !is_loopback(host) {
        return Err(Unfit::new(
            "is not encrypted, so that prompts, answers and the key could be read on the way",
            "use https, or set plain_http = true where you trust the network",
        ));
    }
    Ok(())
}

/// The host of `host`, `host:port`, `[v6]` or `[v6]:port`.
fn host_of(authority: &str) -> Option<&str> {
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let (host, after) = rest.split_once(']')?;
            host.parse::<Ipv6Addr>().ok()?;
            (host, if after.is_empty() { None } else { Some(after.strip_prefix(':')?) })
        }
        None => match authority.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        },
    };
    let fits = port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port > 0));
    (fits && !host.is_empty()).then_some(host)
}

fn is_loopback(host: &str) -> bool {
    let host = host.to_ascii_lowercase();
    host == "localhost"
        || host.ends_with(".localhost")
        || host.parse::<Ipv4Addr>().is_ok_and(|address| address.is_loopback())
        || host.parse::<Ipv6Addr>().is_ok_and(|address| address.is_loopback())
}

/// Whether a text can be the name of an environment variable, by the rule of shells.
fn is_variable_name(text: &str) -> bool {
    let first = text.bytes().next().is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'_');
    first && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

fn is_header_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::resolve;
    use crate::text::Source;

    #[test]
    fn an_address_without_encryption_must_be_of_this_machine() {
        for address in [
            "http://127.0.0.1:8089/v1",
            "http://localhost/v1",
            "http://LOCALHOST:1",
            "http://models.localhost:80",
            "http://[::1]:8089/v1",
            "http://127.9.9.9",
            "https://api.example.org/v1",
            "HTTPS://api.example.org",
            "https://example.org/deployments/d?api-version=1",
        ] {
            assert!(check_address(address, false).is_ok(), "{address}");
        }
        for address in
            ["http://api.example.org/v1", "http://10.0.0.1", "http://127.0.0.1.example.org", "http://[::2]/"]
        {
            let refused = check_address(address, false).expect_err(address);
            assert!(refused.message.contains("not encrypted"), "{address}: {}", refused.message);
            assert!(check_address(address, true).is_ok(), "{address}");
        }
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for address in [
            "",
            "api.example.org",
            "ftp://example.org",
            "https://",
            "https:///v1",
            "https://:443/v1",
            "https://example.org:0",
            "https://example.org:99999",
            "https://example.org:x",
            "https://[::1",
            "https://[::1]x",
            "https://user:secret@example.org",
            "https://example.org/#part",
            "https://exa mple.org",
            "https://example.org/\n",
            "https://exämple.org",
        ] {
            assert!(check_address(address, true).is_err(), "{address:?}");
        }
    }

    /// What is said about an agent with these keys.
    fn said(keys: &str) -> String {
        let file = format!("[agents.far]\n{keys}\n");
        let resolved = resolve(Some(Source::new("mnemosyne.toml", &file)), [], &[]);
        resolved.map_or_else(|report| report.to_string(), |_| String::new())
    }

    #[test]
    fn what_an_endpoint_lacks_is_said_with_the_way_out() {
        let all = "kind = 'http'\nbase_url = 'https://api.example.org/v1'\nmodel = 'small'\n";
        assert_eq!(said(&format!("{all}api_key_env = 'KEY'\nheaders_env = {{ X-Org = 'ORG' }}")), "");
        let nothing = said("kind = 'http'");
        for words in [
            "`agents.far.base_url` is missing: an agent of kind `http` is an endpoint",
            "add base_url = \"https://api.example.org/v1\"",
            "`agents.far.model` is missing",
            "mnemosyne.toml:1:9",
        ] {
            assert!(nothing.contains(words), "{nothing}");
        }
        let plain = said("kind = 'http'\nbase_url = 'http://10.0.0.1/v1'\nmodel = 'm'");
        assert!(plain.contains("set plain_http = true") && plain.contains("mnemosyne.toml:3:1"), "{plain}");
        assert!(said(&format!("{all}temperature = 3")).contains("a number from 0 to 2"));
        assert!(said(&format!("{all}headers_env = {{ 'X Org' = 'ORG' }}")).contains("no name of a header"));
        assert!(said(&format!("{all}resume = ['x', '{{session}}']")).contains("is not a program"));
        let program = said("command = ['x']\nbase_url = 'https://example.org'\nplain_http = true");
        assert!(program.contains("`agents.far.base_url` does not fit: an agent of kind `cli`"), "{program}");
        assert!(program.contains("`agents.far.plain_http` does not fit"), "{program}");
    }

    #[test]
    fn a_secret_in_the_wrong_place_is_not_shown() {
        let with = |line: &str| said(&format!("kind = 'http'\nmodel = 'm'\n{line}"));
        let of_key = with("base_url = 'https://example.org'\napi_key_env = 'sk-secret'");
        assert!(of_key.contains("`agents.far.api_key_env` is not the name"), "{of_key}");
        let of_header = with("base_url = 'https://example.org'\nheaders_env = { X-Key = 'sk-secret' }");
        assert!(of_header.contains("`X-Key` is not the name"), "{of_header}");
        let of_address = with("base_url = 'https://user:sk-secret@example.org'");
        assert!(of_address.contains("holds a user or a password"), "{of_address}");
        for said in [of_key, of_header, of_address] {
            assert!(!said.contains("sk-secret"), "{said}");
        }
    }

    #[test]
    fn a_key_is_no_name_of_a_variable() {
        assert!(["OPENAI_API_KEY", "_K", "k1"].into_iter().all(is_variable_name));
        assert!(["sk-abc", "1K", "", "A=B", "A B"].into_iter().all(|text| !is_variable_name(text)));
    }
}
