#!/usr/bin/env bash
# Tests rnd1 on this machine's GPU: bash gpu-kit/run.sh [option…] [stage…]
#
# stages (default: smoke test bench)
#   smoke     the GPU, its driver, whether the programs start; peaks
#   test      every test of a backend, each in its own process
#   bench     whole steps of RND1-30B, ops, PyTorch for comparison
#   profile   Nsight Compute on the launches of a step
#   sanitize  compute-sanitizer on small tests
#   variants  ops with other thresholds between tile sizes
#   node      the JavaScript stack, if gpu-kit-node is beside this folder
#   all       all of these
#
# options
#   --out FOLDER   output folder (default: $OUT, else gpu-kit-out)
#   --device NAME  (default: cuda:0)
#   --only REGEX   runs only tests with matching names
#   --limit N      time limit of a test in seconds (default: 30; twice that for 'true shapes')
#   --time N       time limit of a stage in seconds, instead of its own 60 to 300
#   --pack FILE    also packs the output into a .tar.gz, updated after each stage
#   --build        build the programs here first, from the sources in the kit
#
# A test or bench that fails, hangs or crashes is recorded, and the next one runs. A stage that exceeds its time limit
# leaves the rest untried. Exit codes: 0 if everything passed, 1 if something failed or was left untried, 2 for wrong
# options, 3 if no GPU can be used.

[ -n "${BASH_VERSION:-}" ] || { echo 'run.sh: use bash' >&2; exit 2; }
set -uo pipefail
unset CDPATH
refuse() { echo "run.sh: $*" >&2; exit 2; }
for program in awk cut dirname grep mkdir readlink sed sort tail tar tee timeout tr; do
  command -v "$program" >/dev/null || refuse "$program is not installed"
done

kit=$(cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")" && pwd)
[ -f "$kit/kit.env" ] || refuse "this is not a kit: $kit/kit.env is missing"
# shellcheck source=/dev/null
. "$kit/kit.env"
out=${OUT:-gpu-kit-out} device=cuda:0 only=. limit=30 time='' pack='' build=0
stages=()
usage() { sed -n '2,/^$/{s/^#$//;s/^# //;p}' "$kit/run.sh"; }
while [ $# -gt 0 ]; do
  case $1 in
    --out | --device | --only | --limit | --time | --pack)
      [ -n "${2:-}" ] || refuse "$1 needs a value"
      printf -v "${1#--}" %s "$2"
      shift
      ;;
    --build) build=1 ;;
    -h | --help) usage; exit 0 ;;
    all) stages+=(smoke test bench profile sanitize variants node) ;;
    smoke | test | bench | profile | sanitize | variants | node) stages+=("$1") ;;
    *) echo "run.sh: there is no stage or option $1" >&2; usage >&2; exit 2 ;;
  esac
  shift
