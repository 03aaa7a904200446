# The Data Emulator Service. Build it from the project's root:
#   docker build --file docker/service.Dockerfile --tag lakehouse-data-emulator:local .
# To keep the health check, an engine that makes OCI images has to be told: `buildah build --format docker ...`.
FROM python:3.12-slim AS build
RUN apt-get update -qq && apt-get install -qq --yes --no-install-recommends binutils
WORKDIR /src
COPY setup.cfg setup.py pyproject.toml requirements.lock README.md LICENSE ./
RUN python -m pip install --quiet --no-cache-dir "$(grep '^uv==' requirements.lock)"
RUN python -m venv --without-pip /opt/venv
# First what changes seldom: the extra `service`, in the versions of the lock.
RUN uv pip install --compile-bytecode --python /opt/venv --constraint requirements.lock --requirement setup.cfg --extra service
COPY data_emulator/ data_emulator/
RUN uv pip install --compile-bytecode --python /opt/venv --no-deps .
# Nothing of what the wheels bring for developers, nor Arrow's Flight and S3, nor debug information: docs/adr/0006.
# The libraries in *.libs are left alone: a tool has moved their sections, and strip may break them.
RUN cd /opt/venv/lib/python3*/site-packages \
    && rm -rf pyarrow/*flight* pyarrow/*s3* pyarrow/include pyarrow/includes pyarrow/src \
    && rm -f pyarrow/*.pyx pyarrow/*.px? pyarrow/libarrow_python*.so pyarrow/*.so.*.*.* \
    && find . -type d -name tests -prune -exec rm -rf {} + \
    && find . -name '*.so*' -not -path '*.libs/*' -exec strip --strip-unneeded {} +

FROM python:3.12-slim
RUN useradd --uid 10001 --no-create-home data-emulator \
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
