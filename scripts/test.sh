#!/usr/bin/env bash
# Set everything up (once), then check style and types, and run the tests. Arguments go to pytest: bash scripts/test.sh -k um25c
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
cd "$root"
ruff check .
mypy
# Most tests of whole graphs wait for processes: three at a time keep two cores busy.
exec python -m pytest -n 3 --dist loadfile "$@"
