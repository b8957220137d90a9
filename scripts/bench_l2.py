#!/usr/bin/env python3
"""Order book events per second of a replay with a quoting strategy, beside hftbacktest.

    python3 -m venv VENV && VENV/bin/pip install hftbacktest
    cargo build --release --example bench_l2
    VENV/bin/python scripts/bench_l2.py target/release/examples/bench_l2

Makes one stream of order book changes and trades of one token from a seed, writes it as this program's
input (JSON lines of the market channel) and hands the very same events to hftbacktest. A strategy quotes
on both sides two steps behind the best prices and looks again every so many ms of the recording's time.
Both programs read and decode (and hftbacktest compiles) beforehand; what is timed is the replay alone,
on one thread, the best of --runs. Both loops run one after the other in turn, so that a slow moment of
the machine meets both.

What differs, and in whose favour: hftbacktest replays each event twice, as the exchange has it and as
it arrives here (its data format has both times); it has one book model here (`roivec`, an array, the
faster of its two) and a queue model. Here each look of the strategy goes the way of a live tick: a
snapshot with the whole book, the strategy, sizing, risk gate, ledger events, marks, account history.
`market_maker` is the program's own strategy in place of the simple one. hftbacktest sells short; here
only what is held is offered.

--check exits with 1 where a ratio of the simple strategy is below 1.1 at --required events a look.
"""

import argparse
import json
import pathlib
import subprocess
import sys
import tempfile
import time

import numpy as np
from numba import njit, uint64
from numba.typed import Dict

import hftbacktest as hft
from hftbacktest import (
    BUY_EVENT, DEPTH_EVENT, EXCH_EVENT, GTX, LIMIT, LOCAL_EVENT, SELL_EVENT, TRADE_EVENT,
    BacktestAsset, ROIVectorMarketDepthBacktest,
)

STEP = 0.001
START_MS = 1_767_225_600_000  # 2026-01-01T00:00:00Z
BEHIND = 2  # steps behind the best price
SHARES = 10.0


@njit(cache=False)
def stream(count, seed, mean_gap):
    """kind (0 change, 1 trade), buyer's side, price in steps, size in hundredths, ms.

    A book of 999 prices around a wandering middle. Most changes are near the best prices, sizes are
    spread over three powers of ten, two changes in five take a level away, three events in a hundred are
    trades, each followed by the change that it makes.
    """
    np.random.seed(seed)
    bids, asks = np.zeros(1001, np.int64), np.zeros(1001, np.int64)
    kind, buys = np.zeros(count, np.int8), np.zeros(count, np.int8)
    price, size, at = np.zeros(count, np.int32), np.zeros(count, np.int64), np.zeros(count, np.int64)
    middle, now, n = 500, 0, 0
    bid, ask = 0, 0
    for p in range(440, 560):
        if p == 500:
            continue
        amount = np.int64(np.exp(np.random.normal(8.5, 1.5))) + 100
        kind[n], buys[n], price[n], size[n], at[n] = 0, 1 if p < 500 else 0, p, amount, 0
        if p < 500:
            bids[p] = amount
        else:
            asks[p] = amount
        n += 1
    bid, ask = 499, 501
    while n < count:
        now += np.int64(np.random.exponential(mean_gap))
        if np.random.random() < 0.03 and n + 1 < count:
            taker_buys = np.random.random() < 0.5
            p = ask if taker_buys else bid
            there = asks[p] if taker_buys else bids[p]
            taken = min(there, np.int64(np.exp(np.random.normal(7.5, 1.0))) + 100)
            kind[n], buys[n], price[n], size[n], at[n] = 1, 1 if taker_buys else 0, p, taken, now
            n += 1
            left = there - taken
            kind[n], buys[n], price[n], size[n], at[n] = 0, 0 if taker_buys else 1, p, left, now
            n += 1
            if taker_buys:
                asks[p] = left
            else:
                bids[p] = left
        else:
            buyer = np.random.random() < 0.5
            away = np.int64(np.random.exponential(6.0))
            if np.random.random() < 0.02:
                middle = min(max(middle + (1 if np.random.random() < 0.5 else -1), 150), 850)
            gap = ask - bid
            if gap > 3 and np.random.random() < 0.5:
                # A wide market is quoted into.
                away = -np.int64(np.random.random() * gap / 2)
            p = bid + 1 - away if buyer else ask - 1 + away
            # Nobody stands beyond the middle: it wanders, and the book with it.
            if buyer:
                p = min(p, min(ask - 1, middle - 1))
            else:
                p = max(p, max(bid + 1, middle + 1))
            p = min(max(p, 1), 999)
            amount = np.int64(0)
            if np.random.random() > 0.4:
                amount = np.int64(np.exp(np.random.normal(8.5, 1.5))) + 100
            if buyer:
                if bids[p] == amount:
                    continue
                bids[p] = amount
            else:
                if asks[p] == amount:
                    continue
                asks[p] = amount
            kind[n], buys[n], price[n], size[n], at[n] = 0, 1 if buyer else 0, p, amount, now
            n += 1
        bid = 999
        while bid > 1 and bids[bid] == 0:
            bid -= 1
        ask = 1
        while ask < 999 and asks[ask] == 0:
            ask += 1
        # Never an empty side.
        if bids[bid] == 0 and n < count:
            bid = max(min(ask - 1, middle - 1), 1)
            bids[bid] = 5_000
            kind[n], buys[n], price[n], size[n], at[n] = 0, 1, bid, 5_000, now
            n += 1
        if asks[ask] == 0 and n < count:
            ask = min(max(bid + 1, middle + 1), 999)
            asks[ask] = 5_000
            kind[n], buys[n], price[n], size[n], at[n] = 0, 0, ask, 5_000, now
            n += 1
    return kind, buys, price, size, at


