import { mkdirSync } from 'node:fs';
import { basename, join } from 'node:path';
import { runProgram } from '../at-once';
import { root } from '../command';
import type { FuzzKind, FuzzTarget } from '../fuzz';
import { buildNativePrograms, nativeProgramsUnavailable } from '../native-programs';
import { findProgram } from '../toolchain';

const folder = 'build-fuzz';

/** Executables of test/fuzz/native; each has a corpus folder there. */
const names = ['load', 'shard', 'score', 'ops'] as const;

/** Huge allocations must fail instead of aborting, since errors for huge sizes are tested too. */
const limits = {
  ASAN_OPTIONS: 'allocator_may_return_null=1:max_allocation_size_mb=1024:detect_leaks=1',
  UBSAN_OPTIONS: 'halt_on_error=1:print_stacktrace=1',
};

async function runTarget(program: string, seconds: number, seed: number) {
  const name = basename(program).replace('rnd1_fuzz_', '');
  const grown = join(root, folder, 'corpus', name);
  const findings = join(root, folder, 'findings');
  for (const path of [grown, findings]) mkdirSync(path, { recursive: true });
  const kept = join(root, 'test', 'fuzz', 'native', 'corpus', name);
  const args = [
    `-max_total_time=${seconds}`,
    `-seed=${seed}`,
    '-max_len=4096',
    '-timeout=60',
    '-rss_limit_mb=4096',
    '-malloc_limit_mb=1000000',
    '-verbosity=0',
    '-print_funcs=0',
    '-print_final_stats=1',
    `-artifact_prefix=${findings}/${name}-`,
    grown,
    kept,
  ];
  const { failure, stderr } = await runProgram(program, args, { ...process.env, ...limits });
  // For a successful run, only the statistics are printed.
  const output = failure === null ? stderr.split('\n').filter(isStatistic).join(', ') : stderr;
  return { output: `${output}\n`, good: failure === null };
}

const isStatistic = (line: string): boolean => /^stat::(number_of_executed_units|new_units_added)/.test(line);

/** libFuzzer on the native code, under AddressSanitizer and UBSan. */
export const nativeFuzzing: FuzzKind = {
  name: 'native',
  unavailable: () =>
    nativeProgramsUnavailable() ?? (findProgram('clang++-16', 'clang++') ? null : 'clang is not installed.'),
  targets(): readonly FuzzTarget[] {
    const clang = findProgram('clang++-16', 'clang++') as string;
    const programs = buildNativePrograms({
      folder,
      targets: names.map((name) => `rnd1_fuzz_${name}`),
      settings: ['RND1_FUZZ=ON', 'RND1_ADDON=OFF', 'CMAKE_CXX_FLAGS_RELEASE=-O2'],
      options: ['--cxx', clang, '--cc', clang],
    });
    return programs.map((program, i) => ({
      name: names[i] as string,
      run: (seconds, seed) => runTarget(program, seconds, seed),
    }));
  },
};
