#!/usr/bin/env bash
# The README's start command in a fresh clone of what is committed: it must install, serve, keep a task, and leave
# nothing running when the process that was started gets a SIGTERM.
set -euo pipefail
cd "$(dirname "$0")/.."

port=${PORT:-18217}
folder=$(mktemp -d)
pid=
cleanup() {
  [ -z "$pid" ] || kill "$pid" 2> /dev/null || true
  rm -rf "$folder"
}
trap cleanup EXIT

git clone -q . "$folder/taskwell"
cd "$folder/taskwell"

start() {
  PORT=$port npx --yes bun@1.4.5 run start > "$folder/log" 2>&1 &
  pid=$!
  for _ in $(seq 600); do
    curl -sf "http://127.0.0.1:$port/ready" > /dev/null && return
    sleep 0.1
  done
  cat "$folder/log"
  return 1
}

stop() {
  kill -TERM "$pid"
  wait "$pid" || true
  pid=
  # npm ends at once; what it has started, soon after
  for _ in $(seq 100); do
    pgrep -f "$folder/taskwell" > /dev/null || ! curl -s "http://127.0.0.1:$port/health" > /dev/null && break
    sleep 0.1
  done
  for _ in $(seq 100); do
    pgrep -f "$folder/taskwell/.data" > /dev/null || return 0
    sleep 0.1
  done
  echo 'left running:'
  pgrep -af "$folder"
  return 1
}

start
token=$(npx --yes bun@1.4.5 run token ann 2> /dev/null)
curl -sf -H "Authorization: Bearer $token" -H 'Content-Type: application/json' \
  -d '{"title":"kept"}' "http://127.0.0.1:$port/api/v1/todos" > /dev/null
stop
start
curl -sf -H "Authorization: Bearer $token" "http://127.0.0.1:$port/api/v1/todos" | grep -q '"title":"kept"'
stop
git status --short | (! grep .)
echo 'started twice, kept the task, left nothing running'
