#!/usr/bin/env bash
# Installs what is missing: Python environments, JARs, settings. Safe to repeat, to interrupt, and to run twice at once.
# Usage: scripts/setup.sh [--dev|--bench|--store]    --dev adds what ./scripts/test.sh needs, the S3 store among it,
# --bench what `tieout bench` needs, --store the S3 store alone.
set -euo pipefail
umask 022
export PYTHONUTF8=1
# Python 3.11 reads the paths of an environment in the locale's encoding, in its UTF-8 mode too.
[[ $(locale charmap 2>/dev/null) == UTF-8 ]] || export LC_ALL=C.UTF-8
cd "$(dirname "${BASH_SOURCE[0]}")/.."

UV_VERSION=0.13.8
DEV=no
BENCH=no
STORE=no
case "${1:-}" in
  "") ;;
  --dev) DEV=yes; STORE=yes ;;
  --store) STORE=yes ;;
  --bench) BENCH=yes ;;
  *) echo "usage: scripts/setup.sh [--dev|--bench|--store]" >&2; exit 2 ;;
esac

fail() { # what, next
  printf '%s\nLeft as it is: what was installed before stays. Next: %s\n' "$1" "$2" >&2
  exit 1
}

timed() { # name, command...
  local name=$1 begun=$SECONDS
  shift
  "$@"
  printf '  %-58s %5d s\n' "$name" $((SECONDS - begun)) >&2
}

find_python() { # the first Python 3.11; for root one that other accounts can run too
  local candidates=(python3.11 /usr/bin/python3.11 /usr/local/bin/python3.11 /opt/homebrew/bin/python3.11 python3) candidate found
  [[ $(id -u) != 0 ]] || candidates=(/usr/bin/python3.11 /usr/local/bin/python3.11 "${candidates[@]}")
  for candidate in "${candidates[@]}"; do
    found=$(command -v "$candidate") || continue
    if "$found" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' 2>/dev/null; then
      "$found" -c 'import os, sys; print(os.path.realpath(sys.executable))'
      return
    fi
  done
  fail "Python 3.11 is needed and was not found." \
    "sudo apt-get install -y python3.11 python3.11-venv (Debian 12), or brew install python@3.11 (macOS)"
}

check_java() {
  local version
  command -v java >/dev/null || fail "Java 17 is needed: no java is on PATH." \
    "sudo apt-get install -y openjdk-17-jre-headless (Debian, Ubuntu), or brew install openjdk@17 (macOS)"
  version=$(java -version 2>&1 | sed -n 's/.*version "\([0-9]*\).*/\1/p' | head -n 1)
  [[ $version == 17 || $version == 21 ]] || fail "Java 17 is needed: java on PATH is version ${version:-unknown}." \
    "sudo apt-get install -y openjdk-17-jre-headless (Debian, Ubuntu), or brew install openjdk@17 (macOS)"
}

find_uv() { # from PATH, else from a small environment of its own
  if command -v uv >/dev/null && uv --version >/dev/null 2>&1; then
    command -v uv
    return
  fi
  local own=$ENVIRONMENTS/uv
  if [[ ! -x $own/bin/uv ]]; then
    "$PYTHON" -m venv --clear "$own" >&2 || fail "$PYTHON cannot make an environment." "sudo apt-get install -y python3.11-venv"
    "$own/bin/pip" install --quiet --disable-pip-version-check "uv==$UV_VERSION" >&2 || fail "uv could not be installed." "./scripts/setup.sh again, with a network"
  fi
  echo "$own/bin/uv"
}

stamp_of() { # files...: one line that changes with any of them, with the interpreter and with the folder
  { cat -- "$@"; echo "$PYTHON $PWD"; } | cksum
}

