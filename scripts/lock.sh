#!/usr/bin/env bash
# Write requirements/locked.txt anew: every version that set-up installs, with the SHA-256 of its files; and
# locked_kilted.txt, the same versions with ROS 2 Kilted in the place of Jazzy.
#   bash scripts/lock.sh               # keeps the versions that are locked, as far as they fit
#   bash scripts/lock.sh --upgrade     # takes the newest ones
#
# One lock serves Linux on x86-64 and on 64-bit ARM with CPython 3.11 to 3.14: a line that is not for all of them
# says so. Needs the command uv (pip install uv).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# lock FILE SOURCE...
lock() {
  local file=requirements/$1
  shift
  uv pip compile --universal --python-version 3.11 --generate-hashes --annotation-style line --no-header \
    --quiet --output-file "$file" "$@"
  sed -i '1i # Written by scripts/lock.sh; scripts/requirements.py takes a set out of it.' "$file"
}

lock locked.txt "$@" requirements/jazzy.in requirements/test.in
cp requirements/locked.txt requirements/locked_kilted.txt  # uv keeps what it finds there
lock locked_kilted.txt requirements/kilted.in requirements/test.in
