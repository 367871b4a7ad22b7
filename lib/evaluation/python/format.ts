import { PythonDict, PythonSet, PythonTuple, type PythonValue } from './values';

/** Python's `str(value)`: a string as it is, everything else as its literal. */
export const pythonText = (value: PythonValue): string =>
  typeof value === 'string' ? value : pythonLiteral(value);

/** Python's `repr(value)`. */
export function pythonLiteral(value: PythonValue): string {
  if (value === null) return 'None';
  if (typeof value === 'boolean') return value ? 'True' : 'False';
  if (typeof value === 'bigint') return String(value);
  if (typeof value === 'number') return floatText(value);
  if (typeof value === 'string') return stringText(value);
  if (value instanceof PythonTuple) {
    return value.items.length === 1
      ? `(${pythonLiteral(value.items[0] as PythonValue)},)`
      : `(${listed(value.items)})`;
  }
  if (value instanceof PythonSet) return `{${listed(value.items)}}`;
  if (value instanceof PythonDict) {
    return `{${value.entries.map(([key, item]) => `${pythonLiteral(key)}: ${pythonLiteral(item)}`).join(', ')}}`;
  }
  return `[${listed(value)}]`;
}

const listed = (items: readonly PythonValue[]) => items.map(pythonLiteral).join(', ');

/** The shortest digits that mean the same number, in Python's notation. */
function floatText(value: number): string {
  if (Number.isNaN(value)) return 'nan';
  if (!Number.isFinite(value)) return value > 0 ? 'inf' : '-inf';
  if (Object.is(value, -0)) return '-0.0';
  const [mantissa, exponent] = value.toExponential().split('e') as [string, string];
  const power = Number(exponent);
  if (power < -4 || power >= 16) {
    return `${mantissa}e${power < 0 ? '-' : '+'}${String(Math.abs(power)).padStart(2, '0')}`;
  }
  const text = String(value);
  return text.includes('.') ? text : `${text}.0`;
}

const named: Readonly<Record<string, string>> = { '\\': '\\\\', '\n': '\\n', '\r': '\\r', '\t': '\\t' };

/** Double quotes only around text that holds single ones and no double ones. */
function stringText(text: string): string {
  const quote = text.includes("'") && !text.includes('"') ? '"' : "'";
  let body = '';
  for (const character of text) {
    if (character === quote) body += `\\${character}`;
    else body += named[character] ?? (isPrintable(character) ? character : escapeOf(character));
  }
  return quote + body + quote;
}

/** Python's `str.isprintable`: neither a control, format, surrogate, private or unassigned character nor a separator. */
const isPrintable = (character: string) => character === ' ' || !/[\p{C}\p{Z}]/u.test(character);

function escapeOf(character: string): string {
  const point = character.codePointAt(0) as number;
  const [letter, digits] = point < 0x100 ? ['x', 2] : point < 0x10000 ? ['u', 4] : ['U', 8];
  return `\\${letter}${point.toString(16).padStart(digits as number, '0')}`;
}
