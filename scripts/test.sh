#!/usr/bin/env bash
# Lints and tests; stops at the first stage that fails. The last lines are pytest's own.
# Usage: scripts/test.sh [--fast|--slow] [pytest arguments]
#   --fast  only what needs no service    (default) all but the long drills    --slow  everything
# Two processes share the tests by folder; a debugger wants one: scripts/test.sh --fast --numprocesses 0 --pdb
set -euo pipefail
cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/.."

selection="not slow"
case "${1:-}" in
  --fast) selection="not services and not slow"; shift ;;
  --slow) selection=""; shift ;;
esac

./scripts/setup.sh --dev
bin=$PWD/.tieout/env/platform/bin
PATH=$bin:$PATH
output=$(mktemp)
trap 'rm -f "$output"' EXIT

stage() { # name, command...: quiet when it passes, its whole output when it fails
  local name=$1 begun=$SECONDS
  shift
  if ! "$@" >"$output" 2>&1; then
    cat "$output" >&2
    printf '%s failed.\nLeft as it is: nothing was changed. Next: run it alone: %s\n' "$name" "$*" >&2
    exit 1
  fi
  printf '  %-58s %5d s\n' "$name" $((SECONDS - begun)) >&2
}

stage "ruff check" ruff check .
stage "ruff format" ruff format --check .
stage "mypy" mypy
stage "import-linter" lint-imports
stage "sqlfluff" sqlfluff lint --disable-progress-bar transformation/models
stage "shellcheck" shellcheck --external-sources scripts/*.sh scripts/tieout
stage "contract check" tieout contract check

trap - EXIT
rm -f "$output"
# DuckDB's binding lists at the end what Python has not collected: pytest's words are to be the last.
exec pytest --numprocesses 2 -m "$selection" "$@" 2> >(grep -vE '^(nanobind: |See https://nanobind| - (leaked|\.\.\. skipped))' >&2)
