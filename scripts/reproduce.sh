#!/usr/bin/env bash
# Make every table and figure of docs/ again, each with the command and the seeds of its page:
#   bash scripts/reproduce.sh [--quick] [--traces DIR] [--mobilenet FILE] OUT [NAME ...]
#
#   --quick            each as small as it gets: shows that the commands work, its figures mean nothing
#   --traces DIR       recordings of links, for the planner (docs/records/planner.md names them)
#   --mobilenet FILE   mobilenet_v2_1.0_224_quant.tflite of coral.ai
#   NAME               only these; all of them by default, which takes hours
#
# OUT/NAME holds the command, tables (output.md), figures, JSON and log of each; OUT/README.md lists
# all, with what was skipped and why. What is in OUT already is kept: start it again to go on. As root
# it also makes what needs network namespaces. Benchmarks need the machine for themselves.
set -euo pipefail

size=full traces='' mobilenet='' out=''
names=()
usage() { sed -n '2,/^set/{/^set/d; s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}"; }
bad() { printf 'error: %s See --help.\n' "$*" >&2; exit 2; }
while [ $# -gt 0 ]; do
  case $1 in
    --help | -h) usage; exit ;;
    --quick) size=quick ;;
    --traces) traces=$(realpath -e "${2:?a folder}") || bad "--traces: there is no $2."; shift ;;
    --mobilenet) mobilenet=$(realpath -e "${2:?a file}") || bad "--mobilenet: there is no $2."; shift ;;
    -*) bad "no option $1." ;;
    *) if [ -z "$out" ]; then out=$1; else names+=("$1"); fi ;;
  esac
  shift
done
[ -n "$out" ] || bad 'Name a folder for the results.'
mkdir -p "$out"
out=$(realpath "$out")
OFFLOAD_PERCEPTION_SET=test
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
benchmarks=$root/benchmarks

seen=() rows=() failed=0

wanted() {
  seen+=("$1")
  [ ${#names[@]} = 0 ] || [[ " ${names[*]} " = *" $1 "* ]]
}

# list NAME PAGE OUTCOME COMMAND: remember a row of OUT/README.md.
list() {
  rows+=("| $1 | $2 | $3 | $4 |")
  printf '%s: %s\n' "$1" "$3" >&2
}

# skip NAME PAGE REASON
skip() { if wanted "$1"; then list "$1" "$2" "skipped: $3" ''; fi; }

# make NAME PAGE COMMAND ...: run it in OUT/NAME. What follows `full:` or `quick:` is only for that
# size, up to `both:`.
make() {
  local name=$1 page=$2 part=both word command=() began=$SECONDS shown
  shift 2
  if ! wanted "$name" && ! [ -e "$out/$name" ]; then return; fi
  for word; do
    case $word in
      full: | quick: | both:) part=${word%:} ;;
      *) if [ "$part" = both ] || [ "$part" = $size ]; then command+=("$word"); fi ;;
    esac
  done
  shown="\`${command[*]//$root\//}\`"
  if [ -e "$out/$name" ]; then
    list "$name" "$page" 'made before' "$(cat "$out/$name/command")"
    return
  fi
  rm -rf "$out/$name.part"
  mkdir "$out/$name.part"
  printf '%s\n' "$shown" >"$out/$name.part/command"
  printf '%s ...\n' "$name" >&2
  if (cd "$out/$name.part" && "${command[@]}" >output.md 2>log </dev/null); then
    mv "$out/$name.part" "$out/$name"
    list "$name" "$page" "made in $((SECONDS - began)) s" "$shown"
  else
    failed=$((failed + 1))
    tail -n 3 "$out/$name.part/log" >&2
    list "$name" "$page" "FAILED, see $name.part/log" "$shown"
  fi
}

# apart NAME PAGE COMMAND ...: as make; two network namespaces stand for drone and server.
apart() {
  if [ "$(id -u)" != 0 ]; then
    skip "$1" "$2" 'needs root, for network namespaces; run this script as root'
  elif ! command -v ip tc >/dev/null; then
    skip "$1" "$2" 'needs the commands ip and tc; install iproute2'
  else
    make "$@"
  fi
}

vgg=(full: --model vgg16 --weights seed:0 quick: --model aerial --weights bundled both:)
graph=("${vgg[@]}" quick: --frames 10 --warm-up 2 --settle 1 both: --json result.json)
emulated=emulate:=raspberry_pi_3b_plus

# -- published figures, and what is computed from them ---------------------------------------------
page=docs/original_measurements.md
make original_measurements $page python "$benchmarks/original_measurements.py" --figures . --json result.json

page=docs/records/planner.md
make plan $page plan --bandwidth 12500 --deadline 2 --figure candidates.png --map map.png --json result.json
make plan_pi_exact $page plan --profile raspberry_pi_3b_plus --agreement-floor 1 --bandwidth 12500 --deadline 9 \
  --map map.png --json result.json
