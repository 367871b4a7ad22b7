/**
 * Builds the addon with AddressSanitizer and UBSan, and calls all of its exports in a JavaScript realm whose classes
 * and prototypes were tampered with (test/hardening/tampered.cjs).
 *
 *     tsx scripts/sanitized-addon.ts
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readConfig } from '../lib/checkpoint/config';
import { readManifest } from '../lib/checkpoint/manifest';
import { selectTensors } from '../lib/checkpoint/tensors';
import { BuildError, capture, root, say } from './command';
import { buildNativePrograms, nativeProgramsUnavailable } from './native-programs';
import { findProgram } from './toolchain';

/** The sanitizer's runtime, to be preloaded since Node is built without it. */
function runtimeOf(compiler: string): string {
  return capture(compiler, ['-print-file-name=libasan.so']).output.trim();
}

async function main(): Promise<void> {
  const compiler = findProgram('g++');
  const unavailable =
    nativeProgramsUnavailable() ??
    (process.platform !== 'linux' || !compiler ? 'GCC on Linux is needed.' : null);
  if (unavailable) throw new BuildError(unavailable);
  const folder = 'build-sanitized-addon';
  buildNativePrograms({
    folder,
    targets: ['rnd1'],
    settings: ['RND1_SANITIZE=ON', 'CMAKE_CXX_FLAGS_RELEASE=-O1'],
    options: ['--cxx', compiler as string, '--cc', findProgram('gcc') ?? (compiler as string)],
  });
  const scratch = mkdtempSync(join(tmpdir(), 'rnd1-sanitized-'));
  try {
    const checkpoint = join(root, 'test', 'fixtures', 'tiny-moe');
    const config = await readConfig(checkpoint);
    const manifest = await readManifest(checkpoint);
    const { tensors } = selectTensors(manifest, config);
    const description = join(scratch, 'description.json');
    writeFileSync(
      description,
      JSON.stringify({
        architecture: config.architecture,
        files: manifest.files,
        tensors,
        device: 'cpu',
        dtype: 'f32',
        threads: 2,
      }),
    );
    const script = join(root, 'test', 'hardening', 'tampered.cjs');
    const addon = join(root, folder, 'Release', 'rnd1.node');
    const { status, signal, stdout, stderr } = spawnSync(
      process.execPath,
      ['--expose-gc', script, addon, description],
      {
        encoding: 'utf8',
        env: {
          ...process.env,
          LD_PRELOAD: runtimeOf(compiler as string),
          // Ignores leaks, since Node has some itself.
          ASAN_OPTIONS: 'detect_leaks=0',
          UBSAN_OPTIONS: 'halt_on_error=1:print_stacktrace=1',
        },
      },
    );
    if (status !== 0)
      throw new BuildError(`${stdout}${stderr}It ended with ${signal ?? `exit code ${status}`}.`);
    const { verdicts } = JSON.parse(stdout) as {
      verdicts: Record<string, { different: string[]; failed?: string; stolen: number }>;
    };
    for (const [name, { different, failed, stolen }] of Object.entries(verdicts)) {
      console.log(
        `${name}: ${failed ?? (different.length > 0 ? `other results: ${different}` : 'no difference')}`,
      );
      if (failed || different.length > 0 || stolen > 0) process.exitCode = 1;
    }
  } finally {
    rmSync(scratch, { recursive: true });
  }
}

main().catch((error: unknown) => {
  if (!(error instanceof BuildError)) throw error;
  say(error.message);
  process.exitCode = 1;
});
