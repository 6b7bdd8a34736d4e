#!/usr/bin/env bash
# Every fault of test/faults several times, then a long flight with random faults; about two hours:
#   bash scripts/soak.sh [OUT] [MINUTES]
# OUT (default: soak) gets faults.md, soak.md, soak.png and soak.json. As root it also makes what needs
# network namespaces and mounts.
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
cd "$root"
out=${1:-soak} minutes=${2:-60}
mkdir -p "$out"
rm -f "$out/faults.json"
failed=0
FAULT_TIMES=5 FAULT_LOG=$(realpath "$out")/faults.json python -m pytest -m '' test/faults || failed=1
PYTHONPATH=$root python test/faults/outcomes.py "$out/faults.json" | tee "$out/faults.md"
python benchmarks/soak.py --minutes "$minutes" --figures "$out" --json "$out/soak.json" | tee "$out/soak.md"
exit $failed
