#!/usr/bin/env bash
# Tests the JavaScript stack on a machine without Node: each file of test/model in its own process, then whole-model.js.
#
#     bash run.sh [OUT]
#
# Writes node/NAME.log and node/results.tsv (name, verdict, seconds) to OUT; default: $OUT, else out beside this script.
#
#     RND1_TEST_DEVICE   cuda (default), cuda:1, cpu
#     RND1_TIME_LIMIT    seconds for each file, 120
#     RND1_ONLY          a pattern of grep -E: runs only files with matching names
#     RND1_MODEL         the checkpoint for whole-model.js, instead of the embedded model
#     RND1_CHECKOUT      source of golden data if the kit has none; default: the folder above this one
#
# Exit code: 0 all passed, 1 something failed, 3 the device cannot be used.
set -uo pipefail
export LC_ALL=C
unset CDPATH
output=${1:-${OUT:-$(dirname "${BASH_SOURCE[0]}")/out}}/node
mkdir -p -- "$output" && output=$(cd -- "$output" && pwd) || exit 2
cd "$(dirname "${BASH_SOURCE[0]}")" || exit 3
export RND1_TEST_DEVICE=${RND1_TEST_DEVICE:-cuda}
limit=${RND1_TIME_LIMIT:-120}
checkout=${RND1_CHECKOUT:-..}
: >"$output/results.tsv" || exit 2

cannot_run() {
  printf 'cannot run: %s\n' "$*"
  exit 3
}

expand() {
  if command -v xz >/dev/null; then xz -dc -- "$1"; else
    python3 -c 'import lzma, shutil, sys; shutil.copyfileobj(lzma.open(sys.argv[1]), sys.stdout.buffer)' "$1"
  fi
}

# unpack FILE.xz: unpacks to FILE beside it, unless that is newer, so that an addon built here is kept.
unpack() {
  local target=${1%.xz}
  if [ "$target" -nt "$1" ]; then return 0; fi
  expand "$1" >"$target.part" && chmod 755 "$target.part" && mv -f "$target.part" "$target"
}

# Unpacks or links the golden data and the embedded model.
find_data() {
  local part
  if [ -f data.tar.xz ]; then
    if [ data.unpacked -nt data.tar.xz ]; then return 0; fi
    expand data.tar.xz | tar -xf - --no-same-owner && touch data.unpacked
    return
  fi
  for part in test/fixtures models/nano; do
    if [ -e "$part" ]; then continue; fi
    [ -d "$checkout/$part" ] && mkdir -p "$(dirname "$part")" &&
      ln -s "$(cd "$checkout/$part" && pwd)" "$part" || return 1
  done
}

# seconds_since START: seconds with one decimal; START is in microseconds.
seconds_since() {
  local tenths=$(((${EPOCHREALTIME/./} - $1) / 100000))
  printf '%d.%d' $((tenths / 10)) $((tenths % 10))
}

passed=0
failed=0

# try NAME ARGUMENTS…: runs Node with these arguments and records the result.
try() {
  local name=$1 log=$output/$1.log start=${EPOCHREALTIME/./} status seconds verdict=FAILED
  shift
  # In the background, since bash handles signals in `wait`, but not while a foreground program runs.
  # The braces suppress the shell's own message about a crash.
  timeout -k 5 "$limit" ./node "$@" >"$log" 2>&1 </dev/null &
  child=$!
  { wait "$child"; } 2>/dev/null
  status=$?
  child=''
  seconds=$(seconds_since "$start")
  case $status in
    0) verdict=passed ;;
    124) verdict=TIMEOUT ;;
    # SIGKILL: from timeout after its limit, or from elsewhere.
    137) if ((${seconds%.*} >= ${limit%.*})); then verdict=TIMEOUT; fi ;;
  esac
  if ((status > 128)); then printf 'ended by signal %d\n' $((status - 128)) >>"$log"; fi
  printf '%s\t%s\t%s\n' "$name" "$verdict" "$seconds" >>"$output/results.tsv"
  printf '%-7s  %-12s %6s\n' "$verdict" "$name" "$seconds"
  if [ "$verdict" = passed ]; then passed=$((passed + 1)); return; fi
  failed=$((failed + 1))
  # Prints the first failures; after a hang or crash, the test that was running.
  {
    sed '/failing tests:$/,$d' "$log" | grep -E '✖|[Ee]rror|Expected|Received|expect\(' | head -n 8
    if ((status != 1)); then grep '^started: ' "$log" | tail -n 1; tail -n 1 "$log"; fi
  } | cut -c 1-160 | sed 's/^ */         /'
}

child=''
stop() {
  [ -z "$child" ] || { kill -TERM "$child"; wait "$child"; } 2>/dev/null
  printf 'stopped by a signal\n%d passed, %d failed\n' "$passed" "$failed"
  exit 1
}
trap stop INT TERM HUP

wanted() {
  printf '%s\n' "$1" | grep -qE -e "${RND1_ONLY:-.}"
}

for packed in node.xz build/Release/rnd1.node.xz; do
  if [ -f "$packed" ]; then unpack "$packed" || cannot_run "$packed cannot be unpacked"; fi
done
[ -x node ] || cannot_run 'there is no node here'
timeout -k 5 60 ./node -e '
  const { gpus, cudaUnavailable } = require("./build/Release/rnd1.node").system();
  const device = process.env.RND1_TEST_DEVICE;
  const found = device === "cpu" ? { name: `Node ${process.version}` }
    : gpus.find((gpu) => gpu.device === device || device === "cuda");
  console.log(found ? `${device}: ${found.name}` : `there is no ${device}: ${cudaUnavailable ?? "there are fewer GPUs"}`);
  process.exitCode = found ? 0 : 3;' >"$output/device.log" 2>&1 </dev/null ||
  cannot_run "$(grep -m 1 -E '^there is no|^[A-Za-z]*Error' "$output/device.log" || echo 'no GPU was found within 60 s')"
cat "$output/device.log"
find_data || cannot_run "there are no golden data, neither here nor in $checkout"

for file in test/model/*.test.js; do
  name=$(basename "$file" .test.js)
  if wanted "$name"; then try "$name" --test-reporter=spec "$file"; fi
done
if wanted whole-model; then
  try whole-model whole-model.js --device "$RND1_TEST_DEVICE"
  tail -n 1 "$output/whole-model.log"
fi

printf '%d passed, %d failed\n' "$passed" "$failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
