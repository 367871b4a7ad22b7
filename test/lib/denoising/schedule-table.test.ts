import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { Value } from '@sinclair/typebox/value';
import {
  formatSchedule,
  parseSchedule,
  scheduleExamples,
  scheduleGrammar,
} from '../../../lib/cli/schedule-notation';
import { readSchedule } from '../../../lib/denoising/schedule';
import { drawsPositions, scheduleEntry, scheduleTable } from '../../../lib/denoising/schedule-table';
import type { Schedule } from '../../../lib/index';
import { denoiseBody } from '../../../lib/server/schemas';

const root = resolve(__dirname, '../..', '..');
const objectOf = ({ type, parameter }: (typeof scheduleTable)[number], value?: number) =>
  (parameter === null
    ? { type }
    : { type, [parameter.name]: value ?? parameter.suggested }) as unknown as Schedule;

describe.each(scheduleTable.map((entry) => [entry.type, entry] as const))('%s', (type, entry) => {
  const schedule = objectOf(entry);
  const accepts = (body: object) => Value.Check(denoiseBody, body);

  test('is known to the library, the command line and the server', () => {
    const { rule, blocks } = readSchedule(schedule);
    const { plan, parameter } = entry;
    if (plan === null) expect(blocks?.length).toBe(parameter?.suggested);
    else if ('order' in plan) expect(rule).toEqual({ limit: 'keep', order: plan.order });
    else expect(rule).toMatchObject({ limit: plan.limit, value: parameter?.suggested });
    expect(accepts({ schedule })).toBe(true);
    const written = scheduleExamples.find(([text]) => text.startsWith(type))?.[0] as string;
    expect(readSchedule(parseSchedule(written))).toEqual(readSchedule(schedule));
    expect(formatSchedule(schedule)).toBe(written);
    expect(scheduleGrammar(80).join('\n')).toMatch(new RegExp(`^${type}(=[A-Z]+(\\[:SCHEDULE\\])?)?  `, 'm'));
  });

  test('has the same bounds for all of them', () => {
    const { parameter } = entry;
    if (parameter === null) return;
    const { min, minExcluded, max, whole, lenient } = parameter;
    const wrong = [
      ...(lenient ? [] : [minExcluded ? min : min - 1]),
      ...(max === null ? [] : [max + 1]),
      ...(whole ? [min + 0.5] : []),
    ];
    for (const value of wrong) {
      const beyond = objectOf(entry, value);
      expect(() => readSchedule(beyond)).toThrow(RangeError);
      expect(() => parseSchedule(formatSchedule(beyond))).toThrow(RangeError);
      expect(accepts({ schedule: beyond })).toBe(false);
    }
  });

  test('is explained where schedules are', () => {
    expect(readFileSync(join(root, 'docs', 'architecture.md'), 'utf8')).toContain(`\`${type}\``);
  });
});

test('which schedules draw positions', () => {
  expect(drawsPositions()).toBe(false);
  expect(drawsPositions('random')).toBe(true);
  expect(drawsPositions({ type: 'blocks', length: 4, schedule: { type: 'random' } })).toBe(true);
  expect(drawsPositions({ type: 'blocks', length: 4 })).toBe(false);
  expect(scheduleEntry('threshold').parameter?.name).toBe('tau');
});
