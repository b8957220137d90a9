#!/usr/bin/env python3
"""One agent's day, through clients that nobody here wrote.

    story.py sdk       [--era legacy|auto|modern] [--data DIR] [--query TEXT] http://127.0.0.1:8080/mcp
    story.py sdk       … -- polymarket-agent serve --source sandbox --db FILE
    story.py inspector … (either target; INSPECTOR names the command, see inspector.sh)

search -> detail -> analyse with an estimate -> dry run -> trade -> stop -> portfolio -> backtest ->
report. Each step checks values and prints one line; the first that is wrong ends the run with 1.
`sdk` needs PyPI `mcp` 2.x; `inspector` needs only Python's own library.
"""

import argparse
import asyncio
import csv
import datetime
import os
import random
import sys
import tempfile

import connect
import shapes

# pUSD asked for: above the venue's usual five shares at any price below 1, far below any limit.
SIZE = 10.0
# Money is exact on the server and travels as a JSON number.
EXACT = 1.5e-6
BACKTEST_FIELDS = ("total_return", "sharpe_ratio", "max_drawdown", "win_rate", "profit_factor")
TOOLS = {
    "search_markets", "get_market_detail", "get_price_history", "get_event", "get_price", "get_spread",
    "get_volume", "get_positions", "get_leaderboard", "get_portfolio", "get_signals", "refresh_signals",
    "place_trade", "analyze_market", "run_backtest", "get_signal_log", "get_portfolio_snapshots",
    "get_strategy_performance", "health_check", "get_conditional_orders", "cancel_conditional_order",
    "create_conditional_order",
}  # fmt: skip


class Wrong(Exception):
    """A value is not what it must be."""


def must(condition, message):
    if not condition:
        raise Wrong(message)


def near(got, wanted, what, tolerance=EXACT):
    must(abs(got - wanted) <= tolerance, f"{what} is {got!r}, expected {wanted!r}")


def write_backtest_data(folder):
    """Three fair markets over twenty days, of which two resolve: enough for a small honest replay."""
    source = random.Random(7)
    start = datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc)
    stamp = lambda hour: (start + datetime.timedelta(hours=hour)).strftime("%Y-%m-%dT%H:%M:%SZ")
    price = {"901": 0.3, "902": 0.5, "903": 0.7}
    with open(os.path.join(folder, "prices.csv"), "w", newline="", encoding="utf-8") as file:
        out = csv.writer(file)
        out.writerow(["timestamp", "market_id", "question", "yes_price", "volume", "token_id"])
        for hour in range(480):
            for market, value in price.items():
                out.writerow([stamp(hour), market, f"Will example {market} happen?", value, 50000 + hour, f"{market}1"])
                price[market] = min(0.97, max(0.03, round(value + source.choice((-0.01, 0, 0.01)), 2)))
    with open(os.path.join(folder, "resolutions.csv"), "w", newline="", encoding="utf-8") as file:
        out = csv.writer(file)
        out.writerow(["market_id", "token_id", "resolved_at", "outcome", "basis"])
        out.writerow(["901", "9011", stamp(480), "No", "example"])
        out.writerow(["903", "9031", stamp(480), "Yes", "example"])


