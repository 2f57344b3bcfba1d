#!/usr/bin/env bash
# Sets up what is missing, the benchmark's peers with it, and measures. Usage: scripts/bench.sh [--quick] [--hop NAME] ...
set -euo pipefail
here=$(cd -P "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")" && pwd)
"$here/setup.sh" --bench
exec "$here/tieout" bench "$@"
