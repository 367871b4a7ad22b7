import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { drawsPositions, scheduleTable, startingSchedule } from '../../../../lib/denoising/schedule-table';
import { draws } from '../../../../lib/server/page/request.js';

// The page has its own texts for the schedules that it knows; others come from /v1/models.

const html = readFileSync(join(__dirname, '../../../../lib/server/page/index.html'), 'utf8');
const shownAs = (field: string) => Number(new RegExp(`name="${field}"[^>]*value="([^"]*)"`).exec(html)?.[1]);
const suggested = (type: string) => scheduleTable.find((entry) => entry.type === type)?.parameter?.suggested;

test('the form has the schedules of the table, and begins as it says', () => {
  const select = /<select[^>]*name="schedule"[\s\S]*?<\/select>/.exec(html)?.[0] ?? '';
  const options = [...select.matchAll(/<option value="([^"]+)"( selected)?/g)];
  // Blocks are a separate field: they contain the other schedules.
  const simple = scheduleTable.map(({ type }) => type).filter((type) => type !== 'blocks');
  expect(options.map(([, type]) => type).sort()).toEqual([...simple].sort());
  expect(options.filter(([, , selected]) => selected).map(([, type]) => type)).toEqual([
    startingSchedule.type,
  ]);
  expect(html).toContain('name="blocks"');
});

test('those that draw positions are those of the table', () => {
  const types = scheduleTable.map(({ type }) => type).filter((type) => type !== 'blocks');
  for (const type of types)
    expect(draws({ schedule: type })).toBe(drawsPositions({ type } as Parameters<typeof drawsPositions>[0]));
});

test('the numbers that it shows are those of the table', () => {
  expect(shownAs('gamma')).toBe(startingSchedule.gamma);
  expect(shownAs('gamma')).toBe(suggested('entropy-bounded'));
  expect(shownAs('tau') / 100).toBe(suggested('threshold'));
});
