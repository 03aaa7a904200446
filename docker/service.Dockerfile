# The Data Emulator Service. Build it from the project's root:
#   docker build --file docker/service.Dockerfile --tag lakehouse-data-emulator:local .
# tests/test_images.py carries out the RUN steps of the first stage, so they are kept to one command each.
FROM python:3.12-slim AS build
WORKDIR /src
COPY setup.cfg setup.py pyproject.toml requirements.lock README.md LICENSE ./
RUN python -m pip install --quiet --no-cache-dir "$(grep '^uv==' requirements.lock)"
RUN python -m venv --without-pip /opt/venv
# First what changes seldom: the extra `service`, in the versions of the lock.
RUN uv pip install --compile-bytecode --python /opt/venv --constraint requirements.lock --requirement setup.cfg --extra service
COPY data_emulator/ data_emulator/
RUN uv pip install --compile-bytecode --python /opt/venv --no-deps .

FROM python:3.12-slim
RUN useradd --system --uid 10001 --no-create-home data-emulator \
    && install --directory --owner=data-emulator --mode=0750 /var/lib/data-emulator
COPY --from=build /opt/venv /opt/venv
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    DATA_EMULATOR_HOST=0.0.0.0 \
    DATA_EMULATOR_PORT=8000 \
    DATA_EMULATOR_DATABASE_URL=sqlite:////var/lib/data-emulator/emulations.db
USER data-emulator
WORKDIR /var/lib/data-emulator
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s \
    CMD ["python", "-c", "import os, urllib.request as r; r.urlopen('http://127.0.0.1:' + os.environ['DATA_EMULATOR_PORT'] + '/healthz', timeout=4)"]
# Beyond loopback the service refuses to start without DATA_EMULATOR_TOKEN.
ENTRYPOINT ["data-emulator"]
CMD ["serve"]
