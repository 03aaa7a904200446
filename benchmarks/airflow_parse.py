"""How long `dags/all_emulations_dag.py` takes to parse, beside a DAG of the same shape of Airflow's own operators.

Airflow's DAG processor forks a process for each parsing of each file, after it has imported the modules of Airflow that
the file names. So does this program, with the DAG processor's own function: everything else that a DAG file imports is
imported anew, each time, as there. What is counted is the CPU time of `DagBag(file)` in the forked process; the two
files take turns, and medians are compared. Tasks parse their DAG file when they start, too.

Parsed once more in the same process, a file costs only what it does itself: Airflow drops the file's module from
`sys.modules` by itself, and all that it imports is there already.

Run by `benchmarks.airflow` as ``python -m benchmarks.airflow_parse TIMES``, in an Airflow home of its own.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

_PROJECT = Path(__file__).resolve().parents[1]
OURS = _PROJECT / "dags" / "all_emulations_dag.py"
BARE = _PROJECT / "benchmarks" / "airflow_dags" / "bare_dag.py"
FILES = {"ours": OURS, "bare": BARE}


def measure(times: int) -> dict[str, dict[str, float]]:
    """Parse each file so often, in turns; return the median CPU seconds by file, `anew` and `again`."""
    import airflow.dag_processing.manager  # noqa: F401 - what the DAG processor has when it forks
    from airflow.utils.file import iter_airflow_imports

    for file in FILES.values():
        for module in iter_airflow_imports(str(file)):
            importlib.import_module(module)
    gc.collect()
    gc.freeze()
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in FILES}
    for number in range(times):
        for name in sorted(FILES, reverse=bool(number % 2)):
            taken[name].append(_parse_in_fork(FILES[name]))
    return {
        name: {
            "anew": statistics.median(anew for anew, _ in each),
            "again": statistics.median(again for _, again in each),
        }
        for name, each in taken.items()
    }


def _parse_in_fork(file: Path) -> tuple[float, float]:
    """Fork, parse the file twice, and return the CPU seconds of each."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            os.write(writer, json.dumps([_parse(file), _parse(file)]).encode())
            status = 0
        finally:
            os._exit(status)
    os.close(writer)
    with os.fdopen(reader) as answer:
        text = answer.read()
    _, status = os.waitpid(pid, 0)
    if status:
        raise RuntimeError(f"{file} was not parsed")
    anew, again = json.loads(text)
    return anew, again


def _parse(file: Path) -> float:
    from airflow.dag_processing.dagbag import DagBag

    began_s = time.process_time()
    bag = DagBag(str(file))
    taken_s = time.process_time() - began_s
    if bag.import_errors or len(bag.dags) != 1:
        raise RuntimeError(f"{file}: {bag.import_errors}")
    return taken_s


def main() -> None:
    """Measure in an Airflow home of its own; the last line is the medians as JSON."""
    with tempfile.TemporaryDirectory(prefix="benchmark-") as home:
        os.environ.update(
            {"AIRFLOW_HOME": home, "AIRFLOW__CORE__LOAD_EXAMPLES": "false", "AIRFLOW__LOGGING__LOGGING_LEVEL": "ERROR"}
        )
        print(json.dumps(measure(int(sys.argv[1]))))


if __name__ == "__main__":
    main()
