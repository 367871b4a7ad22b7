import { spawnSync } from 'node:child_process';
import { basename } from 'node:path';
import { nativeProgramsUnavailable } from '../../scripts/native-programs';
import { buildNativeTests, runInParts } from '../../scripts/native-tests';

/** What one native test printed, and whether it passed. */
interface Verdict {
  readonly passed: boolean;
  readonly messages: string;
}

/** The executable prints the failures of a test, then `passed  name` or `FAILED  name`. */
function parseVerdicts(output: string): Map<string, Verdict> {
  const verdicts = new Map<string, Verdict>();
  let messages: string[] = [];
  for (const line of output.split('\n')) {
    const [, word, name] = /^(passed|FAILED) {2}(.+)$/.exec(line) ?? [];
    if (name === undefined) {
      messages.push(line);
    } else {
      verdicts.set(name, { passed: word === 'passed', messages: messages.join('\n') });
      messages = [];
    }
  }
  return verdicts;
}

const unavailable = nativeProgramsUnavailable();

if (unavailable) {
  console.warn(`The native tests are SKIPPED on this machine. ${unavailable}`);
  test('native tests are skipped where they cannot be built', () => {
    expect(unavailable).toMatch(/CMake|compiler|make/);
  });
} else {
  const programs = buildNativeTests({ sanitize: false });
  let running: ReturnType<typeof runInParts> | undefined;
  describe.each(programs.map((program) => [basename(program), program] as const))('%s', (_, program) => {
    const listed = spawnSync(program, ['--list'], { encoding: 'utf8' });
    const names = listed.stdout.split('\n').filter(Boolean);
    let verdicts = new Map<string, Verdict>();
    let ending = '';

    beforeAll(async () => {
      running ??= runInParts(programs);
      const parts = (await running).filter((part) => part.program === program);
      verdicts = new Map(parts.flatMap(({ stdout }) => [...parseVerdicts(stdout)]));
      ending = parts
        .map(({ stderr, failure }) => `${stderr}\nThe program ended with ${failure ?? 'exit code 0'}.`)
        .join('\n');
    }, 900_000);

    test('the program lists its tests and counts them', () => {
      expect(listed.status).toBe(0);
      expect(names.length).toBeGreaterThan(0);
      expect([...verdicts.keys()].sort()).toEqual([...names].sort());
    });

    test.each(names)('%s', (name) => {
      const verdict = verdicts.get(name);
      if (!verdict) throw new Error(`No verdict. ${ending}`);
      if (!verdict.passed) throw new Error(verdict.messages);
    });
  });
}
