-- What a backtest was made with: its settings as JSON, a hash of its data's content, and the program's
-- version. NULL for those kept before.
ALTER TABLE backtests ADD COLUMN config_json TEXT;
ALTER TABLE backtests ADD COLUMN data_hash TEXT;
ALTER TABLE backtests ADD COLUMN version TEXT;
