-- States of the ledger, so that a start need not replay the whole log. The hash covers the state, its
-- place and the event there.
CREATE TABLE checkpoints (
    seq     INTEGER PRIMARY KEY REFERENCES events (seq),
    format  INTEGER NOT NULL,
    hash    TEXT NOT NULL,
    size    INTEGER NOT NULL,
    payload BLOB NOT NULL
) STRICT;

-- One row per order that passed the risk gate.
CREATE TABLE orders (
    id               INTEGER PRIMARY KEY,
    client_order_id  TEXT UNIQUE,
    signal_id        INTEGER,
    strategy         TEXT NOT NULL,
    market_id        TEXT NOT NULL,
    event_id         TEXT,
    token_id         TEXT NOT NULL,
    outcome          TEXT NOT NULL,
    side             TEXT NOT NULL CHECK (side IN ('buy', 'sell')),
    order_type       TEXT NOT NULL,
    limit_price      REAL NOT NULL,
    shares           REAL NOT NULL,
    filled           REAL NOT NULL DEFAULT 0,
    remaining        REAL NOT NULL,
    avg_price        REAL,
    fees             REAL NOT NULL DEFAULT 0,
    status           TEXT NOT NULL DEFAULT 'accepted'
                     CHECK (status IN ('accepted', 'resting', 'filled', 'partially_filled',
                                       'unfilled', 'cancelled', 'expired')),
    is_open          INTEGER NOT NULL DEFAULT 1 CHECK (is_open IN (0, 1)),
    reason           TEXT NOT NULL,
    close_reason     TEXT,
    created_at       TEXT NOT NULL,
    updated_at       TEXT NOT NULL,
    expires_at       TEXT,
    queue_ahead      REAL,
    basket           INTEGER,
    limit_micros     INTEGER NOT NULL,
    shares_micros    INTEGER NOT NULL CHECK (shares_micros > 0),
    filled_micros    INTEGER NOT NULL DEFAULT 0 CHECK (filled_micros BETWEEN 0 AND shares_micros),
    notional_micros  INTEGER NOT NULL DEFAULT 0,
    fees_micros      INTEGER NOT NULL DEFAULT 0,
    queue_ahead_micros INTEGER,
    created_at_ms    INTEGER NOT NULL,
    updated_at_ms    INTEGER NOT NULL,
    expires_at_ms    INTEGER,
    event_seq        INTEGER NOT NULL REFERENCES events (seq),
    updated_seq      INTEGER NOT NULL REFERENCES events (seq)
) STRICT;
CREATE INDEX orders_open ON orders (id) WHERE is_open = 1;
CREATE INDEX orders_by_market ON orders (market_id, id);
CREATE INDEX orders_by_strategy ON orders (strategy, id);
CREATE INDEX orders_by_status ON orders (status, id);

-- What came of one order.
CREATE INDEX trades_by_order ON trades (order_id) WHERE order_id IS NOT NULL;

-- One row per estimate, with its score once its market has resolved.
CREATE TABLE estimates (
    id              INTEGER PRIMARY KEY AUTOINCREMENT,
    author          TEXT NOT NULL,
    market_id       TEXT NOT NULL,
    token_id        TEXT NOT NULL,
    outcome         TEXT NOT NULL,
    probability     REAL NOT NULL,
    confidence      REAL,
    rationale       TEXT NOT NULL,
    ask_then        REAL,
    bid_then        REAL,
    created_at      TEXT NOT NULL,
    expires_at      TEXT NOT NULL,
    payout          REAL,
    brier           REAL,
    log_score       REAL,
    weight          REAL,
    scored_at       TEXT,
    ask_then_micros INTEGER,
    bid_then_micros INTEGER,
    payout_micros   INTEGER,
    created_at_ms   INTEGER NOT NULL,
    expires_at_ms   INTEGER NOT NULL,
    scored_at_ms    INTEGER,
    event_seq       INTEGER NOT NULL REFERENCES events (seq)
) STRICT;
CREATE INDEX estimates_by_author ON estimates (author, id);
CREATE INDEX estimates_by_market ON estimates (market_id, id);

-- Orders that were refused before they reached the executor.
CREATE TABLE refusals (
    id            INTEGER PRIMARY KEY AUTOINCREMENT,
    timestamp     TEXT NOT NULL,
    strategy      TEXT NOT NULL,
    market_id     TEXT NOT NULL,
    token_id      TEXT NOT NULL,
    side          TEXT CHECK (side IN ('buy', 'sell')),
    limit_price   REAL,
    shares        REAL,
    signal_id     INTEGER,
    code          TEXT NOT NULL,
    message       TEXT NOT NULL,
    limit_micros  INTEGER,
    shares_micros INTEGER,
    at_ms         INTEGER NOT NULL,
    event_seq     INTEGER NOT NULL REFERENCES events (seq)
) STRICT;
CREATE INDEX refusals_by_strategy ON refusals (strategy, id);
CREATE INDEX refusals_by_code ON refusals (code, id);

-- One cancels other; what the sales of an order brought in all (sold is their sum too), and the price
-- that the bid had to reach for the last of them.
ALTER TABLE conditional_orders ADD COLUMN oco_group INTEGER;
ALTER TABLE conditional_orders ADD COLUMN proceeds REAL;
ALTER TABLE conditional_orders ADD COLUMN proceeds_micros INTEGER;
ALTER TABLE conditional_orders ADD COLUMN fired_trigger REAL;
ALTER TABLE conditional_orders ADD COLUMN fired_trigger_micros INTEGER;
