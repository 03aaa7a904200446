"""Both images, built once for the session."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.support import dockerfile
from tests.support.images.base import make_base
from tests.support.images.buildah import Buildah, Image
from tests.support.images.service import ServiceContainer

ROOT = Path(__file__).parents[2]
SERVICE_RECIPE = ROOT / "docker" / "service.Dockerfile"
ASTRO_RECIPE = ROOT / "Dockerfile"


@pytest.fixture(scope="session")
def workspace() -> Iterator[Path]:
    """A folder that other users may enter, unlike pytest's own, and that is not kept."""
    folder = Path(tempfile.mkdtemp(prefix="images-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def buildah(workspace: Path) -> Iterator[Buildah]:
    built = Buildah(workspace)
    yield built
    built.close()


@pytest.fixture(scope="session")
def builds(buildah: Buildah) -> Iterator[tuple[Future[Image], Future[Image]]]:
    """The service's image and Astro's, on one base, built side by side: each waits for packages half of its time."""
    build_stage, final_stage = dockerfile.read(SERVICE_RECIPE)
    assert build_stage.image == final_stage.image
    make_base(buildah, f"localhost/{final_stage.image}", "localhost/base")
    with ThreadPoolExecutor(2) as pool:
        yield pool.submit(_build_service, buildah), pool.submit(_build_astro, buildah)


@pytest.fixture(scope="session")
def service_image(builds: tuple[Future[Image], Future[Image]]) -> Image:
    return builds[0].result()


@pytest.fixture(scope="session")
def astro_image(builds: tuple[Future[Image], Future[Image]]) -> Image:
    return builds[1].result()


@pytest.fixture(scope="session")
def service(service_image: Image, workspace: Path) -> Iterator[ServiceContainer]:
    """The service's image running. A test does not stop it."""
    running = ServiceContainer(service_image, workspace / "volume")
    yield running
    running.end()


def _build_service(buildah: Buildah) -> Image:
    buildah.build("service", SERVICE_RECIPE, ROOT)
    return buildah.image("service")


def _build_astro(buildah: Buildah) -> Image:
    (stage,) = dockerfile.read(ASTRO_RECIPE)
    buildah.build(stage.image, Path(__file__).parents[1].joinpath("support", "images", "runtime.Dockerfile"), ROOT)
    buildah.build("astro", ASTRO_RECIPE, ROOT)
    return buildah.image("astro")
