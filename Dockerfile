# Airflow on Astro. FROM triggers the Runtime image's own ONBUILD steps: it installs packages.txt, then requirements.txt,
# and only then copies the project. So this project itself cannot be a line of requirements.txt.
FROM astrocrpublic.azurecr.io/runtime:3.3-2-python-3.13

# Airflow learns of the connection type "Data Emulator" from package metadata alone. Editable, so that its hook comes from
# the project's folder, too; without dependencies, as requirements.txt brought them.
USER root
RUN uv pip install --system --no-cache --no-deps --editable .
USER astro
