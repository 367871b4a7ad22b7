import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describeModel } from './native-calls';
import { root, temporaryFolder } from './support';

it('no class or prototype of JavaScript decides about native memory', async () => {
  const description = join(temporaryFolder(), 'description.json');
  writeFileSync(description, JSON.stringify(await describeModel()));
  const { status, signal, stdout, stderr } = spawnSync(
    process.execPath,
    [
      '--expose-gc',
      join(__dirname, 'tampered.cjs'),
      join(root, 'build', 'Release', 'rnd1.node'),
      description,
    ],
    { encoding: 'utf8', timeout: 60_000 },
  );
  expect({ status, signal, stderr }).toEqual({ status: 0, signal: null, stderr: '' });
  const untouched = { different: [], stolen: 0 };
  const { verdicts, names } = JSON.parse(stdout);
  expect(verdicts).toEqual({
    classes: untouched,
    setters: untouched,
    accessors: untouched,
    lookups: untouched,
  });
  expect(names).toEqual(
    expect.arrayContaining(['forward', 'step', 'scoreAndUnmask', 'philox', 'system', 'info', 'trained']),
  );
});
