import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { crc32c, maskedCrc32c } from '../../lib/training/metrics/crc32c';
import { eventRecord } from '../../lib/training/metrics/event-proto';
import { RunLog } from '../../lib/training/metrics/run-log';
import { evaluationEvent, stepEvent } from './events';

/** A protobuf message: field numbers with varints as bigints, other values as bytes. */
type Message = Record<number, (bigint | Buffer)[]>;

function readMessage(bytes: Buffer): Message {
  const message: Message = {};
  let at = 0;
  const varint = (): bigint => {
    let value = 0n;
    for (let shift = 0n; ; shift += 7n) {
      const byte = bytes.readUInt8(at++);
      value |= BigInt(byte & 127) << shift;
      if (byte < 128) return value;
    }
  };
  const take = (length: number) => {
    at += length;
    return bytes.subarray(at - length, at);
  };
  while (at < bytes.length) {
    const key = varint();
    const type = Number(key & 7n);
    const value =
      type === 0 ? varint() : take(type === 1 ? 8 : type === 5 ? 4 : type === 2 ? Number(varint()) : NaN);
    const field = Number(key >> 3n);
    message[field] = [...(message[field] ?? []), value];
  }
  expect(at).toBe(bytes.length);
  return message;
}

interface ReadEvent {
  readonly wallTime: number;
  readonly step: number;
  readonly version?: string;
  readonly status?: number;
  readonly scalars: Record<string, number>;
}

function readEvents(bytes: Buffer): ReadEvent[] {
  const events: ReadEvent[] = [];
  for (let at = 0; at < bytes.length; ) {
    const length = Number(bytes.readBigUInt64LE(at));
    expect(bytes.readUInt32LE(at + 8)).toBe(maskedCrc32c(bytes.subarray(at, at + 8)));
    const data = bytes.subarray(at + 12, at + 12 + length);
    expect(bytes.readUInt32LE(at + 12 + length)).toBe(maskedCrc32c(data));
    at += length + 16;
    const event = readMessage(data);
    const only = (message: Message | undefined, field: number) => message?.[field]?.[0] as Buffer | undefined;
    const session = only(event, 7);
    const summary = only(event, 5);
    const values = summary === undefined ? [] : (readMessage(summary)[1] as Buffer[]).map(readMessage);
    events.push({
      wallTime: (only(event, 1) as Buffer).readDoubleLE(),
      step: Number(event[2]?.[0] ?? 0n),
      version: only(event, 3)?.toString(),
      status: session === undefined ? undefined : Number(readMessage(session)[1]?.[0]),
      scalars: Object.fromEntries(
        values.map((value) => [String(only(value, 1)), (only(value, 2) as Buffer).readFloatLE()]),
      ),
    });
  }
  return events;
}

test('the checksum is that of RFC 3720', () => {
  expect(crc32c(Buffer.from('123456789'))).toBe(0xe3069283);
  expect(crc32c(Buffer.alloc(32))).toBe(0x8a9136aa);
  expect(crc32c(Buffer.alloc(32, 0xff))).toBe(0x62a8ab43);
  expect(crc32c(Buffer.from(Array.from({ length: 32 }, (_, i) => i)))).toBe(0x46dd794e);
});

test('records have the bytes of TensorFlow', () => {
  const version = eventRecord(1_700_000_000.5, 0, 'version');
  // All event files begin with these.
  expect(version.subarray(0, 13).toString('hex')).toBe('1800000000000000a37f4b2209');
  expect(version.subarray(12, -4).toString('hex')).toBe(
    `0900002040fc54d9411a0d${Buffer.from('brain.Event:2').toString('hex')}`,
  );
  const start = eventRecord(0, 300, 'start');
  expect(start.subarray(12, -4).toString('hex')).toBe('090000000000000000' + '10ac02' + '3a020801');
  const value = eventRecord(0, 2 ** 40, { a: 1.5 });
  expect(value.subarray(12, -4).toString('hex')).toBe(
    '090000000000000000' + '10808080808020' + '2a0a' + '0a08' + '0a0161' + '150000c03f',
  );
});

describe('the files of a run', () => {
  let folder = '';
  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'rnd1-tensorboard-'));
    const startTime = new Date(1_700_000_000_250);
    const first = await RunLog.open(folder, { startTime });
    await first.write(stepEvent(1, { elbo: NaN }));
    await first.write(stepEvent(2));
    await first.close();
    const second = await RunLog.open(folder, { resumeStep: 1, startTime });
    await second.write(
      stepEvent(2, { noiseScale: { canvases: 7, tokens: null, scored: 9, groups: { mlp: 5 } } }),
    );
    await second.write(evaluationEvent(2));
    await second.close();
    await (await RunLog.open(folder, { resumeStep: -1, startTime: new Date(0) })).close();
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  const files = () =>
    readdirSync(folder)
      .filter((name) => name !== 'metrics.jsonl')
      .sort();
  const eventsOf = (index: number) => readEvents(readFileSync(join(folder, files()[index] as string)));

  test('each start has a file, in the order of their names even if the clock is not', () => {
    const seconds = files().map((name) => /^events\.out\.tfevents\.(\d{10})\.[\w.-]+\.\d+$/.exec(name)?.[1]);
    expect(seconds).toEqual(['1700000000', '1700000001', '1700000002']);
  });

  test('a file begins with the version, then has the numbers of each step by tag', () => {
    const [version, one, two, ...rest] = eventsOf(0);
    expect(rest).toEqual([]);
    expect(version).toEqual({ wallTime: 1_700_000_000.25, step: 0, version: 'brain.Event:2', scalars: {} });
    expect(one?.step).toBe(1);
    // Not finite.
    expect(one?.scalars).not.toHaveProperty('train/elbo');
    expect(two?.step).toBe(2);
    expect(two?.wallTime).toBeGreaterThan(1.7e9);
    expect(two?.scalars).toEqual({
      'train/loss': 2.5,
      'train/masked_ce': 1.5,
      'train/aux': 1.25,
      'train/z': 0,
      'train/grad_norm': 3.5,
      'train/epoch': Math.fround(0.02),
      'train/tokens': 8192,
      'train_loss_by_t/0.0': 0.5,
      'lr/base': Math.fround(1e-3),
      'lr/attention': Math.fround(1e-3),
      'lr/mlp': Math.fround(1e-4),
      'expert_load_min/layer_3': 0.25,
      'expert_load_max/layer_3': 2,
      'speed/tokens_per_second': Math.fround(12_345.6),
      'step_ms/data': 1,
      'step_ms/forward': 100,
      'step_ms/backward': 200,
      'step_ms/optimizer': 30,
      'step_ms/total': 332,
      'memory/bytes': 1e9,
    });
  });

  test('a resumed run outdates the steps after its checkpoint', () => {
    const [version, start, step, evaluation] = eventsOf(1);
    expect(version).toMatchObject({ version: 'brain.Event:2', step: 0 });
    expect(start).toMatchObject({ step: 2, status: 1, scalars: {} });
    expect(step).toMatchObject({ step: 2, status: undefined });
    expect(step?.scalars).toMatchObject({
      'noise_scale/canvases': 7,
      'noise_scale/scored': 9,
      'noise_scale/canvases_mlp': 5,
    });
    expect(step?.scalars).not.toHaveProperty('noise_scale/tokens');
    expect(evaluation).toMatchObject({
      step: 2,
      scalars: { 'eval/loss': 2.5, 'eval/masked_ce': 1.5, 'eval_loss_by_t/0.5': 2 },
    });
    expect(eventsOf(2)[1]).toMatchObject({ step: 0, status: 1 });
  });
});