make fleet $page simulate_fleet --server-macs 10e9 --bandwidth 60e3 --seed 1 --figure fleet.png --json result.json \
  --policy ours --policy 'all on board' --policy 'input jpeg:90' --policy 'back-off rule' --policy latency-best \
  --policy 'energy-best, no deadline' --policy 'energy-best under deadline' --policy clairvoyant \
  full: --sweep drones=1,5,10,20 --duration 300 --seeds 5 quick: --sweep drones=1,2 --duration 20 --seeds 2
make fleet_time $page simulate_fleet --drones 10 --rate 2 --speed 10 --deadline 0.5 --server-macs 10e9 --bandwidth 60e3 \
  --seed 1 --policy ours full: --duration 600 quick: --duration 20
# Their seeds are FINAL in planner.py: 201 to 220.
make planner $page python "$benchmarks/planner.py" --json result.json ${traces:+--traces "$traces"} \
  quick: --seeds 1 --duration 5 --decisions 50 --only steady
make ablation $page python "$benchmarks/ablation.py" --json result.json \
  full: ${traces:+--traces "$traces"} quick: --tuning --seeds 1
[ -n "$traces" ] || skip planner_recorded $page 'needs the recordings of links; name them with --traces DIR'

# -- networks and codecs ----------------------------------------------------------------------------
make accuracy docs/accuracy.md evaluate_model --seed 0 --markdown accuracy.md --json result.json \
  full: --count 2000 quick: --count 20 --tail-cuts block4_pool
make train_aerial docs/aerial_model.md train_aerial --seed 0 --out . --json result.json quick: --steps 1
make train_bottleneck docs/bottleneck.md train_bottleneck --seed 0 --name aerial_split --out . --json result.json \
  quick: --epochs 1 --steps 2
make bottleneck docs/bottleneck.md python "$benchmarks/bottleneck.py" --figures . --json result.json quick: --images 20

make energy_coverage docs/power_meter.md python "$benchmarks/energy_coverage.py" --json result.json quick: --trials 1 --meter slow

page=docs/characterize.md
for model in vgg16_112 vgg16; do
  make "characterize_$model" $page characterize --weights seed:0 --out . --json result.json \
    full: --model $model --backends float32,int8 --seconds 4 --runs 4 --idle-seconds 10 \
    quick: --model aerial --backends int8 --seconds 3 --runs 1 --idle-seconds 3
done

page=docs/records/performance.md
make codec $page python "$benchmarks/codec.py" "${vgg[@]}" --json result.json quick: --count 4 --repeats 1
make coder $page python "$benchmarks/coder.py" "${vgg[@]}" --json result.json quick: --count 1 --turns 1
make codec_aerial $page python "$benchmarks/codec.py" --model aerial --weights bundled --json result.json \
  full: --count 400 --repeats 3 quick: --count 4 --repeats 1
# It writes beside its model, so it gets a copy.
# shellcheck disable=SC2016  # $0 and $@ are those of the inner shell
make measure_codecs $page bash -c 'cp -r "$0" model && measure_codecs --model ./model --json result.json "$@"' \
  "$root/offload_perception/weights/aerial" full: --images 4000 quick: --images 20 --calibrate 40
make runtimes docs/runtimes.md python "$benchmarks/runtimes.py" --json result.json \
  full: --model vgg16 --weights seed:0 --rounds 25 quick: --model aerial --cuts block4_pool,predictions --rounds 2
make runtimes_aerial docs/runtimes.md python "$benchmarks/runtimes.py" --model aerial --json result.json \
  full: --rounds 300 quick: --cuts block4_pool --rounds 2
if [ -n "$mobilenet" ]; then
  make codec_mobilenet $page python "$benchmarks/codec.py" --model "$mobilenet" --lossless --json result.json \
    quick: --count 1 --repeats 1
  make latency_mobilenet $page python "$benchmarks/latency.py" --model "$mobilenet" --json result.json \
    --cuts expanded_conv_3/depthwise,expanded_conv_7/depthwise quick: --frames 10 --warm-up 2 --settle 1
else
  for name in codec_mobilenet latency_mobilenet; do
    skip $name $page 'needs mobilenet_v2_1.0_224_quant.tflite; name it with --mobilenet FILE'
  done
fi

# -- the running graph ------------------------------------------------------------------------------
make latency $page python "$benchmarks/latency.py" "${graph[@]}" full: --cuts block3_pool,block4_pool,block5_pool
for codec in zstd raw; do
  make latency_$codec $page python "$benchmarks/latency.py" "${graph[@]}" --cuts block4_pool --codec $codec
