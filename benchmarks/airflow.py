"""The Airflow side: worker slots, a thousand waits, and parsing, beside the article's operators on the same Airflow.

Three parts, each on servers of its own:

- `slots`: 32 emulations of 20 s with 4 worker slots (`benchmarks.airflow_slots`)
- `waits`: 1,000 emulations, each waited for by a trigger of one triggerer (`benchmarks.airflow_waits`)
- `parse`: parsing `dags/all_emulations_dag.py` (`benchmarks.airflow_parse`)

Run it as ``python -m benchmarks.airflow [--parts slots waits parse] [--rounds 1] [--waits 1000] ...``. The figures of a
part that was left out, or has failed, are null.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmarks import airflow_slots, airflow_waits
from benchmarks.airflow_slots import ARTICLE, OURS, Run
from benchmarks.airflow_waits import Watched
from benchmarks.report import machine, print_figures, print_table, versions

Figures = dict[str, float | None]
_FIGURES = (
    "makespan_ratio",
    "slot_seconds_ratio",
    "wait_cpu_share",
    "wait_requests_per_s",
    "wait_bytes",
    "detect_p50_s",
    "detect_p99_s",
    "parse_ratio",
)


def main() -> int:
    """Run the parts, print their tables and the figures; returns 1 if a part failed."""
    arguments = _arguments()
    print(machine())
    print(versions("apache-airflow", "apache-airflow-providers-http", "aiohttp", "requests", with_kafka=False))
    figures: Figures = dict.fromkeys(_FIGURES)
    parts: dict[str, Callable[[argparse.Namespace], Figures]] = {"parse": _parse, "slots": _slots, "waits": _waits}
    failed = 0
    for name, part in parts.items():
        if name in arguments.parts:
            try:
                figures |= part(arguments)
            except Exception:  # the other parts take half an hour, and their figures are worth having
                traceback.print_exc()
                failed = 1
    print_figures(figures)
    return failed


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", nargs="+", choices=("slots", "waits", "parse"), default=["slots", "waits", "parse"])
    slots = parser.add_argument_group("slots")
    slots.add_argument("--emulations", type=int, default=32)
    slots.add_argument("--duration", type=int, default=20, help="of each emulation, in seconds")
    slots.add_argument("--slots", type=int, default=4)
    slots.add_argument("--rounds", type=int, default=1, help="runs of each DAG, of which the median counts")
    slots.add_argument(
        "--min-heartbeat-interval", type=int, default=1, help="of Airflow's workers, in seconds; Airflow's default is 5"
    )
    waits = parser.add_argument_group("waits")
    waits.add_argument("--waits", type=int, default=1000)
    waits.add_argument("--lead", type=int, default=180, help="seconds until the first emulation ends")
    waits.add_argument("--idle", type=int, default=30, help="seconds to watch a triggerer without waits, twice")
    waits.add_argument("--steady", type=int, default=60, help="seconds to watch the waits, at the least")
    waits.add_argument("--spread", type=int, default=60, help="seconds over which the emulations end")
    waits.add_argument("--no-sleeping", action="store_true", help="leave out the triggers that do nothing")
    parser.add_argument_group("parse").add_argument("--times", type=int, default=60, help="parsings of each file")
    return parser.parse_args()


def _slots(arguments: argparse.Namespace) -> Figures:
    runs = airflow_slots.measure(
        arguments.emulations,
        duration_s=arguments.duration,
        slots=arguments.slots,
        rounds=arguments.rounds,
        heartbeat_s=arguments.min_heartbeat_interval,
    )
    components = sorted(runs[OURS][0].cpu_s)
    print_table(
        f"{arguments.emulations} emulations of {arguments.duration} s, {arguments.slots} worker slots, "
        f"min_heartbeat_interval {arguments.min_heartbeat_interval} s, medians of {arguments.rounds}; times in s",
        ("DAG", "makespan", "slot-s", "starts", *(f"CPU, {name}" for name in components), "failed"),
        [_slots_row(name, each, components) for name, each in (("article's", runs[ARTICLE]), ("ours", runs[OURS]))],
    )

    def ratio(name: str) -> float:
        ours, article = (statistics.median(getattr(run, name) for run in runs[dag_id]) for dag_id in (OURS, ARTICLE))
        return float(round(ours / article, 3))

    return {"makespan_ratio": ratio("makespan_s"), "slot_seconds_ratio": ratio("slot_s")}


def _slots_row(name: str, runs: list[Run], components: list[str]) -> tuple[str, ...]:
    def median(values: list[float]) -> str:
        return f"{statistics.median(values):.1f}"

    return (
        name,
        median([run.makespan_s for run in runs]),
        median([run.slot_s for run in runs]),
        f"{statistics.median(run.legs for run in runs):.0f}",
        *(median([run.cpu_s[component] for run in runs]) for component in components),
        str(sum(run.lost for run in runs)),
    )


def _waits(arguments: argparse.Namespace) -> Figures:
    waits = airflow_waits.measure(
        arguments.waits,
        lead_s=arguments.lead,
        idle_s=arguments.idle,
        steady_s=arguments.steady,
        spread_s=arguments.spread,
        with_sleeping=not arguments.no_sleeping,
    )
    wait_bytes = (waits.steady.rss_bytes - waits.idle.rss_bytes) / arguments.waits

    def row(name: str, watched: Watched, requests: str) -> tuple[str, ...]:
        without = waits.fresh if watched is waits.sleeping else waits.idle
        more = (watched.rss_bytes - without.rss_bytes) / arguments.waits
        return (
            name,
            f"{watched.seconds:.0f}",
            f"{100 * watched.cpu_share:.1f} %",
            requests,
            f"{watched.rss_bytes / 2**20:.0f}",
            f"{more / 1000:.1f}" if more > 0 else "",
        )

    rows = [row("no trigger yet", waits.fresh, "")]
    if waits.sleeping is not None:
        rows.append(row(f"{arguments.waits:,} triggers that sleep", waits.sleeping, ""))
    rows.append(row("no trigger any more", waits.idle, ""))
    rows.append(row(f"{arguments.waits:,} waits", waits.steady, f"{waits.requests_per_s:.2f}"))
    rows.append(("the same, as they end", f"{2 + arguments.spread}", "", f"{waits.ending_requests_per_s:.2f}", "", ""))
    print_table(
        "One triggerer, all its processes",
        ("what it has", "watched, s", "of a core", "requests/s", "RSS, MiB", "KB a trigger"),
        rows,
    )
    print_table(
        f"{arguments.waits:,} ends in {arguments.spread} s, {waits.lost} lost; times in s",
        ("from the end of an emulation until", "p50", "p90", "p99", "longest"),
        [
            _latency_row("its trigger fires", waits.fired_s),
            _latency_row("Airflow has stored that", waits.stored_s),
        ],
    )
    return {
        "wait_cpu_share": round(waits.steady.cpu_share - waits.idle.cpu_share, 4),
        "wait_requests_per_s": round(max(waits.requests_per_s, waits.ending_requests_per_s), 3),
        "wait_bytes": round(wait_bytes),
        "detect_p50_s": round(float(np.quantile(waits.fired_s, 0.5)), 3),
        "detect_p99_s": round(float(np.quantile(waits.fired_s, 0.99)), 3),
    }


def _latency_row(name: str, seconds: list[float]) -> tuple[str, ...]:
    return (name, *(f"{np.quantile(seconds, share):.2f}" for share in (0.5, 0.9, 0.99, 1.0)))


def _parse(arguments: argparse.Namespace) -> Figures:
    # In a process of its own, which imports Airflow: this one, and what it starts, has to know nothing of it.
    found = subprocess.run(
        [sys.executable, "-m", "benchmarks.airflow_parse", str(arguments.times)],
        cwd=Path(__file__).resolve().parents[1],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    taken = json.loads(found.stdout.splitlines()[-1])
    print_table(
        f"Parsing, CPU time in ms, medians of {arguments.times}",
        ("file", "in a process forked for it", "once more in that process"),
        [
            (name, f"{1000 * taken[key]['anew']:.1f}", f"{1000 * taken[key]['again']:.1f}")
            for name, key in (("the same shape, Airflow's operators", "bare"), ("all_emulations_dag.py", "ours"))
        ],
    )
    return {"parse_ratio": round(taken["ours"]["anew"] / taken["bare"]["anew"], 3)}


if __name__ == "__main__":
    raise SystemExit(main())
