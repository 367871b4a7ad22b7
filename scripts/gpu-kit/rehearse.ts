/**
 * Runs the GPU kit on the simulated GPU: all stages on tiny shapes, then with a kernel that computes a wrong result and
 * one that hangs, then without a GPU.
 *
 *     tsx scripts/gpu-kit/rehearse.ts
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { BuildError, root, say } from '../command';
import { buildAddon, makeKit } from './kit';
import { makeNodeKit } from './node-kit';

const stages = ['smoke', 'test', 'bench', 'profile', 'sanitize', 'variants', 'node'];

/** One line of results.tsv. */
interface Result {
  readonly stage: string;
  readonly name: string;
  readonly verdict: string;
}

interface Run {
  readonly status: number | null;
  readonly output: string;
  readonly results: readonly Result[];
  readonly summary: string;
}

const scratch = mkdtempSync(join(tmpdir(), 'rnd1-rehearsal-'));
const counts = { passed: 0, failed: 0 };

function check(what: string, holds: boolean, run: Run): void {
  counts[holds ? 'passed' : 'failed'] += 1;
  say(`${holds ? 'passed' : 'FAILED'}  ${what}`);
  if (!holds) say(`exit code ${run.status}\n${run.output}`);
}

/** Runs the kit with an empty environment except for PATH, as on a GPU machine. */
function runKit(name: string, args: readonly string[], env: NodeJS.ProcessEnv = {}): Run {
  const out = join(scratch, name);
  const script = join(scratch, 'gpu-kit', 'run.sh');
  const { status, stdout, stderr } = spawnSync('bash', [script, '--out', out, ...args], {
    encoding: 'utf8',
    cwd: scratch,
    env: { PATH: process.env.PATH, ...env },
    maxBuffer: 1 << 26,
  });
  const read = (file: string) => {
    try {
      return readFileSync(join(out, file), 'utf8');
    } catch {
      return '';
    }
  };
  const results = read('results.tsv').split('\n').filter(Boolean);
  return {
    status,
    output: `${stdout}${stderr}`,
    summary: read('summary.txt'),
    results: results.map((line) => {
      const [stage = '', name = '', verdict = ''] = line.split('\t');
      return { stage, name, verdict };
    }),
  };
}

function rehearseAllStages(): void {
  const pack = join(scratch, 'packed.tar.gz');
  const run = runKit('all', ['--only', '^(matmul|route|peaks)', '--pack', pack, 'all'], {
    RND1_CHECKOUT: root,
    RND1_ONLY: 'forward',
    RND1_TIME_LIMIT: '280',
  });
  const verdicts = (stage: string) =>
    run.results.filter((result) => result.stage === stage).map(({ verdict }) => verdict);
  check('all stages end well', run.status === 0, run);
  check(
    'every stage reports something',
    stages.every((stage) => verdicts(stage).length > 0),
    run,
  );
  check(
    'only what cannot run here is skipped',
    run.results.every(({ verdict }) => verdict === 'passed' || verdict === 'skipped') &&
      verdicts('test').length > 5 &&
      [...verdicts('test'), ...verdicts('variants'), ...verdicts('node')].every(
        (verdict) => verdict === 'passed',
      ),
    run,
  );
  const expected = [
    'whole steps',
    'launches of a step',
    'experts (gate, up)',
    'thresholds between tile sizes',
    '  2 x 8',
  ];
  check(
    'the summary has steps, launches, ops and thresholds in 80 lines',
    expected.every((part) => run.summary.includes(part)) && run.summary.trimEnd().split('\n').length <= 80,
    run,
  );
  const packed = spawnSync('tar', ['-tzf', pack], { encoding: 'utf8' }).stdout;
  check('the output is packed', packed.includes('summary.txt') && packed.includes('node/forward.log'), run);
}

function rehearseFaults(): void {
  const [wrong, hanging] = ['matmul: every weight type', 'matmul: a row has the same bits'];
  const run = runKit('faults', ['--only', '^(matmul|logits)', '--limit', '20', 'test'], {
    RND1_SIM_FAULT: `wrong=${wrong},hang=${hanging}`,
  });
  const verdictOf = (name: string) => run.results.find((result) => result.name.startsWith(name))?.verdict;
  check('a wrong kernel is reported', verdictOf(wrong) === 'FAILED', run);
  check('a hanging kernel is reported', verdictOf(hanging) === 'TIMEOUT', run);
  check(
    'later tests still run',
    run.results.length > 5 && run.results.filter(({ verdict }) => verdict !== 'passed').length === 2,
    run,
  );
  check('the exit code says so', run.status === 1, run);
  check(
    'the summary names both, and what was wrong',
    run.summary.includes(`FAILED test: ${wrong}`) &&
      run.summary.includes('NMSE') &&
      run.summary.includes(`TIMEOUT test: ${hanging}`),
    run,
  );
}

function rehearseRefusals(): void {
  const none = runKit('none', ['--device', 'cuda:1', 'smoke', 'test']);
  check(
    'no GPU: a message says so',
    none.output.includes('No GPU can be used here: there is no cuda:1'),
    none,
  );
  check('no GPU: a separate exit code', none.status === 3, none);
  const unknown = runKit('unknown', ['smoke', 'everything']);
  check('an unknown stage is named', unknown.status === 2 && unknown.output.includes('everything'), unknown);
  const nothing = runKit('nothing', ['--only', 'no such test', 'test']);
  check('no test of that name is a failure', nothing.status === 1, nothing);
}

async function main(): Promise<void> {
  const folder = join(scratch, 'gpu-kit');
  const options = { folder, architectures: '', simulated: true, build: 'build-simulated' };
  const kit = makeKit(options);
  say(`a kit for the simulated GPU: ${kit.bytes} bytes, ${kit.packedBytes} packed`);
  await makeNodeKit({ folder: `${folder}-node`, addon: buildAddon(options), data: false, effort: 0 });
  rehearseAllStages();
  rehearseFaults();
  rehearseRefusals();
  say(`${counts.passed} checks passed, ${counts.failed} failed`);
  if (counts.failed > 0) process.exitCode = 1;
}

main()
  .catch((error: unknown) => {
    if (!(error instanceof BuildError)) throw error;
    say(error.message);
    process.exitCode = 1;
  })
  .finally(() => rmSync(scratch, { recursive: true, force: true }));
