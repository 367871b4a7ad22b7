import type { Schedule, SimpleSchedule } from '../types';

/** What `--schedule` accepts, for messages and manuals. */
export const scheduleGrammar = [
  'entropy                    a fixed share a step, lowest entropy first (the default)',
  'confidence                 a fixed share a step, highest probability first',
  'margin                     a fixed share a step, largest lead over the runner-up first',
  'random                     a fixed share a step, in random order',
  'entropy-bounded=GAMMA      as many as an entropy of GAMMA nats allows, e.g. entropy-bounded=0.1',
  'threshold=TAU              all with a probability of at least TAU, e.g. threshold=0.9',
  'blocks=LENGTH[:SCHEDULE]   blocks of LENGTH tokens from left to right, each filled by one of',
  '                           the above, e.g. blocks=32 or blocks=32:entropy-bounded=0.1',
] as const;

const linear = ['entropy', 'confidence', 'margin', 'random'] as const;

function numberOf(text: string | undefined, whole: string): number {
  const value = text === undefined || text.trim() === '' ? Number.NaN : Number(text);
  if (!Number.isFinite(value)) throw new TypeError(`schedule needs a number after '=', got '${whole}'`);
  return value;
}

function parseSimple(text: string): SimpleSchedule {
  const [name, argument, ...rest] = text.split('=');
  const plain = linear.find((candidate) => candidate === name);
  if (plain !== undefined && argument === undefined) return plain;
  if (rest.length === 0 && name === 'entropy-bounded') {
    const gamma = numberOf(argument, text);
    if (gamma < 0) throw new RangeError(`entropy-bounded needs a bound of at least 0 nats, got '${text}'`);
    return { type: 'entropy-bounded', gamma };
  }
  if (rest.length === 0 && name === 'threshold') {
    const tau = numberOf(argument, text);
    if (!(tau > 0 && tau <= 1)) {
      throw new RangeError(`threshold needs a probability above 0 and up to 1, got '${text}'`);
    }
    return { type: 'threshold', tau };
  }
  throw new TypeError(
    `unknown schedule '${text}': expected ${linear.join(', ')}, entropy-bounded=GAMMA, threshold=TAU or blocks=LENGTH[:SCHEDULE]`,
  );
}

/** Reads the schedule notation of the command line. Throws TypeError or RangeError that quote the text. */
export function parseSchedule(text: string): Schedule {
  if (!text.startsWith('blocks')) return parseSimple(text);
  const [head = '', ...inner] = text.split(':');
  const [name, argument, ...rest] = head.split('=');
  const length = numberOf(argument, text);
  if (name !== 'blocks' || rest.length > 0 || !Number.isInteger(length) || length < 1) {
    throw new RangeError(`blocks need a whole number of tokens of at least 1, got '${text}'`);
  }
  return inner.length === 0
    ? { type: 'blocks', length }
    : { type: 'blocks', length, schedule: parseSimple(inner.join(':')) };
}