done
make throughput $page python "$benchmarks/throughput.py" "${graph[@]}" quick: --turns 1 --camera 0.05
make fleet_server docs/fleet.md python "$benchmarks/fleet.py" "${vgg[@]}" --json result.json \
  quick: --seconds 0.3 --tensors 200
make server_killed docs/fleet.md python "$benchmarks/server_killed.py" $emulated --json result.json \
  quick: --drones 2 --settle 2 --before 3 --after 5
make cost $page python "$benchmarks/cost.py" "${graph[@]}" full: --frames 200 quick: --seconds 1
make against_naive $page python "$benchmarks/against_naive.py" "${graph[@]}" --codec zstd full: --turns 4 quick: --turns 1
make soak docs/reliability.md python "$benchmarks/soak.py" --figures . --json result.json \
  quick: --minutes 0.6
make um25c_soak docs/power_meter.md python "$benchmarks/um25c_soak.py" --seed 0 --json result.json \
  full: --minutes 10 quick: --minutes 0.2

page=docs/records/planner.md
soon=(full: --duration 60 --settle 30 quick: --duration 6 --settle 2 both: --json result.json)
make forecast_on_board $page python "$benchmarks/forecast.py" full: --duration 190 --settle 55 \
  quick: --duration 6 --settle 2 both: --json result.json deadline:=1.0 rate:=1.5 $emulated remote:=false
make forecast_demo $page python "$benchmarks/forecast.py" "${soon[@]}"
make forecast_5hz $page python "$benchmarks/forecast.py" "${soon[@]}" rate:=5
make forecast_vgg16 $page python "$benchmarks/forecast.py" "${soon[@]}" rate:=8 deadline:=0.3 \
  full: model:=vgg16 weights:=seed:0

# -- drone and server apart -------------------------------------------------------------------------
apart link_cut $page python "$benchmarks/link_cut.py" --json result.json full: --turns 5 quick: --turns 1 --cut 2 both: $emulated
apart shaped_flight $page python "$benchmarks/shaped_flight.py" --json result.json full: --duration 15 \
  quick: --duration 2 both: bag $emulated
if [ -e "$out/shaped_flight" ]; then
  make shaped_flight_report docs/planner.md report "$out/shaped_flight/bag" --out . --json result.json
else
  skip shaped_flight_report docs/planner.md 'needs the bag of shaped_flight'
fi
apart forecast_shaped $page python "$benchmarks/shaped_flight.py" --mbit 0.5 0.5 --rate 5 --json result.json \
  full: --duration 40 quick: --duration 2 both: bag $emulated
apart bottleneck_flown docs/bottleneck.md python "$benchmarks/shaped_flight.py" --mbit 1 0.2 0.1 --deadline 2 --rate 2 \
  --json result.json full: --duration 25 quick: --duration 2 both: -- bag model:=aerial_split $emulated source:=terrain
page=docs/records/performance.md
apart network $page python "$benchmarks/network.py" "${vgg[@]}" --json result.json full: --frames 40 \
  quick: --frames 5 --warm-up 2 --settle 1 --mbit 20
apart network_candidates $page python "$benchmarks/network.py" "${vgg[@]}" --json result.json \
  quick: --frames 5 --warm-up 2 --settle 1 --mbit 20 both: --candidates input:jpeg:90 block3_pool:auto block4_pool:lossy:4
if command -v nft >/dev/null; then
  apart loss $page python "$benchmarks/loss.py" full: --heartbeats 3,0.2,0.1,0.05,0.02,0.01 --loss 0,0.1 --frames 100 \
    quick: --heartbeats 0.1 --loss 0.1 --frames 10 both: --json result.json \
    split:=block4_pool deadline:=1.0 runtime:=litert threads:=1 source:=terrain
else
  skip loss $page 'needs the command nft; install nftables'
fi

# -- what no command makes --------------------------------------------------------------------------
skip screenshots docs/live.md 'live.jpg and report.jpg are pictures of a browser, taken by hand'
skip aerial_tiles docs/aerial_model.md 'aerial_tiles.jpg: its command was not kept'
skip agreement docs/runtimes.md 'the table of runtimes that agree: its command was not kept'
skip decoders docs/sources.md 'the times of OpenCV and Pillow: their command was not kept'
skip stock_camera docs/camera.md 'a test looks at it (test/graph/test_stock_camera.py); its table was made by hand'

for name in "${names[@]}"; do
  [[ " ${seen[*]} " = *" $name "* ]] || die "no table or figure '$name'; there are ${seen[*]}."
done
{
  printf '# Tables and figures of docs/, %s\n\n| name | page | outcome | command |\n|---|---|---|---|\n' "$size"
  printf '%s\n' "${rows[@]}"
} >"$out/README.md"
printf 'see %s\n' "$out/README.md"
if [ $failed != 0 ]; then die "$failed of them failed."; fi
