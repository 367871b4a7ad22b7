import { writeFileSync } from 'node:fs';
import { jsonLines, rnd1, root, scratchFolder, tiny } from './rnd1';

const ids = (text: string) => [...Buffer.from(text)].join(',');

const scratch = scratchFolder();

describe('generate', () => {
  const question = 'Question: What is 47+38?\nAnswer:';

  test.each<[string, string[], string]>([
    ['an argument', ['What is 47+38?'], ''],
    ['standard input', [], 'What is 47+38?\n'],
    ['standard input by name', ['-'], 'What is 47+38?\n'],
    ['a completion', ['--mode', 'completion', question], ''],
  ])('answers a prompt from %s, and prints nothing else', async (_, args, input) => {
    const { code, stdout, stderr } = await rnd1(['generate', ...args], { input });
    expect({ code, stdout: stdout.trimStart(), stderr }).toEqual({ code: 0, stdout: '85\n', stderr: '' });
  });

  test('prints one object a step with --json, then the result', async () => {
    const args = ['generate', 'Sort z k m q', '--json', '--steps', '16', '--seed', '7', '-n', '32'];
    const { code, stdout } = await rnd1(args);
    expect(code).toBe(0);
    const objects = jsonLines(stdout);
    const result = objects.pop();
    expect(result).toMatchObject({ type: 'result', seed: '7', finishReason: 'stop' });
    expect(result.text.trim()).toBe('k m q z');
    const length = result.tokens.length;
    for (const [index, frame] of objects.entries()) {
      expect(frame).toMatchObject({ type: 'step', step: index + 1, steps: 16 });
      for (const name of ['tokens', 'masked', 'predicted', 'confidence', 'entropy'])
        expect(frame[name]).toHaveLength(length);
      for (const position of frame.committed) {
        expect(frame.masked[position]).toBe(0);
        expect(frame.tokens[position]).toBe(frame.predicted[position]);
      }
    }
    expect(objects.at(-1).tokens).toEqual(result.tokens);
  });

  test('works on ids, without a tokenizer', async () => {
    const options = ['--model', tiny, '-n', '9', '--steps', '4', '--dtype', 'f32'];
    const generate = (tokens: string, input = '') =>
      rnd1(['generate', ...options, '--tokens', tokens], { input });
    const { code, stdout, stderr } = await generate('1,2,3');
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toMatch(/^(\d+,){7}\d+\n$/);
    const file = scratch('prompt.txt');
    writeFileSync(file, '[1, 2, 3]\n');
    expect((await generate(`@${file}`)).stdout).toBe(stdout);
    expect((await generate('-', '1 2 3')).stdout).toBe(stdout);
    const args = [...options, '--tokens', '1,2,3'];
    const [result] = jsonLines((await rnd1(['generate', ...args, '--json'])).stdout).slice(-1);
    expect(result.text).toBeUndefined();
    expect(`${result.positions.map((position: number) => result.tokens[position]).join(',')}\n`).toBe(stdout);
  });

  test('knows the special ids that it is told', async () => {
    const args = ['--tokens', ids('Question: Reverse abc'), '-n', '4', '--json'];
    const [last] = jsonLines((await rnd1(['generate', ...args, '--eos-token-id', 'none'])).stdout).slice(-1);
    expect(last.positions).toHaveLength(4);
    const [padless] = jsonLines((await rnd1(['generate', ...args, '--pad-token-id', 'none'])).stdout).slice(
      -1,
    );
    expect(padless.tokens.at(-1)).toBe(0);
    const [reserved] = jsonLines((await rnd1(['generate', ...args, '--add-eos'])).stdout).slice(-1);
    expect(reserved.positions).toHaveLength(3);
    expect(reserved.tokens.at(-1)).toBe(258);
  });
});

describe('the schedule', () => {
  const frames = async (...args: string[]) => {
    const { code, stdout } = await rnd1(['generate', 'What is 47+38?', '-n', '32', '--json', ...args]);
    expect(code).toBe(0);
    return jsonLines(stdout).slice(0, -1);
  };

  test('is entropy-bounded, wherever the output goes, and entropy where steps are counted', async () => {
    const unasked = await frames();
    expect(unasked).toEqual(await frames('--schedule', 'entropy-bounded=0.01'));
    expect(unasked.length).toBeLessThan(8);
    const counted = await frames('--steps', '31');
    expect(counted).toEqual(await frames('--steps', '31', '--schedule', 'entropy'));
    expect(counted.map(({ committed }) => committed.length)).toEqual(counted.map(() => 1));
  });

  test('seeds are shown and wanted only where something is drawn', async () => {
    const of = async (...args: string[]) => (await rnd1(['generate', 'x', '-n', '8', ...args])).stderr;
    const hint = /^rnd1: --seed has no effect: .*\n$/;
    expect(await of('--seed', '7')).toMatch(hint);
    expect(await of('--seed', '7', '--quiet')).toBe('');
    expect(await of('--seed', '7', '--temperature', '1', '--greedy')).toMatch(hint);
    expect(await of('--seed', '7', '--temperature', '1')).toBe('');
    expect(await of('--seed', '7', '--schedule', 'blocks=4:random')).toBe('');
    expect(await of('--verbose', '--temperature', '1', '--seed', '7')).toMatch(/, seed 7\n$/);
    const greedy = await of('--verbose');
    expect(greedy).toMatch(/tokens in .*\n$/);
    expect(greedy).not.toContain('seed');
  });
});

