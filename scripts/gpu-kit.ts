/**
 * Makes a folder for testing rnd1 on a GPU machine without Node, npm or a network: native tests and benches, a shell
 * script that runs them, and a program that writes the summary. docs/gpu.md describes its use.
 *
 *     npm run gpu-kit -- [--architectures 90a-real] [--out gpu-kit] [--node [--no-data]] [--simulated] [--build FOLDER]
 *
 * --node: also makes FOLDER-node with Node, the addon and the tests on golden data; --no-data leaves the data out, for
 * a GPU machine that has the checkout.
 * --simulated: a kit for the simulated GPU, for rehearsals.
 */
import { isAbsolute, join } from 'node:path';
import { parseArgs } from 'node:util';
import { BuildError, root, say } from './command';
import { buildAddon, makeKit } from './gpu-kit/kit';
import { makeNodeKit } from './gpu-kit/node-kit';

const megabytes = (bytes: number) => `${(bytes / 1e6).toFixed(1)} MB`;

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      architectures: { type: 'string', default: '90a-real' },
      out: { type: 'string', default: 'gpu-kit' },
      build: { type: 'string' },
      node: { type: 'boolean', default: false },
      data: { type: 'boolean', default: true },
      simulated: { type: 'boolean', default: false },
    },
    allowNegative: true,
  });
  const { architectures, simulated } = values;
  if (!/^\d+[af]?(-real|-virtual)?(;\d+[af]?(-real|-virtual)?)*$/.test(architectures))
    throw new BuildError(
      `--architectures must be in CMake's notation, 90a-real or 80;90a-real, not ${architectures}.`,
    );
  const folder = isAbsolute(values.out) ? values.out : join(root, values.out);
  const build = values.build ?? (simulated ? 'build-simulated' : 'build-gpu');
  const options = { folder, architectures, simulated, build };
  const kit = makeKit(options);
  const sizes = `${megabytes(kit.bytes)}, ${megabytes(kit.packedBytes)} packed`;
  say(`${folder}: ${sizes}, needs glibc ${kit.glibc}. On the GPU machine: bash run.sh`);
  if (!values.node) return;
  const node = await makeNodeKit({ folder: `${folder}-node`, addon: buildAddon(options), data: values.data });
  say(`${folder}-node: ${megabytes(node.packedBytes)}, ${megabytes(node.bytes)} unpacked. Largest parts:`);
  for (const part of node.parts.slice(0, 4))
    say(`  ${megabytes(part.packedBytes).padStart(8)}  ${part.path}`);
}

main().catch((error: unknown) => {
  if (!(error instanceof BuildError)) throw error;
  say(error.message);
  process.exitCode = 1;
});
