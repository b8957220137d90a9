"""Where each field of the tools' answers is, in one place: a changed shape is changed here.

Every function fails with the field's name and what was there instead.
"""

import json
import math


class ShapeError(Exception):
    """An answer does not have the expected form."""


def field(answer, *names, of="the answer"):
    """The first of `names` that is present and not null."""
    for name in names:
        if isinstance(answer, dict) and answer.get(name) is not None:
            return answer[name]
    raise ShapeError(f"{of} has none of {', '.join(names)}: {json.dumps(answer)[:500]}")


def number(answer, *names, of="the answer"):
    """A finite number; text counts when it is one."""
    value = field(answer, *names, of=of)
    try:
        value = float(value)
    except (TypeError, ValueError):
        raise ShapeError(f"{names[0]} of {of} is no number: {value!r}") from None
    if not math.isfinite(value):
        raise ShapeError(f"{names[0]} of {of} is not finite")
    return value


def rows(answer, *names):
    """A list of objects under one of `names`."""
    value = field(answer, *names)
    if not isinstance(value, list):
        raise ShapeError(f"{names[0]} is no list: {json.dumps(value)[:300]}")
    return value


def markets(answer):
    """search_markets: its markets."""
    return rows(answer, "markets")


def outcomes(market):
    """Outcomes of a market: [(name, token id, price or None)]."""
    names, tokens = rows(market, "outcomes"), rows(market, "clob_token_ids")
    prices = rows(market, "outcome_prices")
    if not len(names) == len(tokens) == len(prices):
        raise ShapeError(f"outcomes, token ids and prices differ in number: {json.dumps(market)[:500]}")
    return list(zip(names, tokens, prices))


def positions(portfolio):
    """get_portfolio: token id -> position."""
    value = field(portfolio, "positions", of="the portfolio")
    if not isinstance(value, dict):
        raise ShapeError(f"positions is no map by token: {json.dumps(value)[:300]}")
    return value


def estimate_probability(analysis):
    """analyze_market: the probability of the estimate that was just stored, which is the newest."""
    if analysis.get("estimate_stored") is not True:
        raise ShapeError(f"no estimate was stored: {json.dumps(analysis)[:500]}")
    estimates = rows(analysis, "estimates")
    if not estimates:
        raise ShapeError("the stored estimate is not listed")
    return number(estimates[0], "probability", of="the estimate")


def is_preview(answer):
    """place_trade: whether this answer says that nothing was traded."""
    return answer.get("dry_run") is True or answer.get("status") in ("dry_run", "preview")


def filled(answer):
    """place_trade: (shares, spent pUSD without fee, fee), of what was or would be filled."""
    return (
        number(answer, "shares", "filled_shares", of="the trade"),
        number(answer, "notional", "filled_size", "size", of="the trade"),
        number(answer, "fee", "fees", of="the trade"),
    )


def conditional_orders(answer):
    """get_conditional_orders: its rows."""
    return rows(answer, "orders", "conditional_orders")


def report_uri(answer, links):
    """run_backtest: the resource that holds its report."""
    for name in ("report_uri", "report", "uri", "resource"):
        value = answer.get(name)
        if isinstance(value, str) and "://" in value:
            return value
    for link in links:
        if "backtest" in link:
            return link
    raise ShapeError(f"run_backtest names no report resource: {json.dumps(answer)[:500]}")
