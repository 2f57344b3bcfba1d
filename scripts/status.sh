#!/usr/bin/env bash
# A row for each service and each station of the data. Usage: scripts/status.sh [--json]
set -euo pipefail
here=$(cd -P "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")" && pwd)
exec "$here/tieout" status "$@"
