#!/usr/bin/env bash
# Sets up what is missing and starts the platform. Usage: scripts/start.sh [--no-demo] [--with NAME] [--without NAME]
set -euo pipefail
here=$(cd -P "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")" && pwd)
"$here/setup.sh"
exec "$here/tieout" start "$@"
