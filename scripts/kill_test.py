#!/usr/bin/env python3
"""Kills a busy server with SIGKILL at random moments, and looks after each restart at what is left.

    cargo build --release
    scripts/kill_test.py target/release/polymarket-agent --rounds 200

Runs the simulated exchange, and against it `serve --http` with ticks every second, while four
connections place, protect and cancel orders under their own client_order_ids. Each round kills the
server at a random moment (some while it still starts), then:

  * `verify` must accept the database: every event fits, every table is what the events say;
  * whatever a client was told to be done must be there (nothing answered is lost);
  * an order whose answer never came is sent again under the same client_order_id in the next round:
    no client_order_id may ever have two orders (nothing is doubled).

Ends with a line of counts; exit status 1 when anything does not hold. Needs only Python's library.
"""

import argparse
import http.client
import json
import os
import pathlib
import random
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time

INITIALIZE = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "kill", "version": "1"}}


class Gone(Exception):
    """The server went away before it answered."""


class Client:
    """One MCP session over HTTP."""

    def __init__(self, port):
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        self.headers = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}
        answer, headers = self.post({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": INITIALIZE})
        if "result" not in answer:
            raise RuntimeError(f"initialize was refused: {answer}")
        self.headers["MCP-Protocol-Version"] = "2025-11-25"
        if session := headers.get("mcp-session-id"):
            self.headers["Mcp-Session-Id"] = session
        self.post({"jsonrpc": "2.0", "method": "notifications/initialized"})
        self.number = 0

    def post(self, message):
        try:
            self.connection.request("POST", "/mcp", json.dumps(message), self.headers)
            response = self.connection.getresponse()
            text = response.read().decode()
        except (OSError, http.client.HTTPException) as error:
            raise Gone(str(error)) from error
        if "id" not in message:
            return None, response.headers
        for line in text.splitlines():
            line = line.removeprefix("data:").strip()
            if line.startswith("{") and '"jsonrpc"' in line:
                return json.loads(line), response.headers
        raise Gone(f"no answer in {text[:200]!r}")

    def call(self, tool, arguments):
        """(structured result, is it an error)"""
        self.number += 1
        request = {"jsonrpc": "2.0", "id": self.number, "method": "tools/call"}
        request["params"] = {"name": tool, "arguments": arguments}
        answer, _ = self.post(request)
        if "error" in answer:
            raise RuntimeError(f"{tool} {arguments}: {answer['error']}")
        result = answer["result"]
        return result.get("structuredContent") or {}, bool(result.get("isError"))


class Record:
    """What clients were told, and what they wait for."""

    def __init__(self):
        self.lock = threading.Lock()
        self.done = {}  # client_order_id -> structured result
        self.unknown = []  # (client_order_id, arguments)
        self.refused = {}  # code -> count
        self.next = 0

    def name(self):
        with self.lock:
            self.next += 1
            return f"kill-{self.next}"

    def answered(self, name, result, error):
        with self.lock:
            if error:
                code = result.get("code", "?")
                self.refused[code] = self.refused.get(code, 0) + 1
            else:
                self.done[name] = result

    def lost(self, name, arguments):
        with self.lock:
            self.unknown.append((name, arguments))

    def take_unknown(self):
        with self.lock:
            waiting, self.unknown = self.unknown, []
            return waiting


def trade(port, seed, record, stop):
    """Places orders of all kinds until the server goes away."""
    dice = random.Random(seed)
    try:
        client = Client(port)
        markets, error = client.call("search_markets", {"query": "", "limit": 20})
        listed = [] if error else markets.get("markets", [])
        if not listed:
            return
        for name, arguments in record.take_unknown():
            send(client, record, name, arguments)
        while not stop.is_set():
            market = dice.choice(listed)
            token = dice.choice(market["clob_token_ids"])
            price, error = client.call("get_price", {"token_id": token})
            if error or price.get("ask") is None or price.get("bid") is None:
                continue
            kind = dice.random()
            ask, bid = price["ask"], price["bid"]
            arguments = {"market_id": market["id"], "token_id": token, "side": "buy", "size": dice.choice([2, 3, 5])}
            if kind < 0.5:
                arguments.update(price=ask, order_type="FAK")
            elif kind < 0.8:
                arguments.update(price=bid, order_type="GTC", size=8)
            else:
                arguments.update(price=ask, order_type="FAK", stop_loss=round(max(0.01, bid * 0.5), 2))
            send(client, record, record.name(), arguments)
            if dice.random() < 0.15:
                client.call("cancel_order", {"all": True})
            if dice.random() < 0.2:
                portfolio, error = client.call("get_portfolio", {})
                held = [] if error else list(portfolio.get("positions", {}).items())
                for token, position in held[:1]:
                    arguments = {"market_id": position["market_id"], "token_id": token, "side": "sell", "size": 0.05}
                    arguments.update(price=0.01, order_type="FAK")
                    send(client, record, record.name(), arguments)
    except Gone:
        pass


def send(client, record, name, arguments):
    arguments = dict(arguments, client_order_id=name)
    try:
        result, error = client.call("place_trade", arguments)
    except Gone:
        record.lost(name, arguments)
        raise
    record.answered(name, result, error)


def start_exchange(binary, markets):
    process = subprocess.Popen(
        [binary, "sandbox", "--listen", "127.0.0.1:0", "--speed", "1", "--start", "now", "--markets", str(markets)],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )
    urls = {}
    for line in process.stdout:
        if match := re.search(r"(gamma|clob|data|ws)_url: (\S+)", line):
            urls[match.group(1)] = match.group(2)
        if len(urls) == 4:
            return process, urls
    raise RuntimeError("the simulated exchange ended without saying where it listens")


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def wait_for_port(port, process, seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if process.poll() is not None:
            return False
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return True
        except OSError:
            time.sleep(0.01)
    return False


def orders_in(db):
    """client_order_id -> how many orders, from the events alone."""
    with sqlite3.connect(f"file:{db}?mode=ro", uri=True) as connection:
        rows = connection.execute("SELECT payload FROM events WHERE kind = 'order_accepted'")
        counts = {}
        for (payload,) in rows:
            name = json.loads(payload)["order"]["client_order_id"]
            if name is not None:
                counts[name] = counts.get(name, 0) + 1
        return counts


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("binary", type=pathlib.Path)
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--longest", type=float, default=1.2, help="longest life of a server, seconds")
    options = parser.parse_args()
    binary = str(options.binary.resolve())
    dice = random.Random(options.seed)
    record, failures = Record(), []
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="kill-") as folder:
        folder = pathlib.Path(folder)
        exchange, urls = start_exchange(binary, 30)
        try:
            venue = ", ".join(f"{name}_url: '{url}'" for name, url in urls.items())
            config, db = folder / "config.yaml", folder / "ledger.db"
            config.write_text(
                f"starting_balance: 100000\nvenue: {{{venue}, rate_share: 1.0}}\n"
                "risk: {max_daily_loss: 90000, max_total_exposure: 90000, max_market_exposure: 9000, "
                "max_event_exposure: 90000, max_strategy_exposure: 90000, max_open_orders: 200, "
                "max_orders_per_minute: 100000}\n"
                "gather: {max_markets: 30, follow_markets: 30}\nconditional_orders: {enabled: true}\n"
                "strategies: {signal_trader: {enabled: true, volume_threshold: 0, price_move_threshold: 0.01}, "
                "market_maker: {enabled: true, min_liquidity: 0}, arbitrageur: {enabled: true}}\n"
                "scheduler: {jobs: [{name: tick, cron: '* * * * * *', tool: tick}]}\n"
            )
            starting = 0
            for number in range(options.rounds):
                port = free_port()
                with open(folder / "log", "wb") as log:
                    server = subprocess.Popen(
                        [binary, "serve", "--http", f"127.0.0.1:{port}", "--config", config, "--db", db],
                        stdout=subprocess.DEVNULL, stderr=log,
                    )
                    stop, threads = threading.Event(), []
                    # Every tenth dies while it opens its ledger or takes its first calls.
                    if number % 10 == 9:
                        starting += 1
                        time.sleep(dice.uniform(0.0, 0.15))
                    elif wait_for_port(port, server, 20):
                        for index in range(4):
                            arguments = (port, dice.random(), record, stop)
                            threads.append(threading.Thread(target=trade, args=arguments))
                            threads[-1].start()
                        time.sleep(dice.uniform(0.05, options.longest))
                    else:
                        text = (folder / "log").read_text(errors="replace")[-2000:]
                        failures.append(f"round {number}: the server did not start: {text}")
                    server.send_signal(signal.SIGKILL)
                    server.wait()
                    stop.set()
                    for thread in threads:
                        thread.join()
                if not db.exists():
                    continue
                checked = subprocess.run([binary, "verify", "--db", db, "--json"], capture_output=True, text=True)
                if checked.returncode != 0:
                    failures.append(f"round {number}: verify: {checked.stdout[-1500:]} {checked.stderr[-500:]}")
                counts = orders_in(db)
                twice = {name: count for name, count in counts.items() if count > 1}
                if twice:
                    failures.append(f"round {number}: placed more than once: {twice}")
                missing = [name for name in record.done if name not in counts]
                if missing:
                    failures.append(f"round {number}: answered, but not there: {missing[:5]}")
                if failures:
                    break
            orders = orders_in(db)
            with sqlite3.connect(f"file:{db}?mode=ro", uri=True) as connection:
                kinds = dict(connection.execute("SELECT kind, count(*) FROM events GROUP BY kind"))
        finally:
            exchange.terminate()
            exchange.wait()
    for failure in failures:
        print(failure)
    print(
        f"{options.rounds} rounds in {time.monotonic() - began:.0f} s ({starting} killed while starting): "
        f"{sum(kinds.values())} events, {len(orders)} client orders, {len(record.done)} answered, "
        f"{kinds.get('filled', 0)} fills, {kinds.get('order_rested', 0)} rested, {kinds.get('tick_completed', 0)} ticks; "
        f"refusals {record.refused}; {len(failures)} failures"
    )
    busy = kinds.get("filled", 0) > options.rounds // 4 and kinds.get("order_rested", 0) > options.rounds // 10
    if not busy:
        print("the run was not busy: this proves nothing")
    return 1 if failures or not busy else 0


if __name__ == "__main__":
    sys.exit(main())
