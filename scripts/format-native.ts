/**
 * Formats the C++ and CUDA sources with clang-format 16; `--check` only prints which lines would change.
 *
 *     tsx scripts/format-native.ts [--check]
 */
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { capture, root, say } from './command';
import { findProgram } from './toolchain';

const folders = ['native', 'test/native', 'test/fuzz', 'bench', 'test/cuda-sim', 'cmake'];

function nativeSources(): string[] {
  return folders
    .filter((folder) => existsSync(join(root, folder)))
    .flatMap((folder) =>
      readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' }).map((file) =>
        join(folder, file),
      ),
    )
    .filter((file) => /\.(h|inl|cc|cu|cuh)$/.test(file))
    .sort();
}

// Other releases break lines differently, so only this one is used.
function findClangFormat(): string | null {
  const program = findProgram('clang-format-16', 'clang-format');
  return program && / version 16\./.test(capture(program, ['--version']).output) ? program : null;
}

const program = findClangFormat();
if (!program) {
  say(
    'clang-format 16 is not installed (Debian: clang-format-16; elsewhere: pip install clang-format==16.0.6).',
  );
  process.exitCode = 1;
} else {
  const mode = process.argv.includes('--check') ? ['--dry-run', '-Werror'] : ['-i'];
  const { status } = spawnSync(program, [...mode, ...nativeSources()], { cwd: root, stdio: 'inherit' });
  process.exitCode = status ?? 1;
}
