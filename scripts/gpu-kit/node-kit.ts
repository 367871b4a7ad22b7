import { spawnSync } from 'node:child_process';
import { copyFileSync, mkdirSync, readdirSync, rmSync, statSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { BuildError, root } from '../command';
import { findProgram } from '../toolchain';
import { writeBundles } from './bundles';

export interface NodeKitOptions {
  /** The output folder; existing contents are removed. */
  readonly folder: string;
  /** A built rnd1.node. */
  readonly addon: string;
  /**
   * The Node executable to pack.
   *
   * @default process.execPath
   */
  readonly node?: string;
  /**
   * Whether to pack golden data and the embedded model, the largest part of the kit; otherwise run.sh uses those of the
   * checkout that contains the kit.
   *
   * @default true
   */
  readonly data?: boolean;
  /**
   * Compression level of xz, 0 to 9.
   *
   * @default 6
   */
  readonly effort?: number;
}

/** A file of the kit. */
export interface NodeKitPart {
  /** Its path in the kit; packed if it ends in .xz. */
  readonly path: string;
  readonly bytes: number;
  /** Size in the kit; equal to `bytes` if it is not packed. */
  readonly packedBytes: number;
}

export interface NodeKit {
  readonly parts: readonly NodeKitPart[];
  readonly bytes: number;
  readonly packedBytes: number;
}

function tool(name: string): string {
  const path = findProgram(name);
  if (path === null) throw new BuildError(`${name} is not installed, which the kit for Node needs.`);
  return path;
}

function run(program: string, args: readonly string[]): void {
  const { status, stderr, error } = spawnSync(program, args, {
    stdio: ['ignore', 'ignore', 'pipe'],
    encoding: 'utf8',
  });
  if (status !== 0) throw new BuildError(`${program} ${args.join(' ')}: ${error?.message ?? stderr.trim()}`);
}

function works(program: string, args: readonly string[]): boolean {
  return spawnSync(program, args, { stdio: 'ignore' }).status === 0;
}

/** Copies a program or library, stripped of its symbols if it still passes `check` then. */
function copyStripped(from: string, to: string, check: (file: string) => boolean): void {
  const strip = findProgram('strip');
  if (strip !== null && works(strip, ['-o', to, from]) && check(to)) return;
  rmSync(to, { force: true });
  copyFileSync(from, to);
  if (!check(to)) throw new BuildError(`${from} does not run.`);
}

/** Replaces files by packed ones, and records their original sizes. */
class Packer {
  readonly #originals = new Map<string, number>();
  readonly #folder: string;
  readonly #effort: number;

  constructor(folder: string, effort: number) {
    this.#folder = folder;
    this.#effort = effort;
  }

  pack(path: string): void {
    const file = join(this.#folder, path);
    this.#originals.set(`${path}.xz`, statSync(file).size);
    run(tool('xz'), [`-${this.#effort}`, '-T2', file]);
  }

  kit(): NodeKit {
    const parts = readdirSync(this.#folder, { recursive: true, encoding: 'utf8' })
      .map((path) => ({ path, stat: statSync(join(this.#folder, path)) }))
      .filter(({ stat }) => stat.isFile())
      .map(({ path, stat: { size } }) => ({
        path,
        bytes: this.#originals.get(path) ?? size,
        packedBytes: size,
      }))
      .sort((left, right) => right.packedBytes - left.packedBytes);
    const total = (key: 'bytes' | 'packedBytes') => parts.reduce((sum, part) => sum + part[key], 0);
    return { parts, bytes: total('bytes'), packedBytes: total('packedBytes') };
  }
}

/**
 * Makes a folder with Node itself, the addon, bundles and golden data, whose `bash run.sh` runs test/model and a whole
 * model on a machine that has neither Node nor a checkout.
 *
 * @throws BuildError if a tool is missing or fails
 */
export async function makeNodeKit(options: NodeKitOptions): Promise<NodeKit> {
  const { node = process.execPath, data = true, effort = 6 } = options;
  const [folder, addon] = [resolve(options.folder), resolve(options.addon)];
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(join(folder, 'build', 'Release'), { recursive: true });
  const packer = new Packer(folder, effort);

  const packedNode = join(folder, 'node');
  copyStripped(node, packedNode, (file) => works(file, ['--version']));
  const packedAddon = join(folder, 'build', 'Release', 'rnd1.node');
  const load = 'require(process.argv[1]).system()';
  copyStripped(addon, packedAddon, (file) => works(packedNode, ['-e', load, file]));
  packer.pack('node');
  packer.pack(join('build', 'Release', 'rnd1.node'));

  await writeBundles(folder);
  // It marks the folder as the root of rnd1, so that the bundles find the addon in its build folder.
  copyFileSync(join(root, 'package.json'), join(folder, 'package.json'));
  copyFileSync(join(root, 'scripts', 'gpu-kit', 'run-node.sh'), join(folder, 'run.sh'));
  if (data) {
    const archive = join(folder, 'data.tar');
    // What the tests of models read.
    const others = ['evaluation', 'training'].map((name) => `--exclude=test/fixtures/${name}`);
    run(tool('tar'), [
      '-cf',
      archive,
      '-C',
      root,
      '--exclude=*.md',
      ...others,
      'test/fixtures',
      'models/nano',
    ]);
    packer.pack('data.tar');
  }
  return packer.kit();
}
