#!/usr/bin/env bash
# Writes every lock anew: requirements with hashes from pyproject.toml's extras, and the JARs' sha256.
# Usage: scripts/update-locks.sh [--upgrade]    Without --upgrade, pins that still fit stay.
set -euo pipefail
cd "$(dirname "$0")/.."

compile() { # output, constraint ("" for none), extra...
  local output=$1 constraint=$2 arguments=(--python-version 3.11 --generate-hashes --no-emit-index-url --no-header --quiet)
  shift 2
  [[ -z $constraint ]] || arguments+=(--constraint "$constraint")
  for extra in "$@"; do arguments+=(--extra "$extra"); done
  [[ ${UPGRADE:-} != yes ]] || arguments+=(--upgrade)
  uv pip compile pyproject.toml "${arguments[@]}" --output-file "$output" >/dev/null
  echo "$output: $(grep -c '^[a-z]' "$output") packages"
}

[[ ${1:-} != --upgrade ]] || UPGRADE=yes
mkdir -p requirements
compile requirements/dev.txt "" contracts data-generator spark-streaming warehouse live control dashboard dev
compile requirements/platform.txt requirements/dev.txt contracts data-generator spark-streaming warehouse live control dashboard
compile transformation/requirements.txt "" transformation
compile airflow/requirements.txt "" airflow
compile benchmarks/requirements.txt "" bench
compile requirements/store.txt "" store
.tieout/env/platform/bin/python -m control.jars lock
