#!/usr/bin/env python3
"""How fast the server answers, beside a bare rmcp server with the same payloads in the same run.

    cargo build --release --bin polymarket-agent --example bare_mcp
    scripts/bench_server.py target/release/polymarket-agent target/release/examples/bare_mcp

Measures start -> `initialize` answer, sequential calls over stdio, sequential calls and 32 connections
over HTTP (sessions of the 2025-11-25 protocol), processor time per call, and resident memory after
10,000 calls. The load comes from this one Python process, which is slower than either server: the
calls/s of both are lower than the servers could do, so processor time per call is compared as well.
Needs only Python's library and Linux's /proc. --check exits with 1 where a budget is missed.
"""

import argparse
import json
import os
import re
import selectors
import socket
import statistics
import subprocess
import sys
import tempfile
import time

TOOLS = ("health_check", "get_portfolio")
INITIALIZE = {
    "protocolVersion": "2025-11-25",
    "capabilities": {},
    "clientInfo": {"name": "bench", "version": "1"},
}
TICK = os.sysconf("SC_CLK_TCK")
# Budgets of the design: milliseconds, ratio to the bare server, MiB.
START_MS, RATIO, MEMORY_MIB = 15.0, 0.7, 30.0


def request(number, method, parameters):
    return json.dumps({"jsonrpc": "2.0", "id": number, "method": method, "params": parameters}).encode()


def call_template(tool):
    """A tools/call request with %d where its id goes."""
    text = json.dumps({"jsonrpc": "2.0", "id": 0, "method": "tools/call", "params": {"name": tool, "arguments": {}}})
    return text.replace('"id": 0', '"id": %d').encode()


def cpu_seconds(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def resident_mib(pid):
    with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as file:
        for line in file:
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) / 1024
    raise RuntimeError(f"no VmRSS for process {pid}")


