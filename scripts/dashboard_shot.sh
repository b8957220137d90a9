#!/usr/bin/env bash
# Opens the dashboard of a running server in headless Chromium, saves a picture of it, and compares
# what the cards say with what the API says.
#
#   dashboard_shot.sh BINARY OUT.png [arguments of serve; default: --source sandbox and a fresh ledger]
#
# WINDOW (default 1280,900) is the size of the window. Needs chromium, and python3 for the comparison.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
binary=${1:?usage: dashboard_shot.sh BINARY OUT.png [serve arguments]}
picture=$(realpath "${2:?usage: dashboard_shot.sh BINARY OUT.png [serve arguments]}")
shift 2

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
[[ $# -gt 0 ]] || set -- --source sandbox --db "$work/ledger.db"

browser=
for name in chromium chromium-browser google-chrome; do
  if command -v "$name" >/dev/null; then browser=$name && break; fi
done
[[ -n $browser ]] || { echo "dashboard_shot.sh: no chromium found (apt-get install chromium)" >&2; exit 2; }

cat >"$work/look.sh" <<'LOOK'
#!/usr/bin/env bash
set -euo pipefail
browser=$1 picture=$2 work=$3
run() {
  # Virtual time lets the page fetch and draw before the picture is taken.
  timeout 90 "$browser" --headless --no-sandbox --disable-gpu --disable-quic --no-first-run \
    --disable-background-networking --disable-component-update --disable-sync --hide-scrollbars \
    --user-data-dir="$work/profile-$1" --window-size="${WINDOW:-1280,900}" --virtual-time-budget=6000 \
    "${@:2}" "$BASE_URL/" 2>"$work/browser.log" || { tail -n 5 "$work/browser.log" >&2; return 1; }
}
run picture --screenshot="$picture" >/dev/null
run dom --dump-dom >"$work/page.html"
LOOK
cat >"$work/compare.py" <<'COMPARE'
import html.parser, json, os, sys, urllib.request

class Texts(html.parser.HTMLParser):
    """The text of every element that has an id, and the state that the page gives itself."""
    VOID = {"meta", "link", "br", "img", "input", "hr"}
    def __init__(self):
        super().__init__()
        self.open, self.text, self.state, self.scripts = [], {}, None, 0
    def handle_starttag(self, tag, attributes):
        values = dict(attributes)
        self.scripts += tag == "script"
        if tag == "body":
            self.state = values.get("data-state")
        if values.get("id"):
            self.text.setdefault(values["id"], "")
        if tag not in self.VOID:
            self.open.append((tag, values.get("id")))
    def handle_endtag(self, tag):
        while self.open and self.open.pop()[0] != tag:
            pass
    def handle_data(self, data):
        for _, name in self.open:
            if name:
                self.text[name] += data

def api(path):
    with urllib.request.urlopen(os.environ["BASE_URL"] + path, timeout=10) as answer:
        return json.load(answer)

page = Texts()
page.feed(open(sys.argv[1], encoding="utf-8").read())
portfolio, signals = api("/api/portfolio"), api("/api/signals?limit=100")
wanted = {"balance": portfolio["balance"], "total": portfolio["total_value"], "count": len(portfolio["positions"])}
if isinstance(signals, dict):
    wanted["signals24"] = signals["count_24h"]

def same(shown, value):
    """Half a cent is what showing two decimals may cost; which way a tie goes is the browser's."""
    if value is None or not shown:
        return shown == "—" and value is None
    try:
        return abs(float(shown.replace(",", "").replace("$", "").replace("−", "-")) - value) <= 0.005 + 1e-9
    except ValueError:
        return False

wrong = []
if page.state != "ready":
    wrong.append(f"the page says it is {page.state!r}: {page.text.get('problems')!r}")
for name, value in wanted.items():
    shown = page.text.get(name)
    if not same(shown, value):
        wrong.append(f"card {name} shows {shown!r}, the API says {value!r}")
for name in ("positions", "trades", "signals", "conditional", "chart"):
    if not page.text.get(name, "").strip():
        wrong.append(f"panel {name} is empty, without even a sentence")
if page.scripts != 1:
    wrong.append(f"{page.scripts} script elements in the page: somebody's text became markup")
picture = open(sys.argv[2], "rb").read()
if picture[:8] != b"\x89PNG\r\n\x1a\n" or len(picture) < 10_000:
    wrong.append(f"the picture has {len(picture)} bytes")
if wrong:
    sys.exit("dashboard: " + "\ndashboard: ".join(wrong))
print("dashboard: " + ", ".join(f"{name} {value}" for name, value in wanted.items()) + f"; picture {len(picture)} bytes")
COMPARE

rm -f "$picture"
# shellcheck disable=SC2016  # the inner bash expands them, once the server runs
"$here/with_server.sh" "$binary" "$@" -- bash -euo pipefail -c \
  'bash "$3/look.sh" "$1" "$2" "$3" && python3 "$3/compare.py" "$3/page.html" "$2"' look "$browser" "$picture" "$work"