environment() { # name, requirements file, editable yes|no
  local folder=$ENVIRONMENTS/$1 requirements=$2 editable=$3 inputs=("$2") stamp
  [[ $editable == no ]] || inputs+=(pyproject.toml)
  stamp=$(stamp_of "${inputs[@]}")
  if [[ -f $folder/stamp-$(basename "$requirements") && $(<"$folder/stamp-$(basename "$requirements")") == "$stamp" ]]; then
    return
  fi
  rm -f "$folder"/stamp-*  # what is interrupted from here on has no stamp and is done again
  # Its programs name their folder, so that it is of no use once the checkout was renamed, moved or copied.
  if [[ ! -x $folder/bin/python || $(readlink -f "$folder/bin/python") != "$PYTHON" ]] || ! grep -qF -- "$folder" "$folder/bin/activate"; then
    "$UV" venv --quiet --clear --python "$PYTHON" "$folder"
  fi
  # Compiled here: the services' account may not write into the environment, and would compile at every start.
  "$UV" pip sync --quiet --compile-bytecode --python "$folder/bin/python" --require-hashes "$requirements"
  [[ $editable == no ]] || "$UV" pip install --quiet --python "$folder/bin/python" --no-deps --editable .
  echo "$stamp" >"$folder/stamp-$(basename "$requirements")"
}

jars() {
  local stamp
  stamp=$(stamp_of control/control/jars/jars.lock control/control/jars/ivy.xml)
  if [[ -f .tieout/jars/stamp && $(<.tieout/jars/stamp) == "$stamp" ]] \
    && "$ENVIRONMENTS/platform/bin/python" -P -m control.jars check 2>/dev/null; then
    return
  fi
  # -B: __pycache__ in the clone would belong to whoever ran this first.
  if ! "$ENVIRONMENTS/platform/bin/python" -P -m control.jars check 2>/dev/null; then
    "$ENVIRONMENTS/platform/bin/python" -P -m control.jars fetch
  fi
  echo "$stamp" >.tieout/jars/stamp
}

browser() { # what the dashboard's tests drive; without it they are skipped and say so
  if command -v chromium >/dev/null || command -v chromium-browser >/dev/null || command -v google-chrome >/dev/null; then return; fi
  if [[ $(id -u) == 0 ]] && command -v apt-get >/dev/null \
    && apt-get update --quiet >/dev/null && apt-get install --yes --quiet --no-install-recommends chromium >/dev/null; then
    return
  fi
  echo "no browser: the tests that need one are skipped. To have them: sudo apt-get install -y chromium" >&2
}

check_place() { # the folder is ours to write, and its path is one that Java and Spark can use
  local place=.
  [[ ! -e .tieout ]] || place=.tieout
  [[ -w $place && (! -e .tieout/setup.lock || -w .tieout/setup.lock) ]] || fail "$PWD cannot be set up: it belongs to $(stat -c %U "$place" 2>/dev/null || stat -f %Su "$place"), and this is $(id -un)." \
    "./scripts/setup.sh as that user, or a clone of your own"
  case $PWD in
    *[:,*?\[\]{}\\\"]*) fail "$PWD cannot be used: its path holds one of : , * ? [ ] { } \\ \"." "rename or move the folder, then ./scripts/setup.sh" ;;
  esac
}

check_place
check_java
PYTHON=$(find_python)
ENVIRONMENTS=$PWD/.tieout/env
mkdir -p "$ENVIRONMENTS"

if command -v flock >/dev/null; then
  (umask 077; : >>.tieout/setup.lock)
  chmod 600 .tieout/setup.lock  # whoever may open a file may also hold its lock
  exec 9>.tieout/setup.lock
  flock --nonblock 9 || { echo "waiting for another set-up" >&2; flock 9; }
fi

REQUIREMENTS=requirements/platform.txt
# What tests need is platform's list and more, with the same pins: an environment that has it has both.
if [[ $DEV == yes || -f $ENVIRONMENTS/platform/stamp-dev.txt ]]; then REQUIREMENTS=requirements/dev.txt; fi

UV=$(find_uv)
timed "platform environment" environment platform "$REQUIREMENTS" yes 9>&-
timed "dbt environment" environment dbt transformation/requirements.txt no 9>&-
timed "Airflow environment" environment airflow airflow/requirements.txt no 9>&-
timed "JARs of broker and Spark" jars 9>&-
[[ $BENCH == no ]] || timed "peers of the benchmark" environment bench benchmarks/requirements.txt no 9>&-
[[ $STORE == no ]] || timed "object store" environment store requirements/store.txt no 9>&-
[[ $DEV == no ]] || timed "browser for tests" browser 9>&-
timed "settings" "$ENVIRONMENTS/platform/bin/tieout" configure 9>&-
