# Airflow from its official image, with the platform beside it: its tasks run the platform's commands and dbt.
FROM apache/airflow:3.3.2-python3.11

USER root
RUN apt-get update \
    && apt-get install -y --no-install-recommends openjdk-17-jre-headless procps \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 990 --gid 0 --no-create-home --home-dir /var/lib/tieout tieout

COPY . /srv/tieout
RUN /srv/tieout/scripts/setup.sh && rm -f /srv/tieout/.env && install -d -o tieout /var/lib/tieout

USER airflow
RUN pip install --no-cache-dir "apache-airflow==3.3.2" "astronomer-cosmos==1.15.1"

# The account that writes the lake in the platform's own image: both share its files.
USER tieout
ENV TIEOUT_HOME=/var/lib/tieout AIRFLOW_HOME=/var/lib/tieout/.tieout/airflow HOME=/var/lib/tieout PYTHONUNBUFFERED=1
WORKDIR /var/lib/tieout
