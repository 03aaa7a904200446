"""What a test needs and this machine lacks: a reason to skip it for a newcomer, and a failure in CI."""

import os
from typing import NoReturn

import pytest


def missing(what: str) -> NoReturn:
    """Skip the test, or fail it where ``CI`` is set, as ``.ci/run`` does."""
    if os.environ.get("CI"):
        pytest.fail(what)
    pytest.skip(what)
