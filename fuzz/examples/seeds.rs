//! Writes the first inputs of each target into `corpus/`, so that the fuzzer
//! does not have to invent formats: `cargo run --example seeds` in `fuzz/`.

use std::fs;
use std::path::Path;

use mnemosyne_control::{EventFilter, Request};
use mnemosyne_core::command::{Batch, Command, OnExisting, Submission, Target};
use mnemosyne_core::id::{FencingToken, ItemId, NodeId, RunId, SessionId};
use mnemosyne_core::node::NodeFacts;
use mnemosyne_core::reply::Reply;
use mnemosyne_core::text::Format;
use mnemosyne_core::time::Stamp;
use mnemosyne_core::view::ItemFilter;
use mnemosyne_core::work::attempt::AttemptResult;
use mnemosyne_fuzz::{apply, load_plan, machine};

const PLAN: &str = r#"version: 1
name: seed
namespace: n
vars: { a: 1, b: { default: x, description: d } }
defaults: { retry: { max_attempts: 3, initial_interval: 1s, backoff: 2, max_interval: 1m }, timeouts: { run: 2h, idle: 15m, queue: 1h } }
env: { E: "${{ vars.a }}" }

items:
  a: { run: "echo one > a.txt", outputs: true, estimate: 5m, grace: 0, on_failure: soft_fail, key: k }
  b: { run: ["sh", "-c", "cat ${{ items.a.outputs.x }}"], needs: [a], priority: 7, delay: 1s, deadline: 1h }
  c: { run: x, needs: { a: success, b: done }, foreach: [1, 2, 3], max_parallel: 1, env: { I: "${{ item }}" } }
  d: { run: "true", needs: { c: always, a: done }, workspace: folder, workdir: sub, description: text }
"#;
const JSON: &str =
    r#"{"version": 1, "items": {"a": {"run": ["true"]}, "b": {"run": "x", "needs": {"a": "done"}}}}"#;
const TOML: &str = "version = 1\n[items.a]\nrun = [\"true\"]\n[items.b]\nrun = \"x\"\nneeds = [\"a\"]\n";
const LEGACY: &str =
    r#"{"tasks": [{"id": "a", "description": "d", "depends_on": []}, {"id": "b", "depends_on": ["a"]}]}"#;
/// Two lines of each dialect.
const DIALECTS: [&str; 5] = [
    "some text\nand more\n",
    "{\"type\":\"system\",\"subtype\":\"init\",\"session_id\":\"s\",\"model\":\"m\"}\n\
     {\"type\":\"result\",\"subtype\":\"success\",\"is_error\":true,\"api_error_status\":429,\"permission_denials\":[{\"tool_name\":\"Bash\"}],\"modelUsage\":{\"m\":{\"outputTokens\":1}},\"total_cost_usd\":0.5}\n",
    "{\"type\":\"thread.started\",\"thread_id\":\"t\"}\n{\"type\":\"turn.failed\",\"error\":{\"message\":\"last status: 429, try again in 2 hours\"}}\n",
    "{\"type\":\"init\",\"session_id\":\"s\"}\n{\"type\":\"result\",\"status\":\"success\",\"stats\":{\"models\":{\"m\":{\"tokens\":{\"candidates\":2}}}}}\n",
    "{\"type\":\"step_finish\",\"sessionID\":\"s\",\"part\":{\"reason\":\"stop\",\"cost\":0.1,\"tokens\":{\"cache\":{\"read\":1}}}}\n{\"type\":\"error\",\"error\":{\"name\":\"APIError\",\"data\":{\"statusCode\":529}}}\n",
];
const CONFIG: &str = "[orchestration.scaling]\nenabled = true\n[orchestration.scaling.executor]\nmax_pool_size = 8\n\
                      [node]\nslots = { executor = 2 }\n[agents.claude]\nkind = \"cli\"\ncommand = [\"claude\"]\n";
const STREAM: &str = "data: {\"id\":\"1\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"hi\"}}]}\r\n\r\n: ping\n\n\
                      data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":3}}\n\n\
                      data: [DONE]\n\n";
const ACP: &str = r#"{"id": 1, "result": {"protocolVersion": 1, "agentCapabilities": {"loadSession": true}, "authMethods": [{"id": "key"}]}}
{"id": 4, "error": {"code": -32002, "message": "no", "data": {"status": 429, "retryAfter": 1}}}
{"id": 3, "result": {"sessionId": "s", "models": {"currentModelId": "m"}}}
{"method": "session/update", "params": {"sessionId": "s", "update": {"sessionUpdate": "agent_message_chunk", "messageId": "a", "content": {"type": "text", "text": "x"}}}}
{"method": "session/update", "params": {"sessionId": "s", "update": {"sessionUpdate": "tool_call", "toolCallId": "t", "status": "completed"}}}
{"method": "session/update", "params": {"sessionId": "s", "update": {"sessionUpdate": "usage_update", "cost": {"amount": 1.5, "currency": "USD"}}}}
{"id": "p", "method": "session/request_permission", "params": {"toolCall": {"title": "ls", "rawInput": {}}, "options": [{"optionId": "a", "kind": "allow_once"}]}}
{"id": 7, "method": "fs/read_text_file"}
{"id": 5, "result": {"stopReason": "end_turn", "usage": {"inputTokens": 1}}}
"#;

