#!/usr/bin/env bash
# Before Airflow starts: its passwords in a file of their own, its schema, and dbt's manifest for the model tasks.
set -euo pipefail
umask 077
mkdir -p "$AIRFLOW_HOME/logs" "$AIRFLOW_HOME/dbt" /var/lib/tieout/data/docs-site
python - <<'PYTHON'
import json
import os
import pathlib

names = {"admin": "AIRFLOW_PASSWORD_ADMIN", "viewer": "AIRFLOW_PASSWORD_VIEWER"}
passwords = json.dumps({user: os.environ[name] for user, name in names.items()})
pathlib.Path(os.environ["AIRFLOW_HOME"], "passwords.json").write_text(passwords + "\n", encoding="utf-8")
PYTHON
/srv/tieout/.tieout/env/dbt/bin/dbt parse --project-dir /srv/tieout/transformation --profiles-dir /srv/tieout/transformation \
  --target-path "$AIRFLOW_HOME/dbt" --log-path "$AIRFLOW_HOME/dbt"
mv "$AIRFLOW_HOME/dbt/manifest.json" "$AIRFLOW_HOME/manifest.json"
exec airflow db migrate
