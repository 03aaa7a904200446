"""Where stacks keep what they keep, by the standard library alone."""

from pathlib import Path


def project_dir() -> Path:
    """Return the folder that holds the package, which in a clone is the project's root."""
    return Path(__file__).resolve().parents[2]


def lab_dir() -> Path:
    """Return the folder for all that stacks keep: `.lab` in the clone, or in the current folder without a clone."""
    return (project_dir() if (project_dir() / "dags").is_dir() else Path.cwd()) / ".lab"


def up_dir() -> Path:
    """Return the folder of the stack that `up` starts."""
    return lab_dir() / "up"


def processes_path(run_dir: Path) -> Path:
    """Return the file that records which processes of a stack run."""
    return run_dir / "processes.json"


def addresses_path(run_dir: Path) -> Path:
    """Return the file that says where a running stack is reached."""
    return run_dir / "stack.json"


def environment_path(run_dir: Path) -> Path:
    """Return the file that a shell reads to get the addresses and keys of a running stack."""
    return run_dir / "env.sh"


def owner_path(run_dir: Path) -> Path:
    """Return the file that names the process which runs a stack."""
    return run_dir / "owner.json"


def incidents_path(run_dir: Path) -> Path:
    """Return the file that lists what has gone wrong with a stack while it ran."""
    return run_dir / "incidents.jsonl"


def log_path(run_dir: Path) -> Path:
    """Return the log of the process which runs a stack; those of its servers lie beside it."""
    return run_dir / "logs" / "stack.log"