fn main() -> std::io::Result<()> {
    for (name, bytes) in
        [("yaml", [b"\0", PLAN.as_bytes()].concat()), ("json", [b"\x01", JSON.as_bytes()].concat())]
    {
        write("plan", name, &bytes)?;
    }
    write("plan", "toml", &[b"\x02", TOML.as_bytes()].concat())?;
    write("plan", "legacy", &[b"\x01", LEGACY.as_bytes()].concat())?;
    write("config", "file", CONFIG.as_bytes())?;
    write("config", "pairs", format!("{CONFIG}\0NODE__SLOTS__EXECUTOR=3\0--node.slots.executor=4").as_bytes())?;
    for (number, text) in DIALECTS.iter().enumerate() {
        let dialect = u8::try_from(number).expect("small");
        write("dialects", &format!("dialect-{number}"), &[&[dialect, 1, 60], text.as_bytes()].concat())?;
    }
    write("acp", "turn", format!("\0{ACP}").as_bytes())?;
    write("acp", "two-nodes", format!("\x02{}", ACP.replace("\n", "\nnext node\n")).as_bytes())?;
    let batches = story();
    write("commands", "story", &batches.concat())?;
    for (number, batch) in batches.iter().enumerate() {
        write("commands", &format!("batch-{number}"), batch)?;
    }
    write("snapshot", "state", &snapshot(&batches))?;
    for (number, file) in exports(&batches).iter().enumerate() {
        write("import", &format!("run-{number}"), file)?;
    }
    for (number, request) in requests().iter().enumerate() {
        // The variant of a call that carries a request.
        let payload = [vec![1], encoded(request)].concat();
        let length = u32::try_from(payload.len()).expect("small").to_le_bytes();
        write("control", &format!("request-{number}"), &[&length[..], &payload].concat())?;
    }
    write("chat", "stream", format!("\x05\x09\x01\x40\x03\x07\x02\x20{STREAM}").as_bytes())?;
    write("log_damage", "one-bit", &[1, 0, 0, 1, 4])?;
    write("log_damage", "cut", &[2, 1, 0, 9, 0])?;
    write("log_records", "purge", &[4, 9, 0, 0, 0, 0, 0, 0, 0])?;
    for kind in 0..4_u8 {
        write("files", &format!("kind-{kind}"), &[kind])?;
    }
    Ok(())
}

fn write(target: &str, name: &str, bytes: &[u8]) -> std::io::Result<()> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
    fs::create_dir_all(&dir)?;
    fs::write(dir.join(format!("seed-{name}")), bytes)
}

fn encoded(value: &impl serde::Serialize) -> Vec<u8> {
    postcard::to_stdvec(value).expect("it can be encoded")
}

/// A run from its submission to its end, with a retry and a cancellation.
fn story() -> Vec<Vec<u8>> {
    let mut state = machine();
    let mut entries = Vec::new();
    let mut millis = 2_000;
    let mut next = |commands: Vec<Command>| {
        millis += 10;
        let batch = Batch { stamp: Stamp::from_millis(millis), commands: commands.clone() };
        entries.push(encoded(&batch));
        apply(&mut state, millis, commands)
    };
    let spec =
        load_plan(PLAN, Format::Yaml).map(|loaded| loaded.spec).unwrap_or_else(|report| panic!("{report}"));
    let replies = next(vec![Command::Submit(Submission { spec, existing: OnExisting::New })]);
    let [Reply::Submitted { run, .. }] = replies[..] else { panic!("{replies:?}") };
    let (item, token) = (ItemId { run, position: 0 }, FencingToken(2));
    next(vec![Command::Started { item, token }, Command::Tick]);
    next(vec![Command::Finished {
        item,
        token,
        result: AttemptResult::Succeeded { outputs: None },
        report: None,
    }]);
    next(vec![Command::Pause { target: Target::Run(run) }, Command::Resume { target: Target::Run(run) }]);
    next(vec![Command::Cancel { target: Target::Run(run), reason: "enough".into() }]);
    next(vec![Command::Retry { target: Target::Item(item) }, Command::Drain { node: NodeId(1), on: true }]);
    let facts = NodeFacts { slots: [0, 0, 0, 1], ..NodeFacts::default() };
    next(vec![Command::StartSession { node: NodeId(2), facts }]);
    next(vec![Command::EndSession { node: NodeId(2), session: SessionId(2) }]);
    entries
}

fn snapshot(batches: &[Vec<u8>]) -> Vec<u8> {
    let mut state = machine();
    for bytes in &batches[..4] {
        let batch: Batch = postcard::from_bytes(bytes).expect("just encoded");
        apply(&mut state, batch.stamp.as_millis(), batch.commands);
    }
    let mut written = Vec::new();
    state.snapshot().write(&mut written).expect("memory takes everything");
    written
}

/// The run of the story as `export` writes it, after each entry.
fn exports(batches: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let mut state = machine();
    let mut files = Vec::new();
    for bytes in batches {
        let batch: Batch = postcard::from_bytes(bytes).expect("just encoded");
        apply(&mut state, batch.stamp.as_millis(), batch.commands);
        let run = state.runs(1).first().expect("it is submitted first").id;
        let image = state.image(run).expect("it does not leave the state");
        let mut file = Vec::new();
        for record in image.records() {
            file.push(1);
            file.extend((record.len() as u64).to_le_bytes());
            file.extend(record);
        }
        files.push(file);
    }
    files
}

fn requests() -> Vec<Request> {
    let spec =
        load_plan(JSON, Format::Json).map(|loaded| loaded.spec).unwrap_or_else(|report| panic!("{report}"));
    let run: RunId = "1m82q8tb0".parse().expect("a run id");
    vec![
        Request::Submit(Box::new(Submission { spec, existing: OnExisting::Continue })),
        Request::Cancel(Target::Run(run), "enough".to_owned()),
        Request::Items(ItemFilter { run: Some(run), limit: 10, ..ItemFilter::default() }),
        Request::Find("1m8".to_owned()),
        Request::Events(Box::new(EventFilter { limit: 10, ..EventFilter::default() })),
        Request::Status,
    ]
}
