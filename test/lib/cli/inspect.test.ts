import { cpSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { formatReport } from '../../../lib/cli/report';
import { inspectCheckpoint } from '../../../lib/index';
import { nano, rnd1, scratchFolder, tiny } from './rnd1';

const planOf = (reason: string) => ({
  device: 'cpu',
  instructionSet: 'avx512',
  threads: 2,
  dtype: 'bf16',
  weights: 'bf16',
  reason,
});

const scratch = scratchFolder();

describe('inspect', () => {
  test('tells sizes, tensors, parameters, bytes, device and instruction set', async () => {
    const { code, stdout, stderr } = await rnd1(['inspect']);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    for (const part of [nano, '1.84M in all, 662.91K active', '3.69 MB bf16', '8 of width 128', '[264, 128]'])
      expect(stdout).toContain(part);
    expect(stdout).toMatch(/would run on +cpu \(\w+\), \d+ threads, compute dtype bf16/);
  });

  test('gives the same as an object, and every tensor where that is wanted', async () => {
    const { code, stdout } = await rnd1(['inspect', tiny, '--json', '--tensors', '--threads', '1']);
    expect(code).toBe(0);
    const report = JSON.parse(stdout);
    expect(report).toMatchObject({
      dtype: 'f32',
      ignored: [],
      tokenizer: false,
      wouldRun: { device: 'cpu', threads: 1, dtype: 'f32' },
    });
    expect(report.tensors).toHaveLength(report.tensorCount);
  });

  test('has a line for each tensor in 80 columns, closer together where it must be', async () => {
    const [report, plan] = [await inspectCheckpoint(nano), planOf('')];
    expect(formatReport(report, plan, false, 80)).toMatch(
      /\n {2}lm_head\.weight +bf16 1 × \[264, 128\] +67\.6 kB$/,
    );
    expect(formatReport(report, plan, false, 100)).toMatch(
      /\n {2}lm_head\.weight +bf16 {2}1 × \[264, 128\] +67\.6 kB$/,
    );
  });

  test('fits 80 columns, and narrower terminals', async () => {
    const report = await inspectCheckpoint(nano);
    const plan = planOf('a reason that goes on and on '.repeat(5));
    for (const columns of [80, 60, 40, 20]) {
      for (const all of [false, true]) {
        const [first, ...lines] = formatReport(report, plan, all, columns).split('\n');
        expect(first).toBe(nano);
        expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(columns);
        const text = lines.map((line) => line.trim()).join('');
        expect(text.replaceAll(' ', '')).toContain('model.safetensors(3.70MB)');
        expect(text.replaceAll(' ', '')).toContain('model.layers.0.'.slice(0, all ? 15 : 13));
        expect(text.replaceAll(' ', '')).toContain(plan.reason.replaceAll(' ', ''));
      }
    }
    const { stdout } = await rnd1(['inspect', '--tensors']);
    expect(
      Math.max(
        ...stdout
          .split('\n')
          .slice(1)
          .map((line) => line.length),
      ),
    ).toBeLessThanOrEqual(80);
  });

  /** A copy of the tiny checkpoint with one more tensor and metadata. */
  function copyWith(name: string, tensor: string, metadata: Record<string, string> = {}): string {
    const copy = scratch(name);
    cpSync(tiny, copy, { recursive: true });
    const file = join(copy, 'model.safetensors');
    const bytes = readFileSync(file);
    const length = Number(bytes.readBigUInt64LE(0));
    const header = JSON.parse(bytes.toString('utf8', 8, 8 + length));
    header.__metadata__ = metadata;
    header[tensor] = {
      dtype: 'U8',
      shape: [4],
      data_offsets: [bytes.length - 8 - length, bytes.length - 4 - length],
    };
    const json = Buffer.from(JSON.stringify(header));
    const prefix = Buffer.alloc(8);
    prefix.writeBigUInt64LE(BigInt(json.length));
    writeFileSync(file, Buffer.concat([prefix, json, bytes.subarray(8 + length), Buffer.alloc(4)]));
    return copy;
  }

  test('lists the tensors that it ignores', async () => {
    const { code, stdout } = await rnd1(['inspect', copyWith('unknown', 'visual.patch')]);
    expect(code).toBe(0);
    expect(stdout).toContain('1 ignored');
    expect(stdout).toContain('visual.patch');
  });

  test('shows names that would steer a terminal without doing so', async () => {
    const hostile = '\x1b]0;title\x07\x9b31m\u202Ename\nnext';
    const copy = copyWith(`hostile \x1b[31m`, hostile, { [hostile]: hostile });
    // biome-ignore lint/suspicious/noControlCharactersInRegex: that is what must not be there
    const steers = /[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]/;
    for (const args of [[], ['--tensors'], ['--json', '--tensors']]) {
      const { code, stdout } = await rnd1(['inspect', copy, ...args]);
      expect(code).toBe(0);
      expect(stdout).toContain('title');
      expect(stdout).not.toMatch(steers);
      if (args.length > 0) continue;
      expect(stdout).toContain('␛]0;title␇\uFFFD31m\uFFFDname␊next');
    }
    const { metadata } = JSON.parse((await rnd1(['inspect', copy, '--json'])).stdout);
    expect(metadata).toEqual({ [hostile]: hostile });
    writeFileSync(join(copy, 'config.json'), JSON.stringify({ model_type: hostile }));
    const failed = await rnd1(['inspect', copy], { env: { RND1_DEBUG: '1' } });
    expect(failed.code).toBe(1);
    expect(failed.stderr).toContain('title');
    expect(failed.stderr).not.toMatch(steers);
  });

  test('shows arguments that would steer a terminal without doing so', async () => {
    const hostile = '\x1b]0;title\x07\x9b31m\u202E\u200F\u2028';
    // biome-ignore lint/suspicious/noControlCharactersInRegex: that is what must not be there
    const steers = /[\x00-\x08\x0b-\x1f\x7f-\x9f\u200f\u2028\u202e]/;
    for (const args of [
      [hostile],
      ['help', hostile],
      ['inspect', hostile],
      ['generate', 'a', `--${hostile}`],
      ['generate', 'a', '--steps', hostile],
      ['generate', '--file', hostile],
    ]) {
      const { code, stderr } = await rnd1(args);
      expect(code).toBeGreaterThan(0);
      expect(stderr).toContain('␛]0;title␇');
      expect(stderr).not.toMatch(steers);
    }
  });
});
