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
  # a group of its own, so that what it leaves behind can be told
  PORT=$port setsid npx --yes bun@1.4.5 run start > "$folder/log" 2>&1 &
  pid=$!
  group=$pid
  for _ in $(seq 600); do
    curl -sf "http://127.0.0.1:$port/ready" > /dev/null && return
    kill -0 "$pid" 2> /dev/null || break
    sleep 0.1
  done
  echo 'it did not start:'
  cat "$folder/log" "$folder/taskwell/.data/postgres.log"
  return 1
}

# npm ends at once, and what it has started soon after
stop() {
  kill -TERM "$pid"
  wait "$pid" || true
  pid=
  for _ in $(seq 150); do
    pgrep -g "$group" > /dev/null || pgrep -f "$folder" > /dev/null || return 0
    sleep 0.1
  done
  echo 'left running:'
  pgrep -ag "$group" || true
  pgrep -af "$folder" || true
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
