#!/usr/bin/env python3
"""Profit and loss of a backtest, worked out again from its list of trades alone.

    polymarket-agent backtest DATA --trades --output result.json
    scripts/recompute_pnl.py result.json

It shares nothing with the program: the numbers are read as exact decimals, cash and positions are kept
with average cost, and every amount has to agree to the micro-dollar: what each fill cost or brought, what
each sale and settlement made, the cash, cost and equity at the end, the result by strategy and by market.
Exit status 1 and the first difference when something does not.
"""
import json
import sys
from collections import defaultdict
from decimal import ROUND_DOWN, Decimal

MICRO = Decimal("0.000001")


def down(value):
    return value.quantize(MICRO, rounding=ROUND_DOWN)


def check(what, told, found):
    if told != found:
        sys.exit(f"{what}: the result says {told}, the trades give {found}")


def share_of(total, part, whole):
    """The part of a total that some of the shares carry, rounded down; all of it with the last."""
    return total if part >= whole else down(total * part / whole)


def main(path):
    with open(path, encoding="utf-8") as file:
        result = json.load(file, parse_float=Decimal, parse_int=Decimal)
    if "trades" not in result:
        sys.exit("the file has no trades: write it with --trades, or into a folder")
    cash = result["starting_balance"]
    held = {}
    closed_pnl = defaultdict(Decimal)
    by_market = defaultdict(Decimal)
    fees = Decimal(0)
    kinds = defaultdict(int)
    for number, trade in enumerate(result["trades"], 1):
        here = f"trade {number} ({trade['timestamp']} {trade['side']} {trade['token_id'][:12]})"
        price, shares, size, fee = (trade[name] for name in ("price", "shares", "size", "fee"))
        kinds[trade["side"]] += 1
        check(f"{here}: price × shares", size, down(price * shares))
        fees += fee
        position = held.setdefault(trade["token_id"], [Decimal(0), Decimal(0), Decimal(0), None])
        if trade["side"] == "buy":
            if position[0] == 0:
                position[3] = trade["strategy"]
            position[0] += shares
            position[1] += size
            position[2] += fee
            cash -= size + fee
            by_market[trade["market_id"]] -= size + fee
            check(f"{here}: pnl of a purchase", trade["pnl"], None)
            continue
        if shares > position[0]:
            sys.exit(f"{here}: {shares} shares leave a position of {position[0]}")
        cost = share_of(position[1], shares, position[0])
        paid = share_of(position[2], shares, position[0])
        check(f"{here}: pnl", trade["pnl"], size - cost - paid - fee)
        closed_pnl[position[3]] += size - cost - paid - fee
        by_market[trade["market_id"]] += size - fee
        cash += size - fee
        position[0] -= shares
        position[1] -= cost
        position[2] -= paid
        if position[0] == 0:
            del held[trade["token_id"]]
    check("cash at the end", result["final_cash"], cash)
    check("positions at the end", {p["token_id"] for p in result["positions"]}, set(held))
    equity = cash
    open_pnl = Decimal(0)
    for position in result["positions"]:
        shares, cost, paid, _ = held[position["token_id"]]
        check(f"shares of {position['token_id'][:12]}", position["shares"], shares)
        check(f"cost of {position['token_id'][:12]}", position["cost"], cost)
        check(f"fees of {position['token_id'][:12]}", position["fees"], paid)
        value = position["value"] if position["value"] is not None else cost
        equity += value
        open_pnl += value - cost - paid
        by_market[position["market_id"]] += value
    check("equity at the end", result["final_equity"], equity)
    check("fees", result["metrics"]["fees"], fees)
    for row in result["by_strategy"]:
        check(f"closed result of {row['name']}", row["pnl"], closed_pnl.pop(row["name"], Decimal(0)))
    check("strategies without a row", {}, {k: v for k, v in closed_pnl.items() if v != 0})
    gained = equity - result["starting_balance"]
    check("sum over markets", sum(by_market.values(), Decimal(0)), gained)
    told = sorted(down_to_float(row["pnl"] + row["open_pnl"]) for row in result["by_market"])
    check("results by market", told, sorted(down_to_float(v) for v in by_market.values()))
    counted = ", ".join(f"{count} {side}" for side, count in sorted(kinds.items()))
    print(
        f"{len(result['trades'])} trades ({counted}): cash {cash}, {len(held)} open positions ({open_pnl:+} pUSD),"
        f" equity {equity}, result {gained:+} pUSD of which fees {fees}: all agree to the micro-dollar"
    )


def down_to_float(value):
    return value.quantize(MICRO)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(sys.argv[1])