class Stdio:
    """A server on pipes."""

    def __init__(self, command, log):
        self.began = time.perf_counter()
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log)
        self.write(request(0, "initialize", INITIALIZE))
        answer = json.loads(self.read())
        self.start_seconds = time.perf_counter() - self.began
        if "result" not in answer:
            raise RuntimeError(f"initialize was refused: {answer}")
        self.write(b'{"jsonrpc":"2.0","method":"notifications/initialized"}')

    def write(self, body):
        self.process.stdin.write(body + b"\n")
        self.process.stdin.flush()

    def read(self):
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError("the server closed its output")
        return line

    def answer(self, number):
        """The line that answers request `number`; notifications in between are passed over."""
        mark = b'"id":%d' % number
        while True:
            line = self.read()
            if mark in line:
                if b'"isError":true' in line or b'"error":{' in line:
                    raise RuntimeError(f"a call failed: {line[:400]!r}")
                return line

    def close(self):
        self.process.stdin.close()
        try:
            self.process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Connection:
    """One keep-alive HTTP connection with at most one request under way."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=20)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.head, self.buffer, self.session = f"POST /mcp HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n", b"", ""

    def send(self, body):
        head = (
            f"{self.head}Content-Type: application/json\r\nAccept: application/json, text/event-stream\r\n"
            f"{self.session}Content-Length: {len(body)}\r\n\r\n"
        )
        self.socket.sendall(head.encode() + body)

    def complete(self):
        """The whole answer (head, body) once it is in the buffer, else None."""
        end = self.buffer.find(b"\r\n\r\n")
        if end < 0:
            return None
        head = self.buffer[:end]
        length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
        if length:
            stop = end + 4 + int(length.group(1))
            if len(self.buffer) < stop:
                return None
        elif self.buffer.endswith(b"0\r\n\r\n") and len(self.buffer) > end + 4:
            stop = len(self.buffer)
        else:
            return None
        body, self.buffer = self.buffer[end + 4 : stop], self.buffer[stop:]
        return head, body

    def more(self):
        data = self.socket.recv(1 << 18)
        if not data:
            raise RuntimeError("the server closed the connection")
        self.buffer += data

    def exchange(self, body):
        self.send(body)
        while (answer := self.complete()) is None:
            self.more()
        return answer

    def open_session(self):
        head, body = self.exchange(request(0, "initialize", INITIALIZE))
        session = re.search(rb"(?i)\r\nmcp-session-id: *([^\r]+)", head)
        if b'"result"' not in body:
            raise RuntimeError(f"initialize over HTTP was refused: {head[:200]!r} {body[:300]!r}")
        self.session = "MCP-Protocol-Version: 2025-11-25\r\n"
        if session:
            self.session += f"Mcp-Session-Id: {session.group(1).decode()}\r\n"
        self.exchange(b'{"jsonrpc":"2.0","method":"notifications/initialized"}')
        return self


def good(answer):
    head, body = answer
    if b" 200 " not in head[:16] or b'"isError":true' in body or b'"result"' not in body:
        raise RuntimeError(f"a call over HTTP failed: {head[:200]!r} {body[:300]!r}")


class Http:
    """A server on a free port."""

    def __init__(self, command, log):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.process = subprocess.Popen(
            [*command, "--http", f"127.0.0.1:{self.port}"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=log
        )
        for _ in range(200):
            if self.process.poll() is not None:
                raise RuntimeError(f"{command[0]} ended with {self.process.returncode} instead of serving HTTP")
            try:
                Connection(self.port).socket.close()
                return
            except OSError:
                time.sleep(0.05)
        raise RuntimeError("the server did not open its port within 10 s")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        try:
            self.process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def measured(pid, calls, work):
    """(calls per second, processor microseconds per call) of the server while `work` runs."""
    cpu, began = cpu_seconds(pid), time.perf_counter()
    work()
    seconds = time.perf_counter() - began
    return calls / seconds, (cpu_seconds(pid) - cpu) / calls * 1e6


def stdio_calls(server, tool, calls):
    template = call_template(tool)

    def work():
        for number in range(1, calls + 1):
            server.write(template % number)
            server.answer(number)

    return measured(server.process.pid, calls, work)


def http_calls(server, tool, calls, width):
    template = call_template(tool)
    connections = [Connection(server.port).open_session() for _ in range(width)]

    def sequential():
        for number in range(1, calls + 1):
            good(connections[0].exchange(template % number))

    def parallel():
        sent = done = 0
        with selectors.DefaultSelector() as selector:
            for connection in connections:
                selector.register(connection.socket, selectors.EVENT_READ, connection)
                sent += 1
                connection.send(template % sent)
            while done < calls:
                for key, _ in selector.select(timeout=20):
                    connection = key.data
                    connection.more()
                    if (answer := connection.complete()) is None:
                        continue
                    good(answer)
                    done += 1
                    if sent < calls:
                        sent += 1
                        connection.send(template % sent)

    result = measured(server.process.pid, calls, sequential if width == 1 else parallel)
    for connection in connections:
        connection.socket.close()
    return result


def payloads(command, log):
    """What the two tools of our server answer, for the bare one to repeat."""
    found = {}
    with Stdio(command, log) as server:
        for number, tool in enumerate(TOOLS, 1):
            server.write(call_template(tool) % number)
            found[tool] = json.loads(server.answer(number))["result"]
    return found


def median_pairs(pairs):
    return statistics.median(a for a, _ in pairs), statistics.median(b for _, b in pairs)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("ours", help="polymarket-agent, release build")
    parser.add_argument("bare", help="examples/bare_mcp, release build")
    parser.add_argument("--serve", default="--source sandbox", help="arguments of `serve` (default: %(default)s)")
    parser.add_argument("--calls", type=int, default=10_000, help="calls per measurement and round")
    parser.add_argument("--rounds", type=int, default=3, help="rounds, ours and bare in turn; medians are shown")
    parser.add_argument("--starts", type=int, default=20, help="starts to take the median of")
    parser.add_argument("--json", metavar="FILE", help="write the figures there too")
    parser.add_argument("--check", action="store_true", help="exit with 1 where a budget is missed")
    options = parser.parse_args()

    with tempfile.TemporaryDirectory(prefix="bench-") as folder, open(os.path.join(folder, "log"), "wb") as log:
        ours = [options.ours, "serve", *options.serve.split(), "--db", os.path.join(folder, "ledger.db")]
        answers = os.path.join(folder, "payloads.json")
        with open(answers, "w", encoding="utf-8") as file:
            json.dump(payloads(ours, log), file)
        sides = {"ours": ours, "bare": [options.bare, answers]}
        figures = {}  # (what, unit, larger is better) -> {side: value}

        def note(what, unit, side, value, more=True):
            figures.setdefault((what, unit, more), {})[side] = value

        starts = {side: [] for side in sides}
        for _ in range(options.starts):
            for side, command in sides.items():
                with Stdio(command, log) as server:
                    starts[side].append(server.start_seconds * 1000)
        for side, values in starts.items():
            note("start to initialize, stdio", "ms", side, statistics.median(values), more=False)

        for tool in TOOLS:
            rounds = {side: [] for side in sides}
            for _ in range(options.rounds):
                for side, command in sides.items():
                    with Stdio(command, log) as server:
                        stdio_calls(server, tool, 200)
                        rounds[side].append(stdio_calls(server, tool, options.calls))
            for side in sides:
                rate, cpu = median_pairs(rounds[side])
                note(f"{tool}, stdio, sequential", "calls/s", side, rate)
                note(f"{tool}, stdio, sequential", "µs CPU", side, cpu, more=False)
            for width in (1, 32):
                rounds = {side: [] for side in sides}
                for _ in range(options.rounds):
                    for side, command in sides.items():
                        with Http(command, log) as server:
                            http_calls(server, tool, 200, width)
                            rounds[side].append(http_calls(server, tool, options.calls, width))
                what = f"{tool}, HTTP, {'sequential' if width == 1 else '32 connections'}"
                for side in sides:
                    rate, cpu = median_pairs(rounds[side])
                    note(what, "calls/s", side, rate)
                    note(what, "µs CPU", side, cpu, more=False)

        for side, command in sides.items():
            with Stdio(command, log) as server:
                stdio_calls(server, TOOLS[0], 5_000)
                stdio_calls(server, TOOLS[1], 5_000)
                note("resident after 10,000 calls", "MiB", side, resident_mib(server.process.pid), more=False)
        sizes = {tool: len(json.dumps(answer)) for tool, answer in json.load(open(answers, encoding="utf-8")).items()}

    print(f"payloads: {', '.join(f'{tool} {size} bytes' for tool, size in sizes.items())}; load average {os.getloadavg()[0]:.1f}")
    print(f"{'':38} {'':8} {'ours':>10} {'bare':>10}  ours/bare")
    missed = []
    for (what, unit, more), values in figures.items():
        ratio = values["ours"] / values["bare"] if values["bare"] else float("nan")
        print(f"{what:38} {unit:8} {values['ours']:10.1f} {values['bare']:10.1f}  {ratio:9.2f}")
        if unit == "calls/s" and ratio < RATIO:
            missed.append(f"{what}: {ratio:.2f} of the bare server, wanted {RATIO}")
        if unit == "ms" and values["ours"] > START_MS:
            missed.append(f"{what}: {values['ours']:.1f} ms, wanted {START_MS}")
        if unit == "MiB" and values["ours"] > MEMORY_MIB:
            missed.append(f"{what}: {values['ours']:.1f} MiB, wanted {MEMORY_MIB}")
    for line in missed:
        print(f"missed: {line}")
    if options.json:
        rows = [{"what": w, "unit": u, **v} for (w, u, _), v in figures.items()]
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump({"payload_bytes": sizes, "figures": rows, "missed": missed}, file, indent=1)
    return 1 if missed and options.check else 0


if __name__ == "__main__":
    sys.exit(main())