def as_lines(path, events):
    """The market channel's messages; the first levels are the whole book."""
    kind, buys, price, size, at = (column.tolist() for column in events)
    first = next(i for i, moment in enumerate(at) if moment > 0)
    level = '{"price":"%.3f","size":"%.2f"}'
    with open(path, "w") as out:
        side = lambda buy: ",".join(level % (price[i] / 1000, size[i] / 100)
                                    for i in range(first) if buys[i] == buy)
        out.write('{"event_type":"book","market":"","asset_id":"7","timestamp":"%d","bids":[%s],"asks":[%s]}\n'
                  % (START_MS, side(1), side(0)))
        change = ('{"event_type":"price_change","market":"","asset_id":"7","timestamp":"%d","changes":'
                  '[{"price":"%.3f","size":"%.2f","side":"%s"}]}\n')
        trade = ('{"event_type":"last_trade_price","market":"","asset_id":"7","timestamp":"%d",'
                 '"price":"%.3f","size":"%.2f","side":"%s"}\n')
        for i in range(first, len(kind)):
            text = trade if kind[i] else change
            out.write(text % (START_MS + at[i], price[i] / 1000, size[i] / 100,
                              "BUY" if buys[i] else "SELL"))


def as_array(events):
    kind, buys, price, size, at = events
    array = np.zeros(len(kind), dtype=hft.event_dtype if hasattr(hft, "event_dtype") else
                     __import__("hftbacktest.binding", fromlist=["event_dtype"]).event_dtype)
    flags = np.where(kind == 1, TRADE_EVENT, DEPTH_EVENT).astype(np.uint64)
    flags |= np.where(buys == 1, np.uint64(BUY_EVENT), np.uint64(SELL_EVENT))
    array["ev"] = flags | np.uint64(EXCH_EVENT) | np.uint64(LOCAL_EVENT)
    array["exch_ts"] = array["local_ts"] = (at + START_MS) * 1_000_000
    array["px"], array["qty"] = price * STEP, size / 100
    return array


@njit
def quote(hbt, interval):
    looks, fills = 0, 0.0
    next_id = uint64(1)
    while hbt.elapse(interval) == 0:
        looks += 1
        hbt.clear_inactive_orders(0)
        depth = hbt.depth(0)
        if depth.best_bid_tick <= 0 or depth.best_ask_tick <= 0 or depth.best_ask_tick > 10_000:
            continue
        want_bid = depth.best_bid_tick - BEHIND
        want_ask = depth.best_ask_tick + BEHIND
        has_bid, has_ask = False, False
        orders = hbt.orders(0)
        values = orders.values()
        while values.has_next():
            order = values.get()
            if not order.cancellable:
                continue
            if order.side == 1:
                if order.price_tick == want_bid and not has_bid:
                    has_bid = True
                else:
                    hbt.cancel(0, order.order_id, False)
            else:
                if order.price_tick == want_ask and not has_ask:
                    has_ask = True
                else:
                    hbt.cancel(0, order.order_id, False)
        position = hbt.position(0)
        if not has_bid and position < 200:
            hbt.submit_buy_order(0, next_id, want_bid * STEP, SHARES, GTX, LIMIT, False)
            next_id += uint64(1)
        if not has_ask and position > -200:
            hbt.submit_sell_order(0, next_id, want_ask * STEP, SHARES, GTX, LIMIT, False)
            next_id += uint64(1)
    return looks


