import { join } from 'node:path';
import { targets } from '../../test/fuzz/javascript/targets';
import { runProgram } from '../at-once';
import { root } from '../command';
import type { FuzzKind } from '../fuzz';

/** fast-check on the TypeScript code, in processes that may hang or crash. */
export const javascriptFuzzing: FuzzKind = {
  name: 'javascript',
  unavailable: () => null,
  targets: () =>
    targets.map(({ name }) => ({
      name,
      async run(seconds, seed) {
        const program = join(__dirname, 'javascript-rounds.ts');
        const tsx = join(root, 'node_modules/tsx/dist/cli.mjs');
        const args = [tsx, program, name, String(seconds), String(seed)];
        const { failure, stdout, stderr } = await runProgram(process.execPath, args);
        return { output: stdout + stderr, good: failure === null };
      },
    })),
};
