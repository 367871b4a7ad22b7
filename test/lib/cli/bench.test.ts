import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { rnd1, root } from './rnd1';

const nano = join(root, 'models', 'nano');
const quick = ['bench', '--runs', '1', '--lengths', '16,24', '--threads', '1'];

test('prints a block of Markdown with speed, limits and the machine', async () => {
  const { code, stdout, stderr } = await rnd1([...quick, '--write', '12', '--model', nano]);
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  const [title, blank, model, device, machine, limits, writing, space, header, rule, ...rows] = stdout
    .trimEnd()
    .split('\n');
  expect(title).toMatch(/^rnd1 \d+\.\d+\.\d+, Node\.js v\d+.*, \d{4}-\d\d-\d\d$/);
  expect([blank, space]).toEqual(['', '']);
  // The name only: reports are published.
  expect(model).toMatch(/^- model: nano \(rnd1\), [\d.]+ MB of bf16 weights, computed in bf16$/);
  expect(device).toMatch(/^- device: CPU \(\w+\), 1 thread$/);
  expect(machine).toMatch(/^- machine: .+, \d+ cores?, [\d.]+ GB of memory$/);
  expect(limits).toMatch(/^- limits: copy [\d.]+ GB\/s, multiply-adds [\d.]+ [GT]FLOP\/s in bf16$/);
  expect(writing).toMatch(/^- writing: 11 tokens in \d+ steps, [\d.]+ m?s: [\d.]+ tokens\/s$/);
  expect(header).toMatch(/^\| step +\| tokens \| +time \| tokens\/s \| .+ of copy \| .+ of peak \|$/);
  expect(rule).toMatch(/^\|-+\|(-+:\|)+$/);
  expect(rows.map((row) => row.split('|')[1]?.trim())).toEqual([
    'random, all scored',
    '2 random, masks scored',
    'random, all scored',
    '3 random, masks scored',
  ]);
  // Aligned for a terminal too.
  expect(new Set([header, rule, ...rows].map((line) => line?.length)).size).toBe(1);
});

test('with a peer prints its times and the ratios, with --json the same figures', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'rnd1-peer-'));
  try {
    const peer = join(folder, 'llama-bench');
    writeFileSync(
      peer,
      '#!/bin/sh\necho "[{\\"n_prompt\\": $4, \\"n_gen\\": 0, \\"samples_ns\\": [30000000000]}]"\n',
    );
    chmodSync(peer, 0o755);
    const args = [...quick, '--dtype', 'q8', '--write', '0', '--peer', peer, '--peer-model', 'any.gguf'];
    const { code, stdout } = await rnd1([...args, '--json']);
    expect(code).toBe(0);
    const report = JSON.parse(stdout);
    expect(report).toMatchObject({
      model: { name: 'nano', family: 'rnd1', weights: 'q8', mapped: false },
      device: 'cpu',
      threads: 1,
      writing: null,
      peer: 'llama-bench',
    });
    expect(report.peaks.integerOperationsPerSecond).toBeGreaterThan(0);
    expect(report.steps).toHaveLength(4);
    for (const step of report.steps) {
      expect(step.peerSeconds).toBe(30);
      expect(step.seconds).toBeGreaterThan(0);
      expect(step.shortestSeconds).toBeLessThanOrEqual(step.longestSeconds);
    }
    const printed = (await rnd1(args)).stdout;
    expect(printed).toMatch(/^- limits: .+ in bf16, [\d.]+ [GT]OP\/s in bytes$/m);
    expect(printed).toMatch(/^\| step .* llama-bench \| +ratio \|$/m);
    expect(printed.match(/ 30\.0 s \| +\d+\.\d\d × \|$/gm)).toHaveLength(4);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test.each([
  [['--lengths', '64,100000'], "--lengths: the model's longest canvas has 256 tokens, not 100000"],
  [['--lengths', '64,x'], 'Expected lengths of at least 1, as in 64,256.'],
  [['--write', '250'], "--write: the model's longest canvas has 256 tokens, and 8 are the prompt"],
  [['--peer', 'llama-bench'], '--peer needs --peer-model, or a GGUF file as --model'],
  [['--peer-model', 'x.gguf'], '--peer-model needs --peer'],
])('%j is a usage error', async (args, message) => {
  const { code, stdout, stderr } = await rnd1(['bench', ...args]);
  expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
  expect(stderr).toContain(message);
});

test('a peer that cannot be run is a failure', async () => {
  const { code, stderr } = await rnd1([...quick, '--peer', '/nowhere/llama-bench', '--peer-model', 'x.gguf']);
  expect(code).toBe(1);
  expect(stderr).toContain('/nowhere/llama-bench: there is no such program');
});
