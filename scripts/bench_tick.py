#!/usr/bin/env python3
"""How long a tick over a thousand markets takes when the venue answers in 50 ms, cold and warm.

    cargo build --release --bin polymarket-agent
    scripts/bench_tick.py target/release/polymarket-agent

Starts the simulated exchange, puts an own proxy before it that holds every answer back for
--latency-ms and writes down when each request came and went, and lets `run` trade through the proxy
as if it were the venue. The first tick is cold: pages of the list come one after the other. Then the
background keeps the rest fresh. Printed for each tick: wall time of its parts as the program logs
them, and as the proxy saw it the number of requests and how deep they were (the longest chain of
requests of which each began after the one before had ended). Needs only Python's library.
--check exits with 1 where a budget of a warm tick is missed.
"""

import argparse
import asyncio
import datetime
import json
import os
import pathlib
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time

# Budgets of the design for a warm tick.
DEPTH, WARM_MS, DECIDE_MS = 3, 500.0, 5.0
MAX_HEAD = 64 * 1024


class Proxy:
    """Holds answers back, and remembers (path, began, ended) of each request, in seconds since 1970."""

    def __init__(self, target, latency):
        self.target, self.latency = target, latency
        self.seen = []

    async def start(self):
        server = await asyncio.start_server(self.serve, "127.0.0.1", 0, limit=MAX_HEAD)
        return server, server.sockets[0].getsockname()[1]

    async def serve(self, reader, writer):
        venue = None
        try:
            while True:
                head, body = await message(reader)
                if head is None:
                    break
                began = time.time()
                if venue is None:
                    venue = await asyncio.open_connection(*self.target, limit=MAX_HEAD)
                venue[1].write(head + body)
                await venue[1].drain()
                answer_head, answer_body = await message(venue[0])
                if answer_head is None:
                    break
                # The venue's own time counts too: never less than the latency, not added to it.
                await asyncio.sleep(max(0.0, began + self.latency - time.time()))
                writer.write(answer_head + answer_body)
                await writer.drain()
                path = head.split(b" ", 2)[1].split(b"?")[0].decode()
                self.seen.append((path, began, time.time()))
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # the program hung up, or the measurement is over
        finally:
            writer.close()
            if venue:
                venue[1].close()


async def message(reader):
    """One HTTP/1.1 message with a length or in chunks; (None, None) at the end."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError as end:
        if end.partial:
            raise
        return None, None
    if length := re.search(rb"(?i)\r\ncontent-length: *(\d+)", head):
        return head, await reader.readexactly(int(length.group(1)))
    if not re.search(rb"(?i)\r\ntransfer-encoding: *chunked", head):
        return head, b""
    body = b""
    while True:
        size = await reader.readuntil(b"\r\n")
        chunk = await reader.readexactly(int(size.split(b";")[0], 16) + 2)
        body += size + chunk
        if chunk == b"\r\n":
            return head, body


def depth(requests):
    """The longest chain of requests of which each began after the one before had ended."""
    done = []  # (ended, length of the longest chain that ends with it)
    for _, began, ended in sorted(requests, key=lambda request: request[1]):
        before = max((length for end, length in done if end <= began), default=0)
        done.append((ended, before + 1))
    return max((length for _, length in done), default=0)


def addresses(process):
    """What the simulated exchange says of itself: host, port, and the path prefix of each API."""
    found = {}
    for line in process.stdout:
        if match := re.search(r"(gamma|clob|data)_url: http://([\d.]+):(\d+)(\S*)", line):
            found[match.group(1)] = match.group(4)
            host, port = match.group(2), int(match.group(3))
        if len(found) == 3:
            return host, port, found
    raise RuntimeError(f"{process.args[0]} ended without saying where it listens")


async def ticks_of(process, count, seconds):
    """The program's own log lines of its ticks."""
    ticks = []

    async def read():
        while len(ticks) < count:
            line = await process.stderr.readline()
            if not line:
                raise RuntimeError(f"the program ended after {len(ticks)} ticks")
            try:
                entry = json.loads(line)
            except ValueError:
                text = line.decode(errors="replace").strip()
                if "tick failed" in text:
                    raise RuntimeError(text) from None
                continue
            if entry.get("message") == "tick":
                ticks.append(entry)

    await asyncio.wait_for(read(), seconds)
    return ticks


def config(port, prefixes, markets, follow):
    urls = ", ".join(f"{name}_url: 'http://127.0.0.1:{port}{prefix}'" for name, prefix in prefixes.items())
    return (
        f"poll_interval: 3\ngather: {{max_markets: {markets}, follow_markets: {follow}}}\n"
        f"monitoring: {{structured_logging: true}}\nscheduler: {{jobs: []}}\n"
        f"venue: {{{urls}, rate_share: 1}}\n"
    )


