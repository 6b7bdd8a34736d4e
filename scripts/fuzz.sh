#!/usr/bin/env bash
# Optional: fuzz the parsers of bytes from outside, guided by coverage, one after the other.
#   bash scripts/fuzz.sh                          names the targets
#   bash scripts/fuzz.sh SECONDS [TARGET...]      SECONDS for each, at most RUNS executions (10 million)
# Prints the rows of the table in docs/records/fuzzing.md. An input that makes a parser raise another
# error than it may, take over 10 s or over 2 GB of memory, or the coder step over a buffer, is kept in
# FUZZ/NAME/findings, and those that reached something new in FUZZ/NAME/corpus, where the next run
# begins; FUZZ is fuzz/ in the cache unless it is set. Of the package's tools only this needs atheris, which
# it installs there (CPython 3.11 to 3.13), and, for the target `coder`, clang.
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
FUZZ=${FUZZ:-$cache/fuzz}
RUNS=${RUNS:-10000000}
mkdir -p "$FUZZ"
site=$FUZZ/atheris-$("$venv/bin/python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
[ -d "$site" ] || step 'installing atheris' 'It has wheels for CPython 3.11 to 3.13 on x86-64.' \
  "$venv/bin/pip" install --disable-pip-version-check --no-deps --target "$site" atheris==3.0.0
export PYTHONPATH="$root/test:$site${PYTHONPATH:+:$PYTHONPATH}"
cd "$root"

if (($# == 0)); then
  echo coder
  exec python -c 'from fuzz.targets import TARGETS; print("\n".join(TARGETS))'
fi
seconds=$1
shift
targets=("$@")
((${#targets[@]})) || mapfile -t targets < <(echo coder; python -c \
  'from fuzz.targets import TARGETS; print("\n".join(TARGETS))')

TMPDIR=$(mktemp -d -p "$([ -d /dev/shm ] && echo /dev/shm || echo /tmp)")  # the bags and models that are read
export TMPDIR
trap 'rm -rf "$TMPDIR"' EXIT

build_coder() {
  command -v clang >/dev/null || die 'the target coder needs clang: install it, or name other targets.'
  clang -g -O2 -DSMALL=24 -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=undefined -o "$TMPDIR/coder" \
    test/fuzz/coder.c offload_perception/codec/rans.c offload_perception/codec/adaptive.c
  python test/fuzz/coder.py "$TMPDIR/tables" "$1"
}

printf '| target | executions | s | a second | edges | findings |\n|---|---:|---:|---:|---:|---:|\n'
for target in "${targets[@]}"; do
  folder=$FUZZ/$target
  mkdir -p "$folder/corpus" "$folder/findings"
  options=(-runs="$RUNS" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048
    -artifact_prefix="$folder/findings/" -print_final_stats=1)
  if [ "$target" = coder ]; then
    build_coder "$folder/corpus"
    command=(env CODER_TABLES="$TMPDIR/tables" "$TMPDIR/coder" "$folder/corpus" -max_len=120)
  else
    command=(python test/fuzz/fuzz_parser.py "$target" "$folder/corpus")
  fi
  before=$SECONDS
  "${command[@]}" "${options[@]}" >"$folder/log" 2>&1 || true
  awk -v name="$target" -v took=$((SECONDS - before)) -v found="$(find "$folder/findings" -type f | wc -l)" '
    /cov: / { for (i = 1; i < NF; i++) if ($i == "cov:") edges = $(i + 1) }
    /^Done .* runs in/ { took = $5 }
    /number_of_executed_units/ { runs = $2 }
    END { printf "| %s | %d | %d | %d | %d | %d |\n", name, runs, took, runs / (took ? took : 1), edges, found }
  ' "$folder/log"
done