done
[ ${#stages[@]} -gt 0 ] || stages=(smoke test bench)
# The programs accept 'cuda', nvidia-smi needs the number.
[ "$device" != cuda ] || device=cuda:0
for option in limit time; do
  case ${!option} in
    *[!0-9]* | 0* | ??????*) refuse "--$option must be a number of seconds, not '${!option}'" ;;
  esac
done
printf '' | grep -qE -- "$only" 2>/dev/null
[ $? -le 1 ] || refuse "--only must be a regular expression of grep -E, not '$only'"

mkdir -p -- "$out/logs" || exit 2
out=$(cd -- "$out" && pwd) || exit 2
results=$out/results.tsv
rm -f "$out/summary.txt"
# Results of another build are not results of this one.
if [ -s "$out/kit" ] && [ "$(sed -n 1p "$out/kit")" != "commit $commit, built $date for $architectures" ]; then
  mv "$results" "$out/results-before.tsv"
fi
: >>"$results" || exit 2
if [ -n "$pack" ]; then
  case $pack in /*) ;; *) pack=$PWD/$pack ;; esac
  : >"$pack" || refuse "--pack: $pack cannot be written"
fi
bad=0

# note STAGE NAME VERDICT SECONDS [REASON [LOG]]
note() {
  printf '%s\t%s\t%s\t%s\t%s\t%s\n' "$1" "$2" "$3" "$4" "${5:-}" "${6:-}" >>"$results" ||
    { echo "run.sh: $results cannot be written" >&2; exit 2; }
  printf '%-8s %-8s %6s s  %s%s\n' "$3" "$1" "$4" "$2" "${5:+ ($5)}"
  case $3:$1:$2 in
    # Failures of PyTorch and of tools that do not work on every machine do not count.
    *:profile:* | *:bench:torch* | *:sanitize:racecheck | *:sanitize:initcheck) ;;
    FAILED:* | TIMEOUT:* | UNTRIED:*) bad=1 ;;
  esac
}

# begin SECONDS: sets the deadline of a stage.
begin() { deadline=$((SECONDS + ${time:-$1})); }

# run STAGE NAME LIMIT LOG COMMAND…: stdout and stderr to $out/LOG and $out/LOG.err; returns whether it passed.
run() {
  local stage=$1 name=$2 seconds=$3 log=$4 left=$((deadline - SECONDS)) start=$SECONDS status
  shift 4
  if [ "$left" -lt 2 ]; then note "$stage" "$name" UNTRIED 0 'the time of this stage is used up'; return 1; fi
  [ "$seconds" -le "$left" ] || seconds=$left
  # In the background, since bash handles signals in `wait`, but not while a foreground program runs. The outer timeout
  # is for a process that even SIGKILL cannot end, for example because its GPU hangs: it is abandoned.
  timeout --foreground -s KILL $((seconds + 15)) timeout -k 5 "$seconds" "$@" >"$out/$log" 2>"$out/$log.err" </dev/null &
  child=$!
  running="$stage: $name"
  # The braces suppress the shell's own message about a crash.
  { wait "$child"; } 2>/dev/null
  status=$?
  child=''
  # Programs may return these codes themselves, and the kernel sends the same signal when memory is short.
  case $status in 124 | 137) [ $((SECONDS - start)) -ge "$seconds" ] || status=$((status + 1000)) ;; esac
  case $status in
    0) note "$stage" "$name" passed $((SECONDS - start)) ;;
    1137) note "$stage" "$name" FAILED $((SECONDS - start)) 'killed: out of memory?' "$log" ;;
    1124) note "$stage" "$name" FAILED $((SECONDS - start)) 'exit code 124' "$log" ;;
    124 | 137) note "$stage" "$name" TIMEOUT $((SECONDS - start)) "ended after $seconds s" "$log" ;;
    129 | 13? | 14?) note "$stage" "$name" FAILED $((SECONDS - start)) "ended by signal $((status - 128))" "$log" ;;
    *) note "$stage" "$name" FAILED $((SECONDS - start)) "exit code $status" "$log" ;;
  esac
  return "$status"
}

child='' running=''
stop() {
  trap '' INT TERM HUP
  [ -z "$child" ] || { kill -TERM "$child"; wait "$child"; } 2>/dev/null
  echo "stopped by a signal in $running" >&2
  summarize
  exit "$1"
}
trap 'stop 130' INT
trap 'stop 143' TERM
trap 'stop 129' HUP

cannot() { note "$1" "$2" skipped 0 "$3"; }

pack_up() {
  [ -n "$pack" ] || return 0
  tar -czf "$pack.part" --exclude=./built --exclude="./${pack##*/}*" -C "$out" . && mv "$pack.part" "$pack" || bad=1
}

summarize() {
  if command -v "$python" >/dev/null; then
    timeout -k 5 60 "$python" "$kit/summarize.py" "$out" | tee "$out/summary.txt" || bad=1
  else
    echo "$python is not installed: no summary, see $results" >&2
  fi
  pack_up
}

build_here() {
  begin 300
  command -v cmake >/dev/null || { echo 'cmake is not installed: nothing can be built here' >&2; exit 1; }
  if ! run build build 300 logs/build bash "$kit/build.sh" "$out/built"; then
    grep -m 5 -hiE 'error' "$out/logs/build" "$out/logs/build.err" >&2
    exit 1
  fi
  kit_programs=$out/built
}

smoke() {
  begin 60
  if [ -n "${simulated:-}" ]; then
    cannot smoke nvidia-smi 'the GPU is simulated'
  elif command -v nvidia-smi >/dev/null; then
    run smoke nvidia-smi 20 logs/nvidia-smi nvidia-smi --id="${device#cuda:}" --format=csv,noheader \
      --query-gpu=name,driver_version,memory.total,clocks.max.sm,power.limit
    timeout -k 5 20 nvidia-smi -q >"$out/logs/nvidia-smi-full" 2>&1
  else
    cannot smoke nvidia-smi 'it is not installed'
  fi
  run smoke 'peaks' 60 bench-peaks.jsonl "$kit_programs/rnd1_bench" peaks --device "$device" "${step_effort[@]}"
}

