// A small language model behind the interfaces that agent programs speak, on 127.0.0.1 only.
//
//   node tiny-llm-server.mjs PORT MODEL.gguf    answers by the model
//   node tiny-llm-server.mjs PORT               answers every prompt with a fixed text, without a model
//
//   POST .../chat/completions                              OpenAI, as opencode and agents of kind `http` speak it
//   POST .../responses                                     OpenAI, as Codex speaks it
//   POST .../messages                                      Anthropic, as Claude Code speaks it
//   POST .../models/NAME:generateContent, :streamGenerateContent   Gemini
// each whole and as a stream. THREADS (1), MAX_OUT (64 tokens an answer) and LOG (a line for each request) are variables.
//
// Of a request, the last text of the user is answered, and nothing else is read: a model of 135 million parameters has
// no room for the instructions of an agent, and cannot use tools. So every answer ends a turn. An answer that was cut
// off at MAX_OUT is told as a whole one, for the same reason.

import http from "node:http";
import { randomUUID } from "node:crypto";

const [port, modelPath] = process.argv.slice(2);
const THREADS = Number(process.env.THREADS ?? 1);
const MAX_OUT = Number(process.env.MAX_OUT ?? 64);
const MAX_IN_CHARS = 4000;
const SLOTS = 4;

/** A function that answers a prompt: `(prompt, maxTokens, signal, onText) => {text, input, output}`. */
async function theModel(path) {
  const { getLlama, LlamaChatSession } = await import("node-llama-cpp");
  const llama = await getLlama({ build: "never", gpu: false, logLevel: "error", maxThreads: THREADS });
  const model = await llama.loadModel({ modelPath: path });
  const context = await model.createContext({ contextSize: 2048, sequences: SLOTS, threads: THREADS });
  const free = Array.from({ length: SLOTS }, () => context.getSequence());
  const waiting = [];
  const take = () => free.pop() ?? new Promise((resolve) => waiting.push(resolve));
  const give = (sequence) => (waiting.length > 0 ? waiting.shift()(sequence) : free.push(sequence));

  return async (prompt, maxTokens, signal, onText) => {
    const sequence = await take();
    try {
      await sequence.clearHistory();
      const before = sequence.tokenMeter.getState();
      const session = new LlamaChatSession({
        contextSequence: sequence,
        systemPrompt: "You are a helpful assistant.",
        autoDisposeSequence: false,
      });
      const options = { maxTokens, temperature: 0, signal, stopOnAbortSignal: true, onTextChunk: onText };
      const text = await session.prompt(prompt, options);
      session.dispose();
      const used = sequence.tokenMeter.diff(before);
      return { text, input: used.usedInputTokens, output: used.usedOutputTokens };
    } finally {
      give(sequence);
    }
  };
}

/** The same without a model. */
function aScript() {
  return async (prompt, _maxTokens, _signal, onText) => {
    const text = "The capital of France is Paris.";
    text.split(/(?= )/).forEach(onText);
    return { text, input: Math.ceil(prompt.length / 4), output: 7 };
  };
}

/** The last text in a message's content, which is a text or a list of parts. */
function lastText(content) {
  if (typeof content === "string") return content;
  return (content ?? []).findLast((part) => part.text)?.text ?? "";
}

function lastOfUser(messages) {
  const message = messages.findLast((message) => message.role === "user");
  return lastText(message?.content ?? message?.parts);
}

// Each interface: what a request asks for, the whole answer, and the events of a stream. A stream is what comes before
// the first piece of text, for each piece, and after the last one, as pairs of a name (or none) and a value.

const chat = (request) => {
  const base = { id: `chatcmpl-${randomUUID()}`, created: Math.floor(Date.now() / 1000), model: request.model };
  const usage = (got) => ({
    prompt_tokens: got.input,
    completion_tokens: got.output,
    total_tokens: got.input + got.output,
  });
  const chunk = (delta, finish_reason = null) => [
    null,
    { ...base, object: "chat.completion.chunk", choices: [{ index: 0, delta, finish_reason }] },
  ];
  return {
    prompt: lastOfUser(request.messages),
    maxTokens: request.max_completion_tokens ?? request.max_tokens,
    isStream: request.stream,
    whole: (got) => ({
      ...base,
      object: "chat.completion",
      choices: [{ index: 0, message: { role: "assistant", content: got.text }, finish_reason: "stop" }],
      usage: usage(got),
    }),
    first: () => [chunk({ role: "assistant", content: "" })],
    piece: (text) => [chunk({ content: text })],
    last: (got) => {
      const events = [chunk({}, "stop")];
      if (request.stream_options?.include_usage) {
        events.push([null, { ...base, object: "chat.completion.chunk", choices: [], usage: usage(got) }]);
      }
      return [...events, [null, "[DONE]"]];
    },
  };
};

