"""Which packages are built, which setup.cfg cannot say: `include` is the Astro project's name for what is installed
under a name of its own (docs/adr/0015-an-installable-provider.md). All else is in setup.cfg.
"""

from pathlib import Path

from setuptools import find_packages, setup

AIRFLOW_ROOM = "lakehouse_data_emulator.airflow"

packages = find_packages(include=["data_emulator", "data_emulator.*"])
package_dir = {}
if Path("include").is_dir():  # the service's image is built without
    packages += [AIRFLOW_ROOM, *(f"{AIRFLOW_ROOM}.{name}" for name in find_packages("include"))]
    package_dir[AIRFLOW_ROOM] = "include"

setup(packages=packages, package_dir=package_dir)