# Basic ops first.
ordered_tests() {
  awk -F: '{
    order = "matmul logits gatherRows embed experts mlp attention true shapes route addRmsNorm normRope norms score scoreLogits unmask"
    at = index(order " ", $1 " ")
    printf "%04d\t%s\n", (at > 0 ? at : 9999), $0
  }' | sort -s -n -k1,1 | cut -f2-
}

test_one_by_one() {
  begin 220
  local name seconds number=0
  while IFS= read -r name; do
    number=$((number + 1)) seconds=$limit
    case $name in 'true shapes'*) seconds=$((2 * limit)) ;; esac
    run test "$name" "$seconds" "logs/test-$number-$(printf %s "$name" | tr -cs 'a-zA-Z0-9' - | cut -c 1-80)" \
      "$kit_programs/rnd1_tests" --device "$device" --exact "$name"
  done < <(grep -E -- "$only" "$out/tests" | ordered_tests)
  [ "$number" -gt 0 ] || note test "$only" FAILED 0 'no test has such a name'
}

bench() {
  begin 345
  local op weights
  run bench step 150 bench-step.jsonl "$kit_programs/rnd1_bench" step --device "$device" --cases "$step_cases" \
    --runs 5 "${step_effort[@]}" "${sizes[@]}"
  for weights in q8 q5 q4 fp8; do
    run bench "step $weights" 60 "bench-step-$weights.jsonl" "$kit_programs/rnd1_bench" step --device "$device" \
      --weights "$weights" --cases "${step_cases%%,*}" --runs 5 "${step_effort[@]}" "${sizes[@]}"
  done
  for op in experts matmul attention route norms score; do
    run bench "$op" 60 "bench-$op.jsonl" "$kit_programs/rnd1_bench" "$op" --device "$device" --rows "$op_rows" \
      --runs 3 "${effort[@]}" "${sizes[@]}"
  done
  if ! timeout -k 5 60 "$python" -c 'import torch; raise SystemExit(not torch.cuda.is_available())' 2>/dev/null; then
    cannot bench 'PyTorch' 'there is no PyTorch with a GPU'
    return
  fi
  for op in peaks matmul experts attention score; do
    run bench "torch $op" 60 "torch-$op.jsonl" "$python" "$kit/peers/$op.py" --device "$device" --rows "$op_rows"
  done
}

profile() {
  begin 120
  local ncu
  ncu=$(command -v ncu || ls /usr/local/cuda/bin/ncu 2>/dev/null) || { cannot profile ncu 'it is not installed'; return; }
  run profile ncu 120 logs/ncu "$ncu" --clock-control none --launch-count 80 --kernel-name-base function \
    --kernel-name 'regex:^(matmul|expert|attention|greedy|join|combine|router|select|group|addRmsNorm|normRope)' --section SpeedOfLight --section Occupancy \
    --section WarpStateStats --section MemoryWorkloadAnalysis "$kit_programs/rnd1_bench" step --device "$device" \
    --cases 1x256 --layers 2 --runs 1 "${effort[@]}"
}

sanitize() {
  begin 150
  local tool sanitizer
  sanitizer=$(command -v compute-sanitizer || ls /usr/local/cuda/bin/compute-sanitizer 2>/dev/null) ||
    { cannot sanitize compute-sanitizer 'it is not installed'; return; }
  # It does not work on some virtual machines.
  timeout -k 5 60 "$sanitizer" --error-exitcode 99 "$kit_programs/rnd1_bench" peaks --device "$device" --effort 0.001 \
    >"$out/logs/sanitizer" 2>&1 </dev/null
  case $? in
    0 | 99) ;;
    *) cannot sanitize compute-sanitizer 'it does not work here, see logs/sanitizer'; return ;;
  esac
  for tool in memcheck initcheck racecheck; do
    # Tests with small shapes that use every kernel: under the tool they are hundreds of times slower.
    run sanitize "$tool" 100 "logs/sanitize-$tool" "$sanitizer" --tool "$tool" --error-exitcode 1 \
      "$kit_programs/rnd1_tests" --device "$device" 'NaN stays in its' 'NaN and infinity stay' \
      'packed canvases do not see' 'many rows have the bits of few' 'plain plans' 'unmask:' 'NaN fails'
  done
}

