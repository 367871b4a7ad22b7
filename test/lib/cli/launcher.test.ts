import { copyFileSync, mkdtempSync, realpathSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { rnd1, root, start } from './rnd1';

const launcher = join(root, 'rnd1');

test('./rnd1 is the command line, wherever it is called from', async () => {
  const direct = await rnd1(['--version']);
  expect(direct).toMatchObject({ code: 0, stdout: expect.stringMatching(/^\d+\.\d+\.\d+\n$/) });
  expect(await start(launcher, ['--version'], { cwd: tmpdir() })).toEqual(direct);
  expect(await start('npm', ['run', '-s', 'rnd1', '--', '--version'])).toEqual(direct);
  expect((await start(launcher, ['generate'])).code).toBe(2);
});

test('./rnd1 says in one line what to type where nothing is built', async () => {
  const folder = realpathSync(mkdtempSync(join(tmpdir(), 'rnd1-launcher-')));
  try {
    copyFileSync(launcher, join(folder, 'rnd1'));
    const here = await start('./rnd1', ['generate', 'x'], { cwd: folder });
    const message = 'rnd1: this checkout is not built yet; type: npm install';
    expect(here).toEqual({ code: 1, stdout: '', stderr: `${message}\n` });
    const elsewhere = await start(join(folder, 'rnd1'), [], { cwd: tmpdir() });
    expect(elsewhere.stderr).toBe(`${message} --prefix '${folder}'\n`);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
