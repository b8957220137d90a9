#!/usr/bin/env python3
"""How fast a backtest is from the CSV file to the result, and how much memory it takes.

    cargo build --release --bin polymarket-agent
    scripts/bench_backtest.py target/release/polymarket-agent

Makes price files of a seeded random walk (every row another price than the one before of its market), lets
all four strategies trade on them, and prints for each size the whole by the clock at best and in the middle of
several runs, how long reading, replaying and measuring took as the program tells it in the best one, and the most
memory it held beside the size of the file.
Beside it: what pandas and polars take at best of as many runs for reading the same file and nothing else, where they
are installed (polars uses all cores). Needs Linux. --keep FOLDER keeps the files for the next time.
"""

import argparse
import os
import pathlib
import random
import re
import subprocess
import sys
import tempfile
import time

STRATEGIES = ("signal_trader", "market_maker", "arbitrageur", "ai_analyst")
MARKETS = 500
START = 1_767_225_600  # 2026-01-01T00:00:00Z
STEP = 600
QUESTION = "Will the measure pass in district {}, as counted on the day of the vote?"


def write(path, rows):
    """`rows` rows by time, a row for each market every ten minutes."""
    draw = random.Random(1)
    prices = [draw.randrange(200, 801) for _ in range(MARKETS)]
    names = [f",{600_000 + number},{QUESTION.format(number)},0." for number in range(MARKETS)]
    tails = [f",0,{10**70 + number}\n" for number in range(MARKETS)]
    # Texts with commas are quoted, as in files of people.
    names = [name.replace(",Will", ',"Will').replace("?,", '?",') for name in names]
    done = 0
    with open(path, "w", encoding="ascii") as file:
        file.write("timestamp,market_id,question,yes_price,volume,token_id\n")
        while done < rows:
            moment = str(START + done // MARKETS * STEP)
            lines = []
            for number in range(min(MARKETS, rows - done)):
                step = 1 + int(draw.random() * 8)
                if draw.random() < 0.5:
                    step = -step
                price = prices[number] + step
                if not 50 <= price <= 950:
                    price = prices[number] - step
                prices[number] = price
                lines.append(f"{moment}{names[number]}{price:03d}{tails[number]}")
            file.write("".join(lines))
            done += MARKETS


def config(path):
    sections = "".join(f"  {name}: {{enabled: true}}\n" for name in STRATEGIES)
    path.write_text(f"strategies:\n{sections}", encoding="ascii")


def run(binary, folder, configuration):
    """Wall seconds, peak MiB, and what the program says of its parts."""
    command = [binary, "backtest", str(folder), "--config", str(configuration), "--json"]
    began = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    said = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        sys.exit(f"{' '.join(command)} failed:\n{said}")
    parts = re.search(r"read (\d+) rows .* in ([\d.]+)(µs|ms|s), replayed \d+ moments in ([\d.]+)(µs|ms|s), measured them in ([\d.]+)(µs|ms|s)", said)
    if not parts:
        sys.exit(f"the program did not tell its times:\n{said}")
    unit = {"µs": 1e-6, "ms": 1e-3, "s": 1.0}
    times = [float(parts[place]) * unit[parts[place + 1]] for place in (2, 4, 6)]
    return int(parts[1]), seconds, usage.ru_maxrss / 1024, times


# Readers to compare with, by name.
READERS = {
    "pandas": "import pandas\nread = lambda path: len(pandas.read_csv(path))",
    # A token id does not fit into its integers.
    "polars": "import polars\nread = lambda path: polars.read_csv(path, schema_overrides={'token_id': polars.String}).height",
}
TIMED = """
import sys, time
times = []
for _ in range(int(sys.argv[2])):
    began = time.perf_counter()
    read(sys.argv[1])
    times.append(time.perf_counter() - began)
print(min(times))
"""


def read_by(reader, path, runs):
    """Seconds at best that another reader takes for the file and nothing else; `None` where it is not installed."""
    done = subprocess.run([sys.executable, "-c", READERS[reader] + TIMED, str(path), str(runs)], capture_output=True, text=True)
    return float(done.stdout) if done.returncode == 0 else None


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("binary", type=pathlib.Path)
    parser.add_argument("--rows", type=int, nargs="+", default=[100_000, 1_000_000, 10_000_000])
    parser.add_argument("--runs", type=int, default=3, help="of each; one of more than 5,000,000 rows")
    parser.add_argument("--keep", type=pathlib.Path)
    arguments = parser.parse_args()
    binary = str(arguments.binary.resolve())
    with tempfile.TemporaryDirectory() as temporary:
        place = arguments.keep or pathlib.Path(temporary)
        place.mkdir(parents=True, exist_ok=True)
        configuration = pathlib.Path(temporary, "config.yaml")
        config(configuration)
        print(f"{'rows':>10} {'MiB':>6} {'best s':>7} {'middle s':>9} {'rows/s':>10} {'read s':>7} {'replay s':>9} {'rows/s':>10} {'measure s':>9} {'peak MiB':>9} {'× file':>7} {'pandas reads s':>15} {'polars reads s':>15}")
        for rows in arguments.rows:
            folder = place / f"rows-{rows}"
            path = folder / "prices.csv"
            if not path.exists():
                folder.mkdir(parents=True, exist_ok=True)
                write(path, rows)
            size = path.stat().st_size / 2**20
            runs = 1 if rows > 5_000_000 else max(1, arguments.runs)
            done = sorted((run(binary, folder, configuration) for _ in range(runs)), key=lambda one: one[1])
            counted, seconds, peak, (read, replay, measure) = done[0]
            middle = done[len(done) // 2][1]
            if counted != rows:
                sys.exit(f"{counted} of {rows} rows were read")
            others = [read_by(reader, path, runs) for reader in READERS]
            beside = " ".join(f"{seconds:15.2f}" if seconds else f"{'not installed':>15}" for seconds in others)
            print(
                f"{rows:10} {size:6.1f} {seconds:7.2f} {middle:9.2f} {rows / seconds:10.0f} {read:7.2f} {replay:9.2f} {rows / replay:10.0f} "
                f"{measure:9.2f} {peak:9.1f} {peak / size:7.2f} {beside}",
                flush=True,
            )


if __name__ == "__main__":
    main()