describe('texts in files', () => {
  const write = (name: string, text: string) => {
    writeFileSync(scratch(name), text);
    return scratch(name);
  };

  test('are those of arguments and standard input, without the newline at the end', async () => {
    const file = write('question.txt', 'Reverse lantern\r\n');
    const expected = await rnd1(['generate', 'Reverse lantern']);
    expect(await rnd1(['generate', '--file', file])).toEqual(expected);
    expect(await rnd1(['generate', '-f', '-'], { input: 'Reverse lantern\n' })).toEqual(expected);
    const holes = write('holes.txt', 'Question: Reverse di_mo_d\nAnswer: dnomaid\n');
    const filled = await rnd1(['fill', '--file', holes, '--hole', '_', '--tokens-per-hole', '1']);
    expect(filled.stdout).toBe('Question: Reverse diamond\nAnswer: dnomaid\n');
  });

  test('can be before and after', async () => {
    const prefix = write('prefix.txt', 'Question: Reverse mo');
    const args = ['infill', '--prefix-file', prefix, '--suffix-file', '-', '-l', '1'];
    const { code, stdout } = await rnd1(args, { input: 'n\nAnswer: noom\n' });
    expect({ code, stdout }).toEqual({ code: 0, stdout: 'Question: Reverse moon\nAnswer: noom\n' });
  });

  test.each<[string[], number, string]>([
    [['generate', 'x', '--file', 'y'], 2, 'exclude each other'],
    [['fill', 'x', '--file', 'y'], 2, 'exclude each other'],
    [['generate', '--tokens', '1', '--file', 'y'], 2, '--tokens and --file exclude each other'],
    [['infill', '--prefix', 'x', '--prefix-file', 'y', '-l', '1'], 2, '--prefix-file and --prefix'],
    [['infill', '--prefix-file', '-', '--suffix-file', '-', '-l', '1'], 2, 'both be standard input'],
    [['infill', '--tokens', '1', '--suffix-file', 'y', '-l', '1'], 2, 'exclude each other'],
    [['generate', '--file', 'no-such-file'], 1, 'cannot read no-such-file: there is no such file\n'],
    [['generate', '--file', root], 1, `cannot read ${root}: it is a folder\n`],
    [['fill', '--file', root], 1, `cannot read ${root}: it is a folder\n`],
    [
      ['generate', 'x', '--schedule', 'threshold'],
      2,
      "threshold needs a number, as in threshold=0.9, got 'threshold'",
    ],
    [
      ['generate', 'x', '--add-eos', '--no-reserve-end'],
      2,
      '--add-eos and --no-reserve-end exclude each other',
    ],
    [
      ['infill', '--tokens', '1', '-l', '1', '--add-eos', '--no-reserve-end'],
      2,
      '--add-eos and --no-reserve-end',
    ],
    [['generate', '-5+3'], 2, "unknown option '-5+3'; put a text that begins with a hyphen after --"],
    [['help', 'generat'], 2, "there is no command 'generat'; did you mean generate?"],
  ])('%j fails', async (args, expected, part) => {
    const { code, stdout, stderr } = await rnd1(args);
    expect({ code, stdout }).toEqual({ code: expected, stdout: '' });
    expect(stderr).toContain(part);
  });
});

describe('infill and fill', () => {
  test('write between two texts', async () => {
    const args = ['--prefix', 'Question: Reverse mo', '--suffix', 'n\nAnswer: noom', '--length', '1'];
    expect(await rnd1(['infill', ...args])).toEqual({
      code: 0,
      stdout: 'Question: Reverse moon\nAnswer: noom\n',
      stderr: '',
    });
  });

  test('write between ids', async () => {
    const args = ['--tokens', ids('What is 40+'), '--suffix-tokens', ids('?'), '-l', '1'];
    const { code, stdout } = await rnd1(['infill', ...args]);
    expect(code).toBe(0);
    expect(stdout).toMatch(new RegExp(`^${ids('What is 40+')},\\d+,${ids('?')},256\n$`));
  });

  test('fill the holes of a text', async () => {
    const text = 'Question: Reverse di_mo_d\nAnswer: dnomaid';
    const { code, stdout } = await rnd1(['fill', '--hole', '_', '--tokens-per-hole', '1'], { input: text });
    expect({ code, stdout }).toEqual({ code: 0, stdout: 'Question: Reverse diamond\nAnswer: dnomaid\n' });
  });

  test('fill the holes between ids', async () => {
    const { code, stdout } = await rnd1(['fill', '--tokens', `${ids('3+')},_,${ids('?')},_`]);
    expect(code).toBe(0);
    expect(stdout).toMatch(/^51,43,\d+,63,\d+\n$/);
  });
});
