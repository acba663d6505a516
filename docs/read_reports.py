"""Alerts by day and policy, and waits by severity, from what firewatch writes.

    firewatch backtest --input events.jsonl --policy now.toml --policy next.toml --out trial
    firewatch report response --input events.jsonl --out response.html
    python docs/read_reports.py trial response.csv

Needs pandas (or polars: `pl.read_csv` reads the same files). Every table has one thing a row.
"""

import sys

import pandas as pd

trial, waits = sys.argv[1:]

by_day = pd.read_csv(f"{trial}/by_day.csv", parse_dates=["day"])
print(by_day.pivot_table(index="day", columns=["policy", "team"], values="alerts", aggfunc="sum", fill_value=0))

judged = pd.read_csv(f"{trial}/judged.csv")
print(judged[["policy", "team", "told", "wanted", "precision", "recall", "minutes_gained_p50"]].to_string(index=False))

requests = pd.read_csv(waits, parse_dates=["at"])
answered = requests[requests["answered"] == 1]
print(answered.groupby("severity")["minutes"].describe(percentiles=[0.5, 0.9]).round(1))
