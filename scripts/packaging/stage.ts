import { copyFileSync, cpSync, mkdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { BuildError, capture, root } from '../command';
import type { AddonContents } from './contents';
import { type Manifest, mainManifest, platformManifest, platformReadme } from './manifests';

/** Commit and compilers of an addon; together with its contents, build.json. */
export interface BuildOrigin {
  /** The git commit; null outside a git checkout. Ends in `+changes` if there were uncommitted ones. */
  readonly commit: string | null;
  /** Names and versions of the compilers. */
  readonly compilers: readonly string[];
}

/** A finished tarball. */
export interface Tarball {
  readonly name: string;
  readonly file: string;
  readonly bytes: number;
  /** Upper limit of bytes; a larger tarball contains unwanted files. */
  readonly limit: number;
}

const megabyte = 1e6;

/** At most half a megabyte of JavaScript and types, and 3.7 MB of the nano model. */
const mainLimit = 5 * megabyte;
/** Limits of an addon for the CPU only, and of what CUDA kernels may add. */
const addonLimit = 2 * megabyte;
const cudaLimit = 20 * megabyte;

/** Makes the tarball of the main package in `out` from the checkout's build. */
export function packMain(checkout: Manifest, out: string): Tarball {
  const folder = emptyFolder(join(out, 'rnd1'));
  writeJson(join(folder, 'package.json'), mainManifest(checkout));
  for (const name of ['README.md', 'LICENSE']) copyFileSync(join(root, name), join(folder, name));
  const built = (file: string) => !file.endsWith('.tsbuildinfo');
  for (const name of ['dist', 'types', join('models', 'nano')])
    cpSync(join(root, name), join(folder, name), { recursive: true, filter: built });
  return pack(folder, checkout, 'rnd1', out, mainLimit);
}

/** Makes the tarball of the package for this platform in `out`. */
export function packPlatform(
  checkout: Manifest,
  addon: string,
  contents: AddonContents,
  origin: BuildOrigin,
  out: string,
): Tarball {
  const manifest = platformManifest(checkout, process.platform, process.arch);
  const name = manifest.name as string;
  const folder = emptyFolder(join(out, name));
  writeJson(join(folder, 'package.json'), manifest);
  writeJson(join(folder, 'build.json'), { name, version: checkout.version, ...origin, ...contents });
  writeFileSync(join(folder, 'README.md'), platformReadme(name, contents));
  copyFileSync(join(root, 'LICENSE'), join(folder, 'LICENSE'));
  copyFileSync(addon, join(folder, 'rnd1.node'));
  return pack(folder, checkout, name, out, addonLimit + (contents.cuda ? cudaLimit : 0));
}

function pack(folder: string, checkout: Manifest, name: string, out: string, limit: number): Tarball {
  const { ok, output } = capture('npm', ['pack', '--ignore-scripts', '--pack-destination', out, folder]);
  if (!ok) throw new BuildError(`npm pack of ${name} failed:\n${output}`);
  const file = join(out, `${name}-${checkout.version}.tgz`);
  return { name, file, bytes: statSync(file).size, limit };
}

function emptyFolder(folder: string): string {
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  return folder;
}

function writeJson(file: string, value: unknown): void {
  writeFileSync(file, `${JSON.stringify(value, null, 2)}\n`);
}
