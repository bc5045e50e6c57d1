//! The scripted endpoint says what it is told, in every interface: tests of clients rest on it.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Command, Stdio};

use fake_agent::endpoint::End;
use fake_agent::{Endpoint, Script};
use serde_json::{Value, json};

/// The reply to a request: its head, and its body without the sizes of chunks.
fn exchange(endpoint: &str, method: &str, path: &str, headers: &str, body: &str) -> (String, String) {
    let mut stream = TcpStream::connect(endpoint.trim_start_matches("http://")).expect("it listens");
    let length = body.len();
    let request =
        format!("{method} {path} HTTP/1.1\r\nHost: x\r\n{headers}Content-Length: {length}\r\n\r\n{body}");
    stream.write_all(request.as_bytes()).expect("it reads");
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("it answers and hangs up");
    let (head, body) = text.split_once("\r\n\r\n").expect("a head");
    let is_size = |line: &&str| !line.is_empty() && u32::from_str_radix(line, 16).is_ok();
    let body = match head.contains("chunked") {
        true => body.split("\r\n").filter(|line| !is_size(line)).collect::<String>(),
        false => body.to_owned(),
    };
    (head.to_owned(), body)
}

fn post(endpoint: &Endpoint, path: &str, body: &Value) -> (String, String) {
    exchange(&endpoint.address(), "POST", path, "", &body.to_string())
}

fn started(script: Value) -> Endpoint {
    Endpoint::start(Script::of(script)).expect("a port is free")
}

/// A question in the form of each interface.
fn questions() -> [(&'static str, Value); 3] {
    let messages = json!([{ "role": "user", "content": "why?" }]);
    [
        ("/v1/chat/completions", json!({ "model": "m", "messages": messages })),
        ("/v1/responses", json!({ "model": "m", "input": messages })),
        ("/v1/messages", json!({ "model": "m", "max_tokens": 9, "messages": messages })),
    ]
}

#[test]
fn every_interface_says_the_same_in_one_body() {
    let endpoint =
        started(json!({ "otherwise": { "text": "because {prompt}", "usage": { "input": 7, "cached": 2 } } }));
    let [chat, responses, messages] = questions().map(|(path, body)| {
        let (head, body) = post(&endpoint, path, &body);
        assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
        serde_json::from_str::<Value>(&body).expect("JSON")
    });
    assert_eq!(chat["choices"][0]["message"]["content"], "because why?");
    assert_eq!(chat["usage"]["prompt_tokens"], 7);
    assert_eq!(responses["output"][0]["content"][0]["text"], "because why?");
    assert_eq!((&responses["status"], &responses["usage"]["input_tokens"]), (&json!("completed"), &json!(7)));
    assert_eq!(messages["content"][0]["text"], "because why?");
    assert_eq!((&messages["stop_reason"], &messages["usage"]["input_tokens"]), (&json!("end_turn"), &json!(5)));
}

#[test]
fn every_interface_streams_the_same_in_its_events() {
    let reply = json!({ "text": "abcd", "pieces": 2, "tool": { "name": "look", "input": { "at": 1 } } });
    let endpoint = started(json!({ "otherwise": reply }));
    let ends = ["data: [DONE]", "response.completed", "message_stop"];
    for ((path, mut body), end) in questions().into_iter().zip(ends) {
        body["stream"] = json!(true);
        let (head, body) = post(&endpoint, path, &body);
        assert!(head.contains("text/event-stream"), "{head}");
        let data: Vec<Value> = body
            .lines()
            .filter_map(|line| line.strip_prefix("data: "))
            .filter_map(|data| serde_json::from_str(data).ok())
            .collect();
        let piece = |event: &Value| {
            let texts = [&event["choices"][0]["delta"]["content"], &event["delta"], &event["delta"]["text"]];
            let is_call = event["type"].as_str().is_some_and(|name| name.contains("arguments"));
            texts.into_iter().find_map(Value::as_str).filter(|_| !is_call).unwrap_or_default().to_owned()
        };
        assert_eq!(data.iter().map(piece).collect::<String>(), "abcd", "{path}: {body}");
        let last = body.trim_end().lines().last().expect("an event");
        assert!(last.contains(end), "{path}: {last}");
        assert!(body.contains("look") && body.contains(r#"{\"at\":1}"#), "{path}: {body}");
    }
}

#[test]
fn those_beyond_its_limit_are_turned_away() {
    let endpoint = started(json!({ "parallel": 1, "retry_after": "3", "otherwise": { "hang_after": 0 } }));
    let (path, mut question) = questions()[0].clone();
    question["stream"] = json!(true);
    let first = std::thread::spawn({
        let (address, body) = (endpoint.address(), question.to_string());
        move || {
            let mut stream = TcpStream::connect(address.trim_start_matches("http://")).expect("it listens");
            let head = format!("POST {path} HTTP/1.1\r\nContent-Length: {}\r\n\r\n{body}", body.len());
            stream.write_all(head.as_bytes()).expect("it reads");
            stream
        }
    });
    let first = first.join().expect("it asks");
    endpoint.wait_for("the first one", |log| log.active == 1);
    let (head, body) = post(&endpoint, path, &question);
    assert!(head.starts_with("HTTP/1.1 429 ") && head.contains("\r\nRetry-After: 3\r\n"), "{head}");
    assert!(body.contains("rate_limit_error"), "{body}");
    drop(first);
    let log = endpoint.wait_for("the first one to leave", |log| log.left == 1);
    assert_eq!((log.active, log.active_max, log.throttled), (0, 1, 1));
    assert_eq!(log.requests[0].end, Some(End::Left));
}

#[test]
fn a_key_is_asked_for_in_the_way_of_each_provider() {
    let endpoint = started(json!({ "key": "k-123456" }));
    let (path, question) = questions()[2].clone();
    let status = |headers: &str| {
        let (head, _) = exchange(&endpoint.address(), "POST", path, headers, &question.to_string());
        head.split(' ').nth(1).expect("a status").to_owned()
    };
    assert_eq!(status(""), "401");
    assert_eq!(status("Authorization: Bearer wrong\r\n"), "401");
    assert_eq!(status("authorization: Bearer k-123456\r\n"), "200");
    assert_eq!(status("X-Api-Key: k-123456\r\n"), "200");
    let log = serde_json::to_string(&endpoint.log()).expect("JSON");
    assert!(!log.contains("k-123456"), "{log}");
}

#[test]
fn the_program_tells_its_address_and_its_log() {
    let mut program = Command::new(env!("CARGO_BIN_EXE_fake-agent"))
        .args(["endpoint", "--port", "0", "--script", r#"{"otherwise": {"text": "yes"}}"#])
        .stdout(Stdio::piped())
        .spawn()
        .expect("it starts");
    let mut address = String::new();
    let stdout = program.stdout.take().expect("it was piped");
    BufReader::new(stdout).read_line(&mut address).expect("a line");
    let (path, question) = questions()[0].clone();
    let asked = std::panic::catch_unwind(|| {
        let (_, body) = exchange(address.trim(), "POST", path, "", &question.to_string());
        let (_, log) = exchange(address.trim(), "GET", "/log", "", "");
        (body, log)
    });
    program.kill().expect("it runs until it is ended");
    program.wait().expect("it has ended");
    let (body, log) = asked.expect("it answers");
    assert!(body.contains("yes"), "{body}");
    let log: Value = serde_json::from_str(&log).expect("JSON");
    assert_eq!((&log["total"], &log["requests"][0]["prompt"]), (&json!(1), &json!("why?")));
}