# variant ROUND VALUE OP BORDER ROWS [OPTION…]: runs the bench of OP with the threshold BORDER set to VALUE.
variant() {
  local round=$1 value=$2 op=$3 border=$4 rows=$5
  shift 5
  run variants "$op --$border $value, round $round" 60 "variant-$op-$border-$value-$round.jsonl" \
    "$kit_programs/rnd1_bench" "$op" --device "$device" --rows "$rows" --runs 3 "--$border" "$value" "$@" \
    "${effort[@]}" "${sizes[@]}"
}

# Twice each, alternating, since clocks vary.
variants() {
  begin 300
  local round value switch
  for round in 1 2; do
    for switch in early-launches clusters; do
      for value in 0 1; do
        run variants "step --$switch $value, round $round" 60 "variant-step-$switch-$value-$round.jsonl" \
          "$kit_programs/rnd1_bench" step --device "$device" --cases "${step_cases%%,*}" --runs 3 \
          "--$switch" "$value" "${effort[@]}" "${sizes[@]}"
      done
    done
    for value in 1 100000; do
      variant "$round" "$value" matmul few-rows "$few_row_rows"
      variant "$round" "$value" matmul medium-rows "$medium_row_rows"
      variant "$round" "$value" matmul many-rows "$matmul_border_rows"
      variant "$round" "$value" experts many-expert-rows "$expert_border_rows" --routing random
      variant "$round" "$value" experts few-expert-rows "$few_border_rows" --routing random
    done
  done
}

node_stack() {
  begin 300
  local script=$kit/../gpu-kit-node/run.sh
  [ -e "$script" ] || { cannot node gpu-kit-node 'there is no such folder beside the kit'; return; }
  RND1_TEST_DEVICE=$device run node 'the JavaScript stack' 300 logs/node bash "$script" "$out"
}

python=${PYTHON:-python3}
export PYTHONDONTWRITEBYTECODE=1
# Folder of the benches' unnamed temporary files.
export TMPDIR=${TMPDIR:-$out}
export RND1_FIXTURES=$kit/fixtures
kit_programs=$kit
[ -x "$kit/rnd1_tests" ] || chmod +x "$kit/rnd1_tests" "$kit/rnd1_bench"
if [ -n "${simulated:-}" ]; then
  # A simulated GPU is a million times slower.
  sizes=(--layers 2 --hidden 64 --heads 4 --key-value-heads 2 --head-dim 32 --experts 8 --experts-per-token 2
    --expert-width 48 --vocabulary 300)
  effort=(--effort 0.00001) step_effort=(--effort 0.00001)
  step_cases=1x8,2x8 op_rows=8 few_row_rows=8,40 medium_row_rows=72 matmul_border_rows=8,40 expert_border_rows=16 few_border_rows=16
else
  sizes=()
  # The step times are compared with the copy peak of the same run, so it must be accurate.
  effort=(--effort 0.1) step_effort=(--effort 1)
  step_cases=1x256,1x64,4x256,32x256 op_rows=32,64,256,1024,4096,8192
  few_row_rows=16,32,64,128 medium_row_rows=128,256,384 matmul_border_rows=128,256,512,1024 expert_border_rows=512,1024,2048,4096 few_border_rows=256,512,1024
fi

printf 'commit %s, built %s for %s\n' "$commit" "$date" "$architectures" | tee "$out/kit"
date -u +'run %Y-%m-%d %H:%M UTC' | tee -a "$out/kit"
[ "$build" = 0 ] || build_here
# Also checks that the programs start here, and that there is a GPU.
list_tests() {
  timeout -k 5 60 "$kit_programs/rnd1_tests" --device "$device" --list >"$out/tests" 2>"$out/logs/start"
  status=$?
  [ "$status" -ne 124 ] || { echo 'The GPU did not answer within 60 s.' >&2; exit 1; }
}
list_tests
if [ "$status" -ne 0 ] && [ "$build" = 0 ] && grep -qE 'GLIBC|shared librar|kernel image' "$out/logs/start"; then
  echo "the programs do not start here, so they are rebuilt: $(head -1 "$out/logs/start")"
  build_here
  list_tests
fi
if [ "$status" -eq 3 ]; then
  sed 's/^rnd1_tests: /No GPU can be used here: /' "$out/logs/start" >&2
  exit 3
elif [ "$status" -ne 0 ]; then
  cat "$out/logs/start" >&2
  echo 'The programs do not start here.' >&2
  exit 1
fi

for stage in "${stages[@]}"; do
  case $stage in
    test) test_one_by_one ;;
    node) node_stack ;;
    *) "$stage" ;;
  esac
  pack_up
done

summarize
exit "$bad"
