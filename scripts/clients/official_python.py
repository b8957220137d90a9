#!/usr/bin/env python3
"""Goes through the venue's official Python clients against a running sandbox, and prints a table.

    pip install polymarket-client==0.14.0 py-clob-client-v2==1.2.1     # in a virtual environment
    polymarket-agent sandbox --speed 1 &
    python scripts/clients/official_python.py [http://127.0.0.1:8090]

The key is the first of Anvil's public test accounts: never fund it. The exit code is the number of
steps that did not work.
"""

import json
import sys
import time
import urllib.request

BASE = (sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:8090").rstrip("/")
# Anvil's public test accounts 0 and 1.
KEYS = (
    "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80",
    "0x59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d",
)
ROWS = []


def read(path):
    with urllib.request.urlopen(f"{BASE}{path}", timeout=30) as answer:
        return json.load(answer)


def step(client, name, action):
    """Runs one step; its result, or None when it fails."""
    try:
        result = action()
        text = str(result).replace("\n", " ")
        ROWS.append((client, name, "works", text[:90]))
        return result
    except Exception as error:  # the table is about whatever goes wrong
        ROWS.append((client, name, "FAILS", f"{type(error).__name__}: {error}"[:200]))
        return None


def want(condition, text):
    """Fails the step unless the answer is as it should be."""
    if not condition:
        raise AssertionError(text)
    return text


def place(version="v1", neg_risk=False):
    """Condition, token and tick of a market with both sides quoted around the middle."""
    page = read("/gamma/markets/keyset?limit=100")
    for row in page["markets"]:
        if row.get("version") != version or bool(row.get("negRisk")) != neg_risk:
            continue
        bid, ask = row.get("bestBid"), row.get("bestAsk")
        if bid and ask and 0.15 < bid < ask < 0.85 and row["acceptingOrders"]:
            ids = "positionIds" if version == "v2" else "clobTokenIds"
            tokens = row[ids] if isinstance(row[ids], list) else json.loads(row[ids])
            return row["conditionId"], tokens[0], row["orderPriceMinTickSize"]
    raise SystemExit("no suitable market: start the sandbox with more --markets")


def follow_the_sandbox_clock():
    """`polymarket-client` signs with the machine's time and cannot ask for the server's."""
    real = time.time
    offset = read("/clob/time") - real()
    time.time = lambda: real() + offset


def newest(condition, token, tick):
    """The newest official client, `polymarket-client`."""
    name = "polymarket-client"
    import dataclasses

    from polymarket import SecureClient
    from polymarket._internal.environment import PRODUCTION_CONFIG, create_environment

    config = dataclasses.replace(
        PRODUCTION_CONFIG,
        clob_url=f"{BASE}/clob",
        gamma_url=f"{BASE}/gamma",
        data_url=f"{BASE}/data",
        relayer_url=f"{BASE}/relayer",
        rpc_url=f"{BASE}/rpc",
        clob_user_ws_url=BASE.replace("http", "ws", 1) + "/ws/user",
        clob_market_ws_url=BASE.replace("http", "ws", 1) + "/ws/market",
    )
    environment = create_environment(name="sandbox", config=config)
    from eth_account import Account

    def connect():
        wallet = Account.from_key(KEYS[0]).address
        return SecureClient.create(private_key=KEYS[0], wallet=wallet, environment=environment)

    client = step(name, "API key (L1), EOA wallet", connect)
    if client is None:
        return
    step(name, "API keys (L2)", client.fetch_api_keys)
    step(name, "closed-only mode", client.get_closed_only_mode)
    step(name, "markets (Gamma)", lambda: client.list_markets(page_size=1).first_page().items[0].id)
    book = step(name, "order book", lambda: client.get_order_book(asset_id=token))
    step(name, "balance", lambda: client.get_balance_allowance(asset_type="COLLATERAL").balance)
    order = step(
        name,
        "limit order (GTC)",
        lambda: client.place_limit_order(asset_id=token, price=tick, size=10, side="BUY"),
    )
    if order is not None and order.ok:
        step(name, "order by id", lambda: client.get_order(order_id=order.order_id).status)
        step(name, "open orders", lambda: len(client.list_open_orders().first_page().items))
        step(name, "order scoring", lambda: client.get_order_scoring(order_id=order.order_id))
        step(
            name,
            "cancel",
            lambda: want(
                client.cancel_order(order_id=order.order_id).canceled == (order.order_id,),
                "cancelled",
            ),
        )
        again = lambda: client.cancel_order(order_id=order.order_id).not_canceled
        step(name, "cancel again (200, not_canceled)", again)
    if book is not None and book.asks:
        best = min(level.price for level in book.asks)
        bought = step(
            name,
            "market order (FAK buy, $5)",
            lambda: client.place_market_order(
                asset_id=token, side="BUY", amount=5, max_price=best, order_type="FAK"
            ),
        )
        if bought is not None and bought.ok:
            trade = lambda: client.list_account_trades().first_page().items[0]
            step(name, "trades", lambda: (trade().status, str(trade().size)))
            step(
                name,
                "settlement awaited",
                lambda: client.wait_for_order_fill_settlement(bought),
            )
    for text, market in (("neg-risk", place("v1", True)), ("protocol v2", place("v2"))):
        order = lambda market=market: client.place_limit_order(
            asset_id=market[1], price=market[2], size=10, side="BUY"
        )
        step(name, f"limit order, {text} market", lambda order=order: order().status)
    wallets(name, environment, token, tick)
    step(name, "heartbeat", lambda: client.send_order_heartbeat().heartbeat_id)
    step(name, "notifications", lambda: len(client.get_notifications()))
    step(
        name,
        "positions (Data v2)",
        lambda: len(client.list_positions(user=str(client.wallet)).first_page().items),
    )
    step(name, "cancel all", lambda: client.cancel_all().canceled)
    client.close()


def wallets(name, environment, token, tick):
    """Orders of the three kinds of contract wallets. `_create` leaves out the question to the
    relayer whether the wallet is deployed: the sandbox has no relayer."""
    from eth_account import Account
    from polymarket import SecureClient
    from polymarket._internal import wallet as derive
    from polymarket._internal.environment import get_environment_config

    config = get_environment_config(environment).wallet_derivation
    signer = Account.from_key(KEYS[0]).address
    for text, address in (
        ("proxy", derive.derive_proxy_wallet_address(signer, config)),
        ("Safe", derive.derive_safe_wallet_address(signer, config)),
        ("deposit wallet", derive.derive_beacon_deposit_wallet_address(signer, config)),
    ):

        def order(address=address):
            client = SecureClient._create(
                private_key=KEYS[0], wallet=address, environment=environment
            )
            with client:
                answer = client.place_limit_order(
                    asset_id=token, price=tick, size=10, side="BUY"
                )
                return want(answer.ok and answer.status, str(answer))

        step(name, f"limit order, {text}", order)


def previous(condition, token, tick):
    """`py-clob-client-v2`."""
    name = "py-clob-client-v2"
    from py_clob_client_v2 import (
        AssetType,
        BalanceAllowanceParams,
        ClobClient,
        MarketOrderArgs,
        OrderArgs,
        OrderPayload,
        OrderType,
    )

    client = ClobClient(f"{BASE}/clob", 137, key=KEYS[1], use_server_time=True)
    creds = step(name, "API key (create or derive)", client.create_or_derive_api_key)
    if creds is None:
        return
    client.set_api_creds(creds)
    step(name, "API keys (L2)", client.get_api_keys)
    step(name, "order book", lambda: len(client.get_order_book(token)["bids"]))
    collateral = BalanceAllowanceParams(asset_type=AssetType.COLLATERAL)
    step(name, "balance", lambda: client.get_balance_allowance(collateral)["balance"])
    args = OrderArgs(token_id=token, price=tick, size=10, side="BUY")
    order = step(name, "limit order (GTC)", lambda: client.create_and_post_order(args))
    if order is not None:
        step(name, "order by id", lambda: client.get_order(order["orderID"])["status"])
        step(name, "open orders", lambda: len(client.get_open_orders()))
        payload = OrderPayload(orderID=order["orderID"])
        step(name, "cancel", lambda: client.cancel_order(payload))
    buy = MarketOrderArgs(token_id=token, amount=5, side="BUY", order_type=OrderType.FOK)
    bought = step(
        name, "market order (FOK buy, $5)", lambda: client.create_and_post_market_order(buy)
    )
    if bought is not None:
        step(name, "trades", lambda: client.get_trades()[0]["status"])
    step(name, "heartbeat", lambda: client.post_heartbeat(""))
    step(name, "cancel all", client.cancel_all)


def main():
    condition, token, tick = place()
    try:
        previous(condition, token, tick)
    except ImportError as error:
        ROWS.append(("py-clob-client-v2", "import", "FAILS", str(error)))
    follow_the_sandbox_clock()
    try:
        newest(condition, token, tick)
    except ImportError as error:
        ROWS.append(("polymarket-client", "import", "FAILS", str(error)))
    width = max(len(row[1]) for row in ROWS)
    for client, name, state, text in ROWS:
        print(f"{client:<18} {name:<{width}} {state:<6} {text}")
    failed = sum(row[2] == "FAILS" for row in ROWS)
    print(f"{len(ROWS) - failed} of {len(ROWS)} steps work")
    return failed


if __name__ == "__main__":
    sys.exit(min(main(), 125))