def described(number, entry, seen, background):
    data = entry["data"]
    parts = [float(data[name]) for name in ("gather_ms", "decide_ms", "act_ms")]
    ended = datetime.datetime.fromisoformat(entry["timestamp"].replace("Z", "+00:00")).timestamp()
    # The log line is written after alerts and the like: 50 ms of room at the front.
    began = ended - sum(parts) / 1e3 - 0.05
    inside = [request for request in seen if request[1] >= began and request[2] <= ended + 0.05]
    # Nothing but a cold tick reads lists or histories; the background's are told apart by that.
    own = [r for r in inside if number == 0 or r[0].endswith("/books")]
    others = len(inside) - len(own)
    line = (
        f"{'cold' if number == 0 else f'warm {number}':>8} {sum(parts):9.1f} {parts[0]:9.1f} {parts[1]:9.2f} "
        f"{parts[2]:9.1f} {len(own):9} {depth(own):6}   {data['markets']} markets"
    )
    print(line + (f", {others} requests of the background at the same time" if others else ""))
    background.append(others)
    return {"wall": sum(parts), "decide": parts[1], "depth": depth(own), "requests": len(own), "markets": int(data["markets"])}


async def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("binary", type=pathlib.Path)
    parser.add_argument("--markets", type=int, default=1000)
    parser.add_argument("--latency-ms", type=float, default=50.0)
    parser.add_argument("--warm", type=int, default=5, help="warm ticks to measure")
    parser.add_argument("--follow", type=int, default=0, help="markets whose books are to be live (0: all are fetched)")
    parser.add_argument("--exchange", type=pathlib.Path, help="binary that runs the simulated exchange; the same when left out")
    parser.add_argument("--check", action="store_true")
    arguments = parser.parse_args()
    binary = str(arguments.binary.resolve())
    with tempfile.TemporaryDirectory() as folder:
        sandbox = subprocess.Popen(
            # Some more than are asked for: a few of them are always closed.
            [str((arguments.exchange or arguments.binary).resolve()), "sandbox", "--listen", "127.0.0.1:0", "--speed", "1", "--start", "now", "--markets", str(arguments.markets * 3 // 2)],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            cwd=folder,
        )
        program = server = None
        try:
            host, venue_port, prefixes = addresses(sandbox)
            proxy = Proxy((host, venue_port), arguments.latency_ms / 1e3)
            server, port = await proxy.start()
            path = pathlib.Path(folder, "config.yaml")
            path.write_text(config(port, prefixes, arguments.markets, arguments.follow))
            program = await asyncio.create_subprocess_exec(
                *[binary, "run", "--config", str(path), "--db", os.path.join(folder, "bench.db")],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                cwd=folder,
                env={**os.environ, "RUST_LOG": "warn,polymarket_agent::app=info"},
                limit=1 << 20,
            )
            entries = await ticks_of(program, arguments.warm + 1, 300)
            print(f"ticks over {arguments.markets} markets, each answer held back to {arguments.latency_ms:g} ms")
            print(f"{'':8} {'wall ms':>9} {'gather':>9} {'decide':>9} {'act':>9} {'requests':>9} {'depth':>6}")
            background = []
            figures = [described(n, entry, proxy.seen, background) for n, entry in enumerate(entries)]
        finally:
            if program and program.returncode is None:
                program.send_signal(signal.SIGTERM)
                await program.wait()
            if server:
                server.close()
            sandbox.terminate()
            sandbox.wait()
    warm = figures[1:]
    wall = statistics.median(figure["wall"] for figure in warm)
    decide = statistics.median(figure["decide"] for figure in warm)
    deepest = max(figure["depth"] for figure in warm)
    budgets = [
        (deepest <= DEPTH, f"{deepest} round trips deep (budget {DEPTH})"),
        (wall <= WARM_MS, f"median {wall:.0f} ms (budget {WARM_MS:g})"),
        (decide <= DECIDE_MS, f"decide {decide:.1f} ms (budget {DECIDE_MS:g})"),
    ]
    for kept, words in budgets:
        print(f"warm ticks: {words}{'' if kept else ': MISSED'}")
    if any(figure["markets"] < arguments.markets for figure in figures):
        sys.exit("a tick saw fewer markets than were asked for: these figures say nothing")
    if arguments.check and not all(kept for kept, _ in budgets):
        sys.exit(1)


if __name__ == "__main__":
    try:
        asyncio.run(main())
    except (RuntimeError, TimeoutError) as error:
        sys.exit(f"nothing was measured: {error!r}")
