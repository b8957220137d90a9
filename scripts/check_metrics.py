#!/usr/bin/env python3
"""Measures of an equity curve by other people's libraries, for the backtester's own to be held against.

    python3 -m venv v && v/bin/pip install empyrical-reloaded quantstats
    v/bin/python scripts/check_metrics.py            # does tests/curves/equity_curve.json hold?
    v/bin/python scripts/check_metrics.py --write    # makes it anew

The curve is made up here from a fixed seed. tests/curves/equity_curve.json holds it with the expected
values; `cargo test metrics_equal_those_of_independent_libraries` compares the program with them to 1e-9.
docs/backtesting.md says where definitions differ.
"""
import json
import math
import sys
import warnings
from pathlib import Path

import numpy as np
import pandas as pd

warnings.filterwarnings("ignore")
import empyrical as ep  # noqa: E402
import quantstats.stats as qs  # noqa: E402

FILE = Path(__file__).resolve().parent.parent / "tests" / "curves" / "equity_curve.json"
DAYS = 400
YEAR = 365.25
START = pd.Timestamp("2025-01-01", tz=None)


def curve():
    """Equity in micro-dollars at midnight of each day: a walk with fat tails, of a generator of 64 bits."""
    state = 20261128
    equity, out = 1_000_000_000, [1_000_000_000]
    for _ in range(DAYS):
        total = 0.0
        for _ in range(4):
            state = (state * 6364136223846793005 + 1442695040888963407) % 2**64
            total += (state >> 11) / 2**53 - 0.5
        shock = total * (4.0 if state % 29 == 0 else 1.0)
        equity = int(equity * (1.0 + 0.0006 + 0.012 * shock))
        out.append(equity)
    return out


def expected(micros):
    values = pd.Series([m / 1e6 for m in micros], index=pd.date_range(START, periods=len(micros)))
    returns = values.pct_change().iloc[1:]
    plain = returns.to_numpy()
    falls = qs.drawdown_details(qs.to_drawdown_series(returns))
    found = {
        "total_return": ep.cum_returns_final(plain),
        "cagr": ep.annual_return(plain, annualization=YEAR),
        "sharpe_ratio": ep.sharpe_ratio(plain, annualization=YEAR),
        "sortino_ratio": ep.sortino_ratio(plain, annualization=YEAR),
        "calmar_ratio": ep.calmar_ratio(plain, annualization=YEAR),
        "volatility": ep.annual_volatility(plain, annualization=YEAR),
        "max_drawdown": -ep.max_drawdown(plain),
        "tail_ratio": ep.tail_ratio(plain),
        "expected_shortfall_5": ep.conditional_value_at_risk(plain, cutoff=0.05),
        "skew": float(qs.skew(returns, prepare_returns=False)),
        "kurtosis": float(qs.kurtosis(returns, prepare_returns=False)),
        "best_day": float(qs.best(returns, prepare_returns=False)),
        "worst_day": float(qs.worst(returns, prepare_returns=False)),
        # Given in percent there.
        "average_drawdown": -float(falls["max drawdown"].mean()) / 100.0,
    }
    found = {name: float(value) for name, value in found.items()}
    # Both libraries agree where both have the measure.
    twins = {
        "sharpe_ratio": qs.sharpe(returns, periods=YEAR),
        "sortino_ratio": qs.sortino(returns, periods=YEAR),
        "volatility": qs.volatility(returns, periods=YEAR, prepare_returns=False),
        "max_drawdown": -qs.max_drawdown(returns),
    }
    for name, twin in twins.items():
        assert math.isclose(found[name], float(twin), rel_tol=1e-9), (name, found[name], float(twin))
    return found


def main():
    micros = curve()
    values = expected(micros)
    if "--write" in sys.argv[1:]:
        FILE.write_text(json.dumps({"start": "2025-01-01T00:00:00Z", "step_seconds": 86400,
                                    "equity_micros": micros, "expected": values}, indent=1) + "\n")
        print(f"written: {FILE}")
        return
    told = json.loads(FILE.read_text())
    assert told["equity_micros"] == micros, "the curve is another"
    for name, value in values.items():
        error = abs(told["expected"][name] - value) / max(1.0, abs(value))
        print(f"{name:22} {value:+.15f}  off by {error:.1e}")
        assert error < 1e-12, name
    print(f"{len(values)} measures hold to 1e-12 (empyrical {ep.__version__}, numpy {np.__version__})")


if __name__ == "__main__":
    main()
