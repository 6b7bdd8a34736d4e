#!/usr/bin/env bash
# Optional: make an environment with tflite-runtime 2.14, its last release, for test/unit/runtime/test_tflite_runtime.py.
# Needs CPython 3.11; name one: bash scripts/tflite_runtime.sh [PYTHON]
set -euo pipefail

python=${1:-python3.11}
cache=${OFFLOAD_PERCEPTION_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/offload_perception}  # as in environment.sh
venv=$cache/tflite-runtime

die() { printf 'error: %s\n' "$*" >&2; exit 1; }

if [ -x "$venv/bin/python" ] && "$venv/bin/python" -c 'import tflite_runtime.interpreter' 2>/dev/null; then exit; fi
"$python" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info[:2] != (3, 11))' 2>/dev/null || die \
  "'$python' is no CPython 3.11 with the venv module; tflite-runtime 2.14 has no wheels for newer ones." \
  'Name one: bash scripts/tflite_runtime.sh /path/to/python3.11'
mkdir -p "$cache"
"$python" -m venv --clear "$venv"
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check 'tflite-runtime==2.14.0' 'numpy<2' flatbuffers ||
  { rm -rf "$venv"; die 'tflite-runtime 2.14.0 cannot be installed. Is the package index reachable?'; }
printf '%s has tflite-runtime 2.14.0\n' "$venv"
