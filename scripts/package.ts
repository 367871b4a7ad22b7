/**
 * Builds the two packages that can be built on this machine, as they are published: rnd1, and the one with the native
 * addon for this platform. Checks and prints their contents.
 *
 *     tsx scripts/package.ts [--release] [--build FOLDER] [--out FOLDER]
 *
 * --release: also fails if the addon would not run on every supported system, if it cannot be traced to a commit, or if
 * CUDA is missing. --build: uses the existing dist, and builds the addon in this CMake folder with its configuration;
 * without it both are built, with CUDA if nvcc is installed (RND1_CUDA=OFF leaves CUDA out). --out: the folder for the
 * tarballs.
 */
import { mkdirSync, readFileSync } from 'node:fs';
import { join, relative, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { oldestGlibc, platformPackage, prebuiltFor } from '../lib/runtime/platform';
import { BuildError, root, say } from './command';
import { buildPortableAddon, findOrigin } from './packaging/build';
import { type AddonContents, inspectAddon } from './packaging/contents';
import type { Manifest } from './packaging/manifests';
import { type BuildOrigin, packMain, packPlatform, type Tarball } from './packaging/stage';
import { buildTypeScript } from './typescript';

const { values } = parseArgs({
  options: {
    release: { type: 'boolean', default: false },
    build: { type: 'string' },
    out: { type: 'string', default: join('build-package', 'packages') },
  },
});

function main(): void {
  const platform = `${process.platform}-${process.arch}`;
  if (!prebuiltFor.includes(platform))
    throw new BuildError(`There are packages for ${prebuiltFor.join(', ')}, not for ${platform}.`);
  const checkout = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as Manifest;
  const out = resolve(root, values.out);
  mkdirSync(out, { recursive: true });

  if (values.build === undefined) buildTypeScript();
  const addon = buildPortableAddon(values.build ?? null);
  const { contents, errors, warnings } = inspectAddon(addon);
  const origin = findOrigin(values.build ?? 'build-package', contents.cuda !== null);
  const tarballs = [packMain(checkout, out), packPlatform(checkout, addon, contents, origin, out)];

  report(contents, origin, tarballs);
  for (const warning of warnings) console.log(`note: ${warning}`);
  const problems = [
    ...errors,
    ...tarballs
      .filter(({ bytes, limit }) => bytes > limit)
      .map(({ name, bytes, limit }) => `${name} has ${bytes} bytes, more than the limit of ${limit}`),
    ...(values.release ? [...warnings, ...unfitForRelease(contents, origin)] : []),
  ];
  if (problems.length > 0)
    throw new BuildError(`These packages must not be published:\n  ${problems.join('\n  ')}`);
}

/** Problems that matter only for a release. */
function unfitForRelease({ cuda }: AddonContents, { commit }: BuildOrigin): string[] {
  const problems: string[] = [];
  if (commit === null || commit.endsWith('+changes'))
    problems.push('there are uncommitted changes, or no commit at all');
  if (process.platform === 'linux' && process.arch === 'x64' && cuda === null)
    problems.push('CUDA is left out: nvcc is not installed, or RND1_CUDA=OFF');
  return problems;
}

function report(contents: AddonContents, origin: BuildOrigin, tarballs: readonly Tarball[]): void {
  const { instructionSets, cuda, libraries, glibc, macos } = contents;
  const rows = [
    ['addon', `${platformPackage(process)}, ${megabytes(contents.bytes)}`],
    ['commit', origin.commit ?? 'unknown'],
    ['compilers', origin.compilers.join(', ')],
    ['CPU', instructionSets.join(', ')],
    ['CUDA', cuda ? [...cuda.architectures, ...cuda.ptx].join(', ') : 'left out'],
    ...(glibc ? [['glibc', `${glibc} or newer (target: ${oldestGlibc})`]] : []),
    ...(macos ? [['macOS', `${macos} or newer`]] : []),
    ['libraries', libraries.join(', ')],
    ...tarballs.map(({ file, bytes, limit }) => [
      'tarball',
      `${relative(process.cwd(), file)}, ${megabytes(bytes)} (limit ${megabytes(limit)})`,
    ]),
  ];
  for (const [name = '', value] of rows) console.log(`${name.padEnd(10)} ${value}`);
}

function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(2)} MB`;
}

try {
  main();
} catch (error) {
  if (!(error instanceof BuildError)) throw error;
  say(error.message);
  process.exitCode = 1;
}
