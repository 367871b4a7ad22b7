import { printableName } from '../support/printable';
import type { Style } from './style';

/** A line of the server's log, as pino writes it. */
interface Entry {
  readonly level?: unknown;
  readonly time?: unknown;
  readonly msg?: unknown;
  readonly method?: unknown;
  readonly path?: unknown;
  readonly status?: unknown;
  readonly seconds?: unknown;
  readonly err?: { readonly message?: unknown; readonly stack?: unknown };
}

/** Fields of every line that are not printed as `name=value`. */
const machinery = new Set(['level', 'time', 'pid', 'hostname', 'id', 'msg', 'err']);
const ofRequests = new Set([...machinery, 'method', 'path', 'status', 'seconds']);
/** pino's levels from which a line is marked. */
const [warn, error] = [40, 50];

/**
 * Formats the server's log for a terminal: a short line for a request, message and remaining fields for other
 * entries. The address is left out: the command prints it.
 */
export class HumanLog {
  constructor(
    private readonly out: { write(text: string): unknown },
    private readonly style: Style,
  ) {}

  /** Makes this object a log stream for the server. */
  write(line: string): void {
    for (const text of line.split('\n')) {
      if (text === '') continue;
      const readable = this.#format(text);
      if (readable !== null) this.out.write(`${readable}\n`);
    }
  }

  #format(line: string): string | null {
    let entry: Entry;
    try {
      entry = JSON.parse(line) as Entry;
    } catch {
      return printableName(line);
    }
    const message = String(entry.msg ?? '');
    if (message.startsWith('Server listening at ')) return null;
    const time = this.style.dim(clock(Number(entry.time)));
    if (message === 'request') return `${time}  ${this.#request(entry)}${rest(entry, ofRequests)}`;
    const level = Number(entry.level);
    const mark = level >= error ? 'error: ' : level >= warn ? 'warning: ' : '';
    const cause = entry.err?.message === undefined ? '' : `: ${entry.err.message}`;
    const stack = level >= error ? stackOf(entry) : '';
    return `${time}  ${mark && this.style.strong(mark)}${printable(message + cause)}${rest(entry, machinery)}${stack}`;
  }

  /** `POST /v1/fill  200  12 ms` */
  #request({ method, path, status, seconds }: Entry): string {
    const code = Number(status) >= 400 ? this.style.strong(String(status)) : String(status);
    return `${printable(`${method} ${path}`)}  ${code}  ${duration(Number(seconds))}`;
  }
}

/** `09:05:03`, local time. */
function clock(time: number): string {
  const date = new Date(time);
  const parts = [date.getHours(), date.getMinutes(), date.getSeconds()];
  return parts.map((part) => String(part).padStart(2, '0')).join(':');
}

const duration = (seconds: number) =>
  seconds < 1 ? `${Math.round(1000 * seconds)} ms` : `${seconds.toFixed(2)} s`;

/** The remaining fields: `  prompts=["x"]`. */
function rest(entry: object, known: ReadonlySet<string>): string {
  const others = Object.entries(entry).filter(([name]) => !known.has(name));
  return others.map(([name, value]) => `  ${printable(`${name}=${JSON.stringify(value)}`)}`).join('');
}

function stackOf({ err }: Entry): string {
  const frames = typeof err?.stack === 'string' ? err.stack.split('\n').slice(1) : [];
  return frames.map((frame) => `\n  ${printable(frame)}`).join('');
}

/** The text on one line, without control characters. */
const printable = (text: string) => printableName(text.replace(/\s/g, ' '));
