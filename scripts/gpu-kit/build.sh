#!/usr/bin/env bash
# Builds the programs of the kit from its sources: bash gpu-kit/build.sh FOLDER
# Needs CMake, a C++20 compiler and CUDA 13. The sources are in FOLDER/src: to test a change, edit there and rerun.
# RND1_CUDA_ARCHITECTURES overrides the architectures that the kit was made for.
set -euo pipefail
unset CDPATH
kit=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=/dev/null
. "$kit/kit.env"
[ $# -eq 1 ] || { echo 'build.sh: name the folder to build in' >&2; exit 2; }
mkdir -p -- "$1"
folder=$(cd "$1" && pwd)
# Sources of another kit are replaced; those of the same kit are kept, since they may have been edited.
if ! cmp -s "$kit/src.tar.xz" "$folder/unpacked.tar.xz"; then
  rm -rf "$folder/src" "$folder/src.part"
  mkdir "$folder/src.part"
  if command -v xz >/dev/null; then
    tar -xJf "$kit/src.tar.xz" -C "$folder/src.part"
  else
    python3 -c 'import sys, tarfile; tarfile.open(sys.argv[1]).extractall(sys.argv[2])' "$kit/src.tar.xz" "$folder/src.part"
  fi
  mv "$folder/src.part" "$folder/src"
  cp "$kit/src.tar.xz" "$folder/unpacked.tar.xz"
fi
nvcc=$(command -v nvcc || echo /usr/local/cuda/bin/nvcc)
cmake -S "$folder/src" -B "$folder/build" -DRND1_ADDON=OFF -DRND1_TESTS=ON -DRND1_BENCH=ON -DRND1_CUDA=ON \
  -DCMAKE_CUDA_COMPILER="$nvcc" -DRND1_CUDA_ARCHITECTURES="${RND1_CUDA_ARCHITECTURES:-$architectures}"
cmake --build "$folder/build" --parallel "$(nproc)" --target rnd1_tests rnd1_bench
cp "$folder/build/rnd1_tests" "$folder/build/rnd1_bench" "$folder/"