const responses = (request) => {
  const input = typeof request.input === "string" ? [{ role: "user", content: request.input }] : request.input;
  const base = { id: `resp_${randomUUID()}`, object: "response", model: request.model };
  const item_id = `msg_${randomUUID()}`;
  const place = { item_id, output_index: 0, content_index: 0 };
  const message = (status, content) => ({ type: "message", id: item_id, status, role: "assistant", content });
  const done = (got) => ({
    ...base,
    status: "completed",
    output: [message("completed", [{ type: "output_text", text: got.text, annotations: [] }])],
    usage: {
      input_tokens: got.input,
      input_tokens_details: { cached_tokens: 0 },
      output_tokens: got.output,
      output_tokens_details: { reasoning_tokens: 0 },
      total_tokens: got.input + got.output,
    },
  });
  let sequence_number = 0;
  const event = (type, fields) => [type, { type, sequence_number: sequence_number++, ...fields }];
  const part = { type: "output_text", text: "", annotations: [] };
  return {
    prompt: lastOfUser(input),
    maxTokens: request.max_output_tokens,
    isStream: request.stream,
    whole: done,
    first: () => [
      event("response.created", { response: { ...base, status: "in_progress", output: [] } }),
      event("response.output_item.added", { output_index: 0, item: message("in_progress", []) }),
      event("response.content_part.added", { ...place, part }),
    ],
    piece: (text) => [event("response.output_text.delta", { ...place, delta: text })],
    last: (got) => [
      event("response.output_text.done", { ...place, text: got.text }),
      event("response.output_item.done", { output_index: 0, item: done(got).output[0] }),
      event("response.completed", { response: done(got) }),
    ],
  };
};

const messages = (request) => {
  const base = { id: `msg_${randomUUID()}`, type: "message", role: "assistant", model: request.model };
  const end = { stop_reason: "end_turn", stop_sequence: null };
  const usage = (got) => ({ input_tokens: got.input, output_tokens: got.output });
  const event = (type, fields) => [type, { type, ...fields }];
  const begun = { ...base, content: [], stop_reason: null, usage: { input_tokens: 0, output_tokens: 0 } };
  return {
    prompt: lastOfUser(request.messages),
    maxTokens: request.max_tokens,
    isStream: request.stream,
    whole: (got) => ({ ...base, ...end, content: [{ type: "text", text: got.text }], usage: usage(got) }),
    first: () => [
      event("message_start", { message: begun }),
      event("content_block_start", { index: 0, content_block: { type: "text", text: "" } }),
    ],
    piece: (text) => [event("content_block_delta", { index: 0, delta: { type: "text_delta", text } })],
    last: (got) => [
      event("content_block_stop", { index: 0 }),
      event("message_delta", { delta: end, usage: usage(got) }),
      event("message_stop", {}),
    ],
  };
};

const gemini = (request, path) => {
  const candidate = (text, finishReason) => ({
    candidates: [{ index: 0, content: { role: "model", parts: [{ text }] }, finishReason }],
    modelVersion: /models\/([^:]+)/.exec(path)[1],
  });
  const usageMetadata = (got) => ({
    promptTokenCount: got.input,
    candidatesTokenCount: got.output,
    totalTokenCount: got.input + got.output,
  });
  return {
    prompt: lastOfUser(request.contents),
    maxTokens: request.generationConfig?.maxOutputTokens,
    isStream: path.endsWith(":streamGenerateContent"),
    whole: (got) => ({ ...candidate(got.text, "STOP"), usageMetadata: usageMetadata(got) }),
    first: () => [],
    piece: (text) => [[null, candidate(text)]],
    last: (got) => [[null, { ...candidate("", "STOP"), usageMetadata: usageMetadata(got) }]],
  };
};

const INTERFACES = [
  [/\/chat\/completions$/, chat],
  [/\/responses$/, responses],
  [/\/messages$/, messages],
  [/\/models\/[^/]+:(streamGenerateContent|generateContent)$/, gemini],
];

function send(response, status, value) {
  response.writeHead(status, { "content-type": "application/json" });
  response.end(JSON.stringify(value));
}

async function reply(ask, asked, response) {
  const gone = new AbortController();
  response.on("close", () => gone.abort());
  const prompt = asked.prompt.slice(-MAX_IN_CHARS) || "Hello";
  const maxTokens = Math.min(asked.maxTokens ?? MAX_OUT, MAX_OUT);
  if (!asked.isStream) {
    send(response, 200, asked.whole(await ask(prompt, maxTokens, gone.signal, () => {})));
    return;
  }
  response.writeHead(200, { "content-type": "text/event-stream" });
  const write = (events) => {
    for (const [name, value] of events) {
      const data = typeof value === "string" ? value : JSON.stringify(value);
      response.write(`${name ? `event: ${name}\n` : ""}data: ${data}\n\n`);
    }
  };
  write(asked.first());
  const got = await ask(prompt, maxTokens, gone.signal, (text) => write(asked.piece(text)));
  write(asked.last(got));
  response.end();
}

async function serve(ask, request, response) {
  const path = new URL(request.url, "http://localhost").pathname;
  let body = "";
  for await (const chunk of request.setEncoding("utf8")) body += chunk;
  if (process.env.LOG) console.error(request.method, path, `${body.length} bytes`);
  const [, read] = INTERFACES.find(([pattern]) => pattern.test(path)) ?? [];
  if (request.method === "POST" && read) return reply(ask, read(JSON.parse(body), path), response);
  if (/count_?tokens$/i.test(path)) {
    const tokens = Math.ceil(body.length / 4);
    return send(response, 200, { input_tokens: tokens, totalTokens: tokens });
  }
  if (path.endsWith("/models")) return send(response, 200, { object: "list", data: [{ id: "tiny", object: "model" }] });
  if (path === "/health" || path === "/") return send(response, 200, { status: "ok" });
  send(response, 404, { error: { type: "not_found", message: `nothing at ${path}` } });
}

const ask = modelPath ? await theModel(modelPath) : aScript();
const server = http.createServer((request, response) => {
  serve(ask, request, response).catch((error) => {
    if (error.name !== "AbortError") console.error(error);
    if (response.headersSent) response.destroy();
    else send(response, 500, { error: { type: "api_error", message: String(error) } });
  });
});
server.listen(Number(port), "127.0.0.1", () => console.log(`ready at http://127.0.0.1:${server.address().port}`));
