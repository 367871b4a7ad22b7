import type { Schedule, SimpleSchedule } from '../api/types';
import { plainTypes, type ScheduleEntry, scheduleTable } from '../denoising/schedule-table';
import { wrap } from './width';

/** What may follow a parameter after commas, `threshold=0.9,strict,at-least=2`: how it is typed, and its field. */
interface Setting {
  readonly name: string;
  readonly field: string;
  /** Values that are words; one that is true needs none. */
  readonly words: readonly string[] | true;
  /** Whether a positive whole number may stand there. */
  readonly counts: boolean;
}

const settings: Partial<Record<ScheduleEntry['type'], readonly Setting[]>> = {
  threshold: [
    { name: 'strict', field: 'strict', words: true, counts: false },
    { name: 'at-least', field: 'atLeast', words: ['counts'], counts: true },
  ],
  blocks: [
    { name: 'steps', field: 'steps', words: [], counts: true },
    { name: 'from', field: 'from', words: ['masked', 'canvas'], counts: false },
    { name: 'window', field: 'window', words: ['canvas', 'block'], counts: false },
  ],
};

/** `strict`, `at-least=N|counts` */
function settingNotation({ name, words, counts }: Setting): string {
  return words === true ? name : `${name}=${[...(counts ? ['N'] : []), ...words].join('|')}`;
}

/** Notation of a table entry: `entropy`, `threshold=TAU`, `blocks=LENGTH[:SCHEDULE]`. */
function notationOf({ type, plan, parameter }: ScheduleEntry): string {
  const value = parameter === null ? '' : `=${parameter.name.toUpperCase()}`;
  return `${type}${value}${plan === null ? '[:SCHEDULE]' : ''}`;
}

/** For every table entry, an example as it can be typed, and what a step commits. */
export const scheduleExamples: readonly (readonly [text: string, commits: string])[] = scheduleTable.map(
  ({ type, parameter, commits }) => [parameter === null ? type : `${type}=${parameter.suggested}`, commits],
);

/** Describes the values of `--schedule` for manuals, in lines of at most `columns`. */
export function scheduleGrammar(columns: number): string[] {
  const width = Math.max(...scheduleTable.map((entry) => notationOf(entry).length));
  return scheduleTable.flatMap((entry, i) => {
    const example = entry.parameter === null ? '' : `, e.g. ${scheduleExamples[i]?.[0]}`;
    const more = settings[entry.type]?.map((setting) => `,${settingNotation(setting)}`).join(' ');
    const may = more === undefined ? '' : `. May be followed by ${more}`;
    const lines = wrap(`${entry.commits}${example}${may}`, columns - width - 2);
    return lines.map((line, j) => `${(j === 0 ? notationOf(entry) : '').padEnd(width)}  ${line}`);
  });
}

/** Writes a schedule in the notation of the command line. */
export function formatSchedule(schedule: Schedule): string {
  if (typeof schedule === 'string') return schedule;
  const parameter = scheduleTable.find(({ type }) => type === schedule.type)?.parameter;
  const value = parameter ? `=${(schedule as unknown as Record<string, number>)[parameter.name]}` : '';
  const given = schedule as unknown as Record<string, unknown>;
  const more = (settings[schedule.type] ?? []).flatMap(({ name, field, words }) => {
    if (given[field] === undefined || given[field] === false) return [];
    return words === true ? `,${name}` : `,${name}=${given[field]}`;
  });
  const inner = 'schedule' in schedule && schedule.schedule !== undefined ? schedule.schedule : null;
  return `${schedule.type}${value}${more.join('')}${inner === null ? '' : `:${formatSchedule(inner)}`}`;
}

/** Parses the notation of the command line. Throws TypeError or RangeError that quote the text. */
export function parseSchedule(text: string): Schedule {
  const outer = scheduleTable.find(({ type, plan }) => plan === null && text.startsWith(type));
  if (outer === undefined) return parseSimple(text);
  const [head = '', ...inner] = text.split(':');
  const schedule = withParameter(outer, head, text);
  if (schedule === null) throw rangeError(outer, text);
  return (
    inner.length === 0 ? schedule : { ...schedule, schedule: parseSimple(inner.join(':')) }
  ) as Schedule;
}

function parseSimple(text: string): SimpleSchedule {
  const plain = plainTypes.find((type) => type === text);
  if (plain !== undefined) return plain as SimpleSchedule;
  for (const entry of scheduleTable) {
    const schedule = entry.plan === null ? null : withParameter(entry, text, text);
    if (schedule !== null) return schedule as SimpleSchedule;
  }
  const known = scheduleTable.map(notationOf);
  throw new TypeError(
    `unknown schedule '${text}': expected ${known.slice(0, -1).join(', ')} or ${known.at(-1)}`,
  );
}

/** Parses `threshold=0.9` to an object; null if the text is not in the notation of this entry. */
function withParameter(entry: ScheduleEntry, text: string, whole: string): object | null {
  const { type, parameter } = entry;
  const [head = '', ...more] = text.split(',');
  const [name, argument, ...rest] = head.split('=');
  if (parameter === null || name !== type || rest.length > 0) return null;
  const value = argument === undefined || argument.trim() === '' ? Number.NaN : Number(argument);
  if (!Number.isFinite(value)) {
    throw new TypeError(`${type} needs a number, as in ${type}=${parameter.suggested}, got '${whole}'`);
  }
  const tooSmall = value < parameter.min || (parameter.minExcluded && value === parameter.min);
  const tooLarge = parameter.max !== null && value > parameter.max;
  if (tooSmall || tooLarge || (parameter.whole && !Number.isInteger(value))) throw rangeError(entry, whole);
  return {
    type,
    [parameter.name]: value,
    ...Object.fromEntries(more.map((word) => setting(type, word, whole))),
  };
}

/** Parses `at-least=2` to a field and its value. */
function setting(type: ScheduleEntry['type'], word: string, whole: string): [string, unknown] {
  const known = settings[type] ?? [];
  const [name, value, ...rest] = word.split('=');
  const found = known.find((one) => one.name === name);
  if (found !== undefined && rest.length === 0) {
    const { field, words, counts } = found;
    if (words === true && value === undefined) return [field, true];
    if (words !== true && value !== undefined && words.includes(value)) return [field, value];
    if (counts && /^[1-9]\d{0,8}$/.test(value ?? '')) return [field, Number(value)];
  }
  const expected = known.map(settingNotation);
  throw new TypeError(
    expected.length === 0
      ? `${type} takes nothing after a comma, got '${whole}'`
      : `'${word}' is no setting of ${type}: expected ${expected.join(', ')}, got '${whole}'`,
  );
}

/** `threshold needs a number above 0 and up to 1, got 'threshold=2'` */
function rangeError({ type, parameter }: ScheduleEntry, text: string): RangeError {
  const { whole = true, min = 0, minExcluded = false, max = null, unit = '' } = parameter ?? {};
  const from = minExcluded ? `above ${min}` : `of at least ${min}`;
  const to = max === null ? '' : ` and up to ${max}`;
  const kind = whole ? `a whole number of ${unit}` : 'a number';
  return new RangeError(`${type} needs ${kind} ${from}${to}, got '${text}'`);
}
