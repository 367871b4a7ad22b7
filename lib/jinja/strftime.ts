import type { Budget } from './limits';

const days = ['Sunday', 'Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday'];
const months = [
  'January',
  'February',
  'March',
  'April',
  'May',
  'June',
  'July',
  'August',
  'September',
  'October',
  'November',
  'December',
];

function padded(value: number, width = 2, fill = '0'): string {
  return String(value).padStart(width, fill);
}

/** Days since the first of January, from 0. */
function dayOfYear(date: Date): number {
  const start = Date.UTC(date.getFullYear(), 0, 1);
  return Math.round((Date.UTC(date.getFullYear(), date.getMonth(), date.getDate()) - start) / 86_400_000);
}

/** The week by ISO 8601, and the year that it belongs to. */
function isoWeek(date: Date): { year: number; week: number } {
  const thursday = new Date(
    date.getFullYear(),
    date.getMonth(),
    date.getDate() + 3 - ((date.getDay() + 6) % 7),
  );
  return { year: thursday.getFullYear(), week: Math.floor(dayOfYear(thursday) / 7) + 1 };
}

type Write = (date: Date) => string;

const codes: ReadonlyMap<string, Write> = new Map<string, Write>([
  ['a', (date) => (days[date.getDay()] as string).slice(0, 3)],
  ['A', (date) => days[date.getDay()] as string],
  ['b', (date) => (months[date.getMonth()] as string).slice(0, 3)],
  ['h', (date) => (months[date.getMonth()] as string).slice(0, 3)],
  ['B', (date) => months[date.getMonth()] as string],
  ['C', (date) => padded(Math.floor(date.getFullYear() / 100))],
  ['d', (date) => padded(date.getDate())],
  ['e', (date) => padded(date.getDate(), 2, ' ')],
  ['f', (date) => padded(date.getMilliseconds() * 1000, 6)],
  ['g', (date) => padded(isoWeek(date).year % 100)],
  ['G', (date) => String(isoWeek(date).year)],
  ['H', (date) => padded(date.getHours())],
  ['k', (date) => padded(date.getHours(), 2, ' ')],
  ['I', (date) => padded(date.getHours() % 12 || 12)],
  ['l', (date) => padded(date.getHours() % 12 || 12, 2, ' ')],
  ['j', (date) => padded(dayOfYear(date) + 1, 3)],
  ['m', (date) => padded(date.getMonth() + 1)],
  ['M', (date) => padded(date.getMinutes())],
  ['n', () => '\n'],
  ['p', (date) => (date.getHours() < 12 ? 'AM' : 'PM')],
  ['P', (date) => (date.getHours() < 12 ? 'am' : 'pm')],
  ['s', (date) => String(Math.floor(date.getTime() / 1000))],
  ['S', (date) => padded(date.getSeconds())],
  ['t', () => '\t'],
  ['u', (date) => String(date.getDay() || 7)],
  ['U', (date) => padded(Math.floor((dayOfYear(date) + 7 - date.getDay()) / 7))],
  ['V', (date) => padded(isoWeek(date).week)],
  ['w', (date) => String(date.getDay())],
  ['W', (date) => padded(Math.floor((dayOfYear(date) + 7 - ((date.getDay() + 6) % 7)) / 7))],
  ['y', (date) => padded(date.getFullYear() % 100)],
  ['Y', (date) => String(date.getFullYear())],
  // A date without a time zone, as transformers takes it, prints nothing for these.
  ['z', () => ''],
  ['Z', () => ''],
  ['%', () => '%'],
]);

const combined: ReadonlyMap<string, string> = new Map([
  ['c', '%a %b %e %H:%M:%S %Y'],
  ['D', '%m/%d/%y'],
  ['F', '%Y-%m-%d'],
  ['r', '%I:%M:%S %p'],
  ['R', '%H:%M'],
  ['T', '%H:%M:%S'],
  ['x', '%m/%d/%y'],
  ['X', '%H:%M:%S'],
]);

/** `date.strftime(format)` of the local time in the C locale; `%-d` and its like leave out what fills. */
export function formatDate(date: Date, format: string, budget: Budget): string {
  budget.spendText(format.length * 12);
  return format.replace(/%([-_0^]?)([a-zA-Z%])/g, (whole, flag: string, code: string) => {
    const more = combined.get(code);
    const text = more === undefined ? codes.get(code)?.(date) : formatDate(date, more, budget);
    if (text === undefined) return whole;
    if (flag === '^') return text.toUpperCase();
    if (flag === '-') return text.replace(/^[0 ]+(?=.)/, '');
    if (flag === '_') return text.replace(/^0+(?=.)/, (zeros) => ' '.repeat(zeros.length));
    return flag === '0' ? text.replace(/^ +/, (spaces) => '0'.repeat(spaces.length)) : text;
  });
}
