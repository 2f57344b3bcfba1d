#!/usr/bin/env bash
# Stops every service of the platform; the data stays. Usage: scripts/stop.sh
set -euo pipefail
here=$(cd -P "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")" && pwd)
exec "$here/tieout" stop "$@"
