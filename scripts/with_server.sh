#!/usr/bin/env bash
# Runs a command beside a server over HTTP, then stops the server.
#
#   with_server.sh BINARY [arguments of serve …] -- COMMAND [arguments …]
#
# COMMAND gets BASE_URL (http://127.0.0.1:PORT) and MCP_URL (BASE_URL/mcp), also for {URL} in its
# arguments. The exit status is COMMAND's. The server's log goes to SERVER_LOG (default: a temporary
# file, shown when something fails).
set -euo pipefail
binary=${1:?usage: with_server.sh BINARY [serve arguments] -- COMMAND}
shift
arguments=()
while [[ $# -gt 0 && $1 != -- ]]; do
  arguments+=("$1")
  shift
done
[[ ${1:-} == -- ]] || { echo "with_server.sh: no -- before the command" >&2; exit 2; }
shift

log=${SERVER_LOG:-$(mktemp)}
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
export BASE_URL=http://127.0.0.1:$port MCP_URL=http://127.0.0.1:$port/mcp
"$binary" serve --http "127.0.0.1:$port" "${arguments[@]}" </dev/null >/dev/null 2>"$log" &
server=$!
status=1
finish() {
  kill "$server" 2>/dev/null || true
  for _ in {1..50}; do
    kill -0 "$server" 2>/dev/null || break
    sleep 0.1
  done
  if kill -0 "$server" 2>/dev/null; then
    echo "with_server.sh: the server did not stop within 5 s of SIGTERM" >&2
    kill -9 "$server" 2>/dev/null || true
    status=1
  fi
  if [[ $status -ne 0 ]]; then
    echo "--- last lines of the server's log" >&2
    tail -n 20 "$log" >&2
  fi
  [[ -n ${SERVER_LOG:-} ]] || rm -f "$log"
  exit "$status"
}
trap finish EXIT

python3 - "$BASE_URL/api/health" "$server" <<'PY'
import os, sys, time, urllib.request
url, pid, last = sys.argv[1], int(sys.argv[2]), None
for _ in range(150):
    try:
        os.kill(pid, 0)
        with urllib.request.urlopen(url, timeout=2) as answer:
            answer.read()
            sys.exit(0)
    except ProcessLookupError:
        sys.exit("the server ended before it answered")
    except OSError as error:
        last = error
        time.sleep(0.1)
sys.exit(f"no answer from {url} within 15 s: {last}")
PY
set +e
"${@//\{URL\}/$MCP_URL}"
status=$?
set -e
