#!/usr/bin/env bash
# Optional: make an environment with a TensorFlow Lite as old as that of the Coral stack, for
# test/unit/network/test_old_tflite.py. Needs CPython 3.7 to 3.9; name one:
#   bash scripts/old_tflite.sh [PYTHON]
set -euo pipefail

python=${1:-python3.9}
cache=${OFFLOAD_PERCEPTION_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/offload_perception}  # as in environment.sh
venv=$cache/old-tflite

die() { printf 'error: %s\n' "$*" >&2; exit 1; }

"$python" -c 'import sys, venv; sys.exit(not (3, 7) <= sys.version_info < (3, 10))' 2>/dev/null || die \
  "'$python' is no CPython 3.7 to 3.9 with the venv module; tflite-runtime 2.8 has no wheels for others." \
  'Name one: bash scripts/old_tflite.sh /path/to/python3.9'
mkdir -p "$cache"
"$python" -m venv --clear "$venv"
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check 'tflite-runtime==2.8.0' 'numpy<1.24' ||
  { rm -rf "$venv"; die 'tflite-runtime 2.8.0 cannot be installed. Is the package index reachable?'; }
printf '%s has tflite-runtime 2.8.0\n' "$venv"
