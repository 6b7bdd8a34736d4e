#!/usr/bin/env bash
# Optional: make an environment with a TensorFlow Lite as old as that of the Coral stack, for
# test/unit/model/test_old_tflite.py. Needs CPython 3.7 to 3.9; name one:
#   bash scripts/old_tflite.sh [PYTHON]
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
old_python=${1:-python3.9}
"$old_python" -c 'import sys, venv; sys.exit(not (3, 7) <= sys.version_info < (3, 10))' 2>/dev/null || die \
  "'$old_python' is no CPython 3.7 to 3.9 with the venv module; tflite-runtime 2.8 has no wheels for others." \
  'Name one: bash scripts/old_tflite.sh /path/to/python3.9'
make_old_tflite() {
  rm -rf "$cache/old-tflite"
  "$old_python" -m venv "$cache/old-tflite.partial"
  "$cache/old-tflite.partial/bin/python" -m pip install --disable-pip-version-check \
    'tflite-runtime==2.8.0' 'numpy<1.24'
  mv "$cache/old-tflite.partial" "$cache/old-tflite"
}
step 'making an environment with tflite-runtime 2.8' 'Is the package index reachable?' make_old_tflite
echo "$cache/old-tflite"
