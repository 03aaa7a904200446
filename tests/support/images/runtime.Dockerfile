# Stands in for the Astro Runtime: its Airflow with the providers that it brings, and the ONBUILD steps that it is known
# for (docs/adr/0006-images-and-lock.md). `base` is what tests/support/images/base.py makes.
FROM base
RUN useradd --uid 50000 --gid 0 --create-home astro && install --directory --owner=astro /usr/local/airflow
ENV AIRFLOW_HOME=/usr/local/airflow \
    PYTHONPATH=/usr/local/airflow
WORKDIR /usr/local/airflow
COPY requirements.lock requirements-airflow-oldest.lock /opt/locks/
RUN pip install --quiet --no-cache-dir --root-user-action ignore "$(grep '^uv==' /opt/locks/requirements.lock)"
RUN uv pip install --quiet --system --constraint /opt/locks/requirements-airflow-oldest.lock apache-airflow \
    && uv pip freeze --quiet --system > /opt/locks/installed.txt

ONBUILD COPY packages.txt .
ONBUILD USER root
ONBUILD RUN if grep -q '[^[:space:]]' packages.txt; then apt-get update && xargs apt-get install --yes < packages.txt; fi
ONBUILD COPY requirements.txt .
ONBUILD RUN uv pip install --quiet --system --constraint /opt/locks/installed.txt --requirement requirements.txt
ONBUILD USER astro
ONBUILD COPY --chown=astro:0 . .
