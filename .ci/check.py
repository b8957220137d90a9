#!/usr/bin/env python3
"""Checks of what the program printed, for .ci/run: demo A B, tick FILE, backtest FILE, tools FOLDER."""

import json
import math
import os
import sys


def strict(path):
    """JSON as the standard has it: no NaN, no Infinity."""

    def refuse(constant):
        sys.exit(f"{path} holds {constant}, which is not JSON")

    with open(path, encoding="utf-8") as file:
        return json.load(file, parse_constant=refuse)


def must(condition, message):
    if not condition:
        sys.exit(message)


def field(value, name, where):
    must(isinstance(value, dict) and name in value, f"{where} has no {name}: {json.dumps(value)[:400]}")
    return value[name]


def size(value):
    """How many: a number says it itself; lists and maps of counts are added up, other lists counted."""
    if isinstance(value, (int, float)):
        return value
    if isinstance(value, dict):
        return sum(size(v) for v in value.values() if not isinstance(v, str))
    return len(value)


def last_number(value, where):
    """A number, or the last value of a curve (numbers, or points that name their value)."""
    if isinstance(value, list):
        must(value, f"{where} is empty")
        value = value[-1]
        if isinstance(value, dict):
            value = next((value[k] for k in ("equity", "total_value", "value") if k in value), None)
    must(isinstance(value, (int, float)) and math.isfinite(value), f"{where} is no number: {value!r}")
    return value


def demo(first, second):
    a, b = strict(first), strict(second)
    for name in ("ticks", "markets", "signals", "orders", "fills"):
        must(size(field(a, name, "the demo")) > 0, f"the demo shows no {name}")
    must(size(a["ticks"]) == 6, f"6 ticks were asked for, the demo says {a['ticks']}")
    for name in ("fees", "cash", "equity"):
        one, two = (last_number(field(run, name, "the demo"), name) for run in (a, b))
        must(one == two, f"the same seed gave {name} {one} and then {two}")
    for name in ("signals", "orders", "fills"):
        must(size(a[name]) == size(b[name]), f"the same seed gave {size(a[name])} and then {size(b[name])} {name}")
    fees, cash, equity = (last_number(a[name], name) for name in ("fees", "cash", "equity"))
    must(fees >= 0 and cash >= 0 and equity > 0, f"fees {fees}, cash {cash}, equity {equity}")
    print(
        f"demo twice with one seed: {size(a['orders'])} orders, {size(a['fills'])} fills, "
        f"fees {fees}, cash {cash}, equity {equity}, both times"
    )


def tick(path):
    answer = strict(path)
    markets = size(field(answer, "markets", "the tick"))
    must(markets > 0, "the tick saw no market in real data")
    for name in ("signals", "trades"):
        if name in answer:
            print(f"{name}: {size(answer[name])}", end="; ")
    print(f"markets: {markets}")


def backtest(path):
    answer = strict(path)
    metrics = field(answer, "metrics", "the backtest")
    for name in ("total_return", "sharpe_ratio", "max_drawdown", "win_rate", "profit_factor", "total_trades"):
        field(metrics, name, "metrics")
    must(metrics["total_trades"] == field(answer, "total_trades", "the backtest"), "two different numbers of trades")
    must(len(field(answer, "snapshots", "the backtest")) > 1, "no equity curve")
    must(0 <= metrics["max_drawdown"] <= 1, f"max_drawdown is {metrics['max_drawdown']}")
    print(json.dumps(metrics))


def tools(folder):
    names = sorted(name[:-5] for name in os.listdir(folder) if name.endswith(".json"))
    must(22 <= len(names) <= 25, f"{len(names)} tools; there are to be 22 to 25")
    total = 0
    for name in names:
        contract = strict(os.path.join(folder, f"{name}.json"))
        must(contract.get("name") == name, f"{name}.json describes {contract.get('name')}")
        must(contract.get("title") or contract.get("annotations", {}).get("title"), f"{name} has no title")
        for hint in ("readOnlyHint", "openWorldHint"):
            must(hint in contract.get("annotations", {}), f"{name} does not say {hint}")
        must(contract.get("outputSchema"), f"{name} has no outputSchema")
        must(
            contract.get("inputSchema", {}).get("additionalProperties") is False,
            f"{name} lets unknown parameters pass",
        )
        total += len(json.dumps(contract, separators=(",", ":"), ensure_ascii=False).encode())
    must(total <= 40_000, f"the tools take {total} bytes; 40,000 is the most")
    print(f"{len(names)} tools, {total} bytes")


if __name__ == "__main__":
    {"demo": demo, "tick": tick, "backtest": backtest, "tools": tools}[sys.argv[1]](*sys.argv[2:])