class Story:
    def __init__(self, client, data, query):
        self.client, self.data, self.query, self.number = client, data, query, 0

    async def call(self, tool, **arguments):
        answer, _ = await self.client.call(tool, arguments)
        return answer

    def tell(self, step, line):
        self.number += 1
        print(f"{self.number:2} {step:<11} {line}", flush=True)

    async def tools(self):
        missing = TOOLS - set(await self.client.tools())
        must(not missing, f"tools/list lacks {sorted(missing)}")
        health = await self.call("health_check")
        must(health.get("mode") == "paper", f"mode is {health.get('mode')!r}; this story trades on paper only")
        must(isinstance(health.get("version"), str), "health_check names no version")
        self.tell("connect", f"{self.client.describe()}; version {health['version']}, status {health['status']}")

    async def search(self):
        """An unheld, two-sided market whose ask leaves room for a bet."""
        found = shapes.markets(await self.call("search_markets", query=self.query, limit=25))
        must(0 < len(found) <= 25, f"{len(found)} markets found")
        held = set(shapes.positions(await self.call("get_portfolio")))
        for market in found:
            for name, token, _ in shapes.outcomes(market):
                quote = await self.call("get_price", token_id=token)
                bid, ask = quote.get("bid"), quote.get("ask")
                if token in held or bid is None or ask is None or not 0.1 <= float(ask) <= 0.9:
                    continue
                self.market, self.token, self.outcome = market["id"], token, name
                self.bid, self.ask = float(bid), float(ask)
                must(self.bid < self.ask, f"crossed book: bid {bid}, ask {ask}")
                near(shapes.number(quote, "spread"), self.ask - self.bid, "spread")
                self.tell("search", f"{len(found)} markets; {market['question'][:60]!r} {name}: {bid} / {ask}")
                return
        raise Wrong(f"none of {len(found)} markets has an unheld outcome with a bid and an ask in 0.1..0.9")

    async def detail(self):
        detail = await self.call("get_market_detail", market_id=self.market)
        must(detail.get("id") == self.market, f"asked for {self.market}, got {detail.get('id')}")
        names = {token: name for name, token, _ in shapes.outcomes(detail)}
        must(names.get(self.token) == self.outcome, f"{self.outcome} is {self.token}, but the detail has {names}")
        self.tell("detail", f"{len(names)} outcomes, ends {detail.get('end_date')}")

    async def analyze(self):
        probability = round(min(0.97, self.ask + 0.05), 3)
        answer = await self.call(
            "analyze_market", market_id=self.market, outcome=self.outcome, probability=probability,
            confidence=0.6, author="client-story", rationale="A fixed estimate of a test story.",
        )  # fmt: skip
        near(shapes.estimate_probability(answer), probability, "stored probability", 1e-9)
        self.tell("analyze", f"estimate {probability} stored for {self.outcome}")

    def order(self, **more):
        # 1 is refused, so the most that may be paid is the ask and something, for a market that moves
        # on meanwhile, on the coarsest grid
        # that this range of prices has.
        limit = min(0.99, round(self.ask + 0.05, 2))
        return dict(
            market_id=self.market, token_id=self.token, side="buy", size=SIZE, price=limit, order_type="FAK", **more
        )

    async def dry_run(self):
        before = await self.call("get_portfolio")
        answer = await self.call("place_trade", **self.order(dry_run=True))
        must(shapes.is_preview(answer), f"the answer does not say that it is a preview: {answer}")
        self.preview = shapes.filled(answer)
        after = await self.call("get_portfolio")
        must(after["balance"] == before["balance"], "a dry run changed the balance")
        must(self.token not in shapes.positions(after), "a dry run opened a position")
        self.tell("dry run", "would fill {:.6f} shares for {:.6f} + fee {:.6f}".format(*self.preview))

    async def trade(self):
        before = shapes.number(await self.call("get_portfolio"), "balance")
        order = self.order(client_order_id=f"story-{os.urandom(6).hex()}")
        answer = await self.call("place_trade", **order)
        must("filled" in str(answer.get("status")), f"status is {answer.get('status')!r}")
        shares, spent, fee = shapes.filled(answer)
        must(shares > 0 and fee >= 0, f"{shares} shares, fee {fee}")
        must(spent <= SIZE + EXACT, f"spent {spent} of at most {SIZE}")
        must(spent / shares <= order["price"] + 1e-6, f"paid {spent / shares} above the limit {order['price']}")
        # The same book as a moment ago: the preview has to have told the truth.
        if abs(self.preview[0] - shares) > EXACT:
            print(f"   note: the book moved between preview ({self.preview[0]} shares) and trade ({shares})")
        portfolio = await self.call("get_portfolio")
        near(shapes.number(portfolio, "balance"), before - spent - fee, "balance after the trade")
        near(shapes.number(shapes.positions(portfolio)[self.token], "shares"), shares, "shares held")
        again = await self.call("place_trade", **order)
        now = await self.call("get_portfolio")
        must(now["balance"] == portfolio["balance"], f"the same client_order_id was traded twice: {again}")
        self.shares = shares
        self.tell("trade", f"{shares:.6f} shares for {spent:.6f} + fee {fee:.6f}; sent twice, done once")

    async def stop(self):
        trigger = max(0.01, round(self.bid / 2, 2))
        answer = await self.call(
            "create_conditional_order", token_id=self.token, market_id=self.market,
            order_type="stop_loss", trigger_price=trigger,
        )  # fmt: skip
        must(answer.get("status") == "created", f"status is {answer.get('status')!r}")
        number = shapes.number(answer, "order_id")
        listed = shapes.conditional_orders(await self.call("get_conditional_orders"))
        mine = [row for row in listed if row.get("id") == number]
        must(len(mine) == 1, f"order {number} is listed {len(mine)} times")
        near(shapes.number(mine[0], "trigger_price"), trigger, "trigger")
        near(shapes.number(mine[0], "size"), self.shares, "size of the stop (default: the whole position)")
        self.tell("stop", f"number {number:.0f} sells {self.shares:.6f} shares at or below {trigger}")

    async def portfolio(self):
        portfolio = await self.call("get_portfolio")
        position = shapes.positions(portfolio)[self.token]
        must(position.get("market_id") == self.market, f"the position is in market {position.get('market_id')}")
        near(shapes.number(position, "shares"), self.shares, "shares held")
        balance, total = shapes.number(portfolio, "balance"), shapes.number(portfolio, "total_value")
        must(total > balance, f"total value {total} is not above the cash {balance} though shares are held")
        self.tell("portfolio", f"cash {balance:.6f}, total {total:.6f}, {len(shapes.positions(portfolio))} positions")

    async def backtest(self):
        answer, links = await self.client.call("run_backtest", {"data_dir": self.data})
        metrics = shapes.field(answer, "metrics")
        for name in BACKTEST_FIELDS:
            must(name in metrics, f"metrics lack {name}")
        trades = shapes.number(answer, "total_trades")
        must(shapes.number(metrics, "total_trades", of="metrics") == trades, "two different numbers of trades")
        snapshots = shapes.rows(answer, "snapshots")
        must(1 <= len(snapshots) <= 50, f"{len(snapshots)} snapshots")
        times = [row["timestamp"] for row in snapshots]
        must(times == sorted(times), "snapshots are not in order of time")
        self.report, self.trades = shapes.report_uri(answer, links), int(trades)
        self.tell("backtest", f"{self.trades} trades, return {metrics['total_return']}; report {self.report}")

    async def read_report(self):
        kind, text = await self.client.read(self.report)
        must(kind and kind.startswith("text/"), f"the report is {kind!r}")
        must(len(text) > 200, f"the report has {len(text)} characters")
        must(f"{self.trades:,}" in text or str(self.trades) in text, f"the report does not say {self.trades} trades")
        self.tell("report", f"{len(text)} characters of {kind}")

    async def run(self):
        for step in (
            self.tools, self.search, self.detail, self.analyze, self.dry_run, self.trade, self.stop,
            self.portfolio, self.backtest, self.read_report,
        ):  # fmt: skip
            try:
                await step()
            except (Wrong, shapes.ShapeError, connect.ClientFailure, KeyError) as error:
                raise Wrong(f"{step.__name__}: {type(error).__name__}: {error}") from error


