//! What is sent: where to, with which headers, and the body.

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{
    ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST, HeaderMap, HeaderName, HeaderValue, USER_AGENT,
};
use hyper::{Request, Uri};
use serde_json::{Value, json};

use super::{ChatEndpoint, Failure};
use crate::conclusion::Verdict;

/// How we call ourselves.
const AGENT: &str = concat!("mnemosyne/", env!("CARGO_PKG_VERSION"));

/// Where a request goes to.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) encrypted: bool,
    /// Without the brackets of an IPv6 address.
    pub(super) host: String,
    pub(super) port: u16,
    /// Host and port as they stand in the address.
    authority: String,
    path: String,
}

impl Target {
    /// Takes the base address of an endpoint apart.
    pub(super) fn of(base_url: &str) -> Result<Self, Failure> {
        let wrong = |what: &str| Failure::new(Verdict::Failed, format!("the base_url of the agent {what}"));
        let uri: Uri = base_url.parse().map_err(|error| wrong(&format!("is not an address: {error}")))?;
        let encrypted = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(wrong("is neither an http nor an https address")),
        };
        let (Some(host), Some(authority)) = (uri.host(), uri.authority()) else {
            return Err(wrong("names no host"));
        };
        let query = uri.query().map(|query| format!("?{query}")).unwrap_or_default();
        Ok(Self {
            encrypted,
            host: host.trim_start_matches('[').trim_end_matches(']').to_owned(),
            port: authority.port_u16().unwrap_or(if encrypted { 443 } else { 80 }),
            authority: authority.host().to_owned()
                + &authority.port().map(|port| format!(":{port}")).unwrap_or_default(),
            path: format!("{}/chat/completions{query}", uri.path().trim_end_matches('/')),
        })
    }

    /// Host and path, for people.
    pub(super) fn shown(&self) -> String {
        let scheme = if self.encrypted { "https" } else { "http" };
        format!("{scheme}://{}{}", self.authority, self.path)
    }

    /// The request of a turn.
    pub(super) fn request(
        &self,
        endpoint: &ChatEndpoint,
        body: &Value,
    ) -> Result<Request<Full<Bytes>>, Failure> {
        let mut request = Request::new(Full::new(Bytes::from(body.to_string())));
        *request.method_mut() = hyper::Method::POST;
        let unfit =
            |error: &dyn std::fmt::Display| Failure::new(Verdict::Failed, format!("the request: {error}"));
        *request.uri_mut() = self.path.parse().map_err(|error| unfit(&error))?;
        *request.headers_mut() = headers(endpoint)?;
        let host = HeaderValue::from_str(&self.authority).map_err(|error| unfit(&error))?;
        request.headers_mut().insert(HOST, host);
        Ok(request)
    }
}

fn headers(endpoint: &ChatEndpoint) -> Result<HeaderMap, Failure> {
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(ACCEPT, HeaderValue::from_static("text/event-stream, application/json"));
    headers.insert(USER_AGENT, HeaderValue::from_static(AGENT));
    if let Some(key) = &endpoint.key {
        let value = secret_value(&format!("Bearer {}", key.expose()));
        headers.insert(AUTHORIZATION, value.ok_or_else(|| bad_value(endpoint.key_variable.as_deref()))?);
    }
    for (name, value) in &endpoint.headers {
        let known: HeaderName = name.parse().map_err(|_| bad_value(Some(name)))?;
        headers.insert(known, secret_value(value.expose()).ok_or_else(|| bad_value(Some(name)))?);
    }
    Ok(headers)
}

fn secret_value(text: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(text).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// Says where the value came from, and not what it is.
fn bad_value(name: Option<&str>) -> Failure {
    let of = name.map(|name| format!(" of {name}")).unwrap_or_default();
    Failure::new(Verdict::Login, format!("the value{of} has characters that a header cannot have"))
}

/// The body of a request, which is also what the transcript shows of it.
pub(super) fn body(endpoint: &ChatEndpoint, prompt: &str) -> Value {
    let mut messages = Vec::new();
    if let Some(system) = &endpoint.system {
        messages.push(json!({ "role": "system", "content": system }));
    }
    messages.push(json!({ "role": "user", "content": prompt }));
    let mut body = json!({
        "model": endpoint.model,
        "messages": messages,
        "stream": true,
        "stream_options": { "include_usage": true },
    });
    if let Some(temperature) = endpoint.temperature {
        body["temperature"] = json!(temperature);
    }
    if let Some(tokens) = endpoint.max_tokens {
        body["max_tokens"] = json!(tokens);
    }
    body
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_goes_on_where_the_base_ends() {
        let of = |address: &str| {
            let target = Target::of(address).expect("an address");
            (target.shown(), target.host, target.port)
        };
        assert_eq!(
            of("https://api.example.org/v1/"),
            ("https://api.example.org/v1/chat/completions".to_owned(), "api.example.org".to_owned(), 443)
        );
        assert_eq!(
            of("http://[::1]:8089"),
            ("http://[::1]:8089/chat/completions".to_owned(), "::1".to_owned(), 8089)
        );
        assert_eq!(
            of("https://example.org/d/x?api-version=2").0,
            "https://example.org/d/x/chat/completions?api-version=2"
        );
        for wrong in ["", "example.org", "ftp://example.org", "/v1", "http://"] {
            assert!(Target::of(wrong).is_err(), "{wrong}");
        }
    }
}