def rival(array, interval_ms):
    asset = (
        BacktestAsset().data([array]).linear_asset(1.0).constant_order_latency(0, 0)
        .power_prob_queue_model(2.0).no_partial_fill_exchange().trading_value_fee_model(0.0, 0.0)
        .tick_size(STEP).lot_size(0.01).last_trades_capacity(0).roi_lb(0.0).roi_ub(1.0)
    )
    hbt = ROIVectorMarketDepthBacktest([asset])
    began = time.perf_counter()
    looks = quote(hbt, interval_ms * 1_000_000)
    seconds = time.perf_counter() - began
    trades = int(hbt.state_values(0).num_trades)
    hbt.close()
    return seconds, looks, trades


def ours(binary, path, interval_ms, strategy):
    answer = subprocess.run([binary, str(path), str(interval_ms), strategy], check=True,
                            capture_output=True, text=True)
    return json.loads(answer.stdout)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("binary")
    parser.add_argument("--events", type=int, default=3_000_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--gap", type=float, default=20.5, help="mean ms between two events")
    parser.add_argument("--intervals", default="1000,10000,60000", help="ms between two looks")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--required", type=int, default=500, help="events a look that --check asks of")
    parser.add_argument("--check", action="store_true")
    args = parser.parse_args()
    events = stream(args.events, args.seed, args.gap)
    array = as_array(events)
    rival(array[:20_000], 1_000)  # compiles
    span = (events[4][-1] - events[4][0]) / 1000
    print(f"{args.events:,} events of one token over {span:,.0f} s of data; seed {args.seed}")
    print(f"hftbacktest {hft.__version__ if hasattr(hft, '__version__') else ''}, roivec, queue model power 2")
    missed = False
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "stream.jsonl"
        as_lines(path, events)
        print(f"{'look every':>11} {'events/look':>11} | {'hftbacktest':>13} | {'quotes':>13} {'ratio':>6}"
              f" | {'market_maker':>13} {'ratio':>6}")
        for interval in (int(text) for text in args.intervals.split(",")):
            best = {}
            for _ in range(args.runs):
                seconds, looks, trades = rival(array, interval)
                best["hft"] = min(best.get("hft", 1e9), seconds)
                for strategy in ("quotes", "market_maker"):
                    found = ours(args.binary, path, interval, strategy)
                    best[strategy] = min(best.get(strategy, 1e9), found["seconds"])
                    best[strategy + " told"] = found
            speed = {name: args.events / best[name] / 1e6 for name in ("hft", "quotes", "market_maker")}
            per_look = args.events / max(looks, 1)
            ratios = {name: speed[name] / speed["hft"] for name in ("quotes", "market_maker")}
            print(f"{interval / 1000:>9.1f} s {per_look:>11.0f} | {speed['hft']:>9.2f} M/s |"
                  f" {speed['quotes']:>9.2f} M/s {ratios['quotes']:>6.2f} |"
                  f" {speed['market_maker']:>9.2f} M/s {ratios['market_maker']:>6.2f}", flush=True)
            for name in ("quotes", "market_maker"):
                told = best[name + " told"]
                print(f"{'':>11} {name}: {told['looks']} steps, {told['fills']} fills,"
                      f" {told['decoded_events']} events decoded, {told['bytes_per_event']:.1f} bytes each;"
                      f" read in {told['read_seconds']:.1f} s")
            print(f"{'':>11} hftbacktest: {looks} looks, {trades} fills")
            missed |= per_look >= args.required and ratios["quotes"] < 1.1
    if args.check and missed:
        sys.exit("a ratio is below 1.1")


if __name__ == "__main__":
    main()