async def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("client", choices=["sdk", "inspector"])
    parser.add_argument("--era", choices=["legacy", "auto", "modern"], default="legacy")
    parser.add_argument("--data", help="folder for run_backtest; without it a small one is made")
    parser.add_argument("--query", default="", help="what to search for; empty lists what there is")
    parser.add_argument("target", nargs="+", help="URL, or the server's command line after --")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="story-") as folder:
        if not options.data:
            write_backtest_data(folder)
        # Inspector would otherwise keep its catalogue in the home directory.
        os.environ["MCP_CATALOG_PATH"] = os.path.join(folder, "catalog.json")
        os.environ["MCP_CLIENT_CONFIG_PATH"] = os.path.join(folder, "client.json")
        async with getattr(connect, options.client)(options.target, options.era) as client:
            await Story(client, os.path.abspath(options.data or folder), options.query).run()


def innermost(error):
    """Task groups wrap what went wrong, sometimes more than once."""
    while isinstance(error, BaseExceptionGroup) and error.exceptions:
        error = error.exceptions[0]
    return error


if __name__ == "__main__":
    try:
        asyncio.run(main())
    except Exception as error:  # noqa: BLE001: whatever it is, one line says it and the exit tells
        cause = innermost(error)
        print(f"story failed: {type(cause).__name__}: {cause}", file=sys.stderr)
        sys.exit(1)
    print("story complete")
