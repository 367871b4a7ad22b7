import type { Schedule } from '../../../lib';
import { formatSchedule, parseSchedule } from '../../../lib/cli/schedule-notation';

describe('--schedule', () => {
  test.each([
    ['entropy', 'entropy'],
    ['confidence', 'confidence'],
    ['margin', 'margin'],
    ['random', 'random'],
    ['entropy-bounded=0.1', { type: 'entropy-bounded', gamma: 0.1 }],
    ['entropy-bounded=0', { type: 'entropy-bounded', gamma: 0 }],
    ['threshold=0.9', { type: 'threshold', tau: 0.9 }],
    ['threshold=1', { type: 'threshold', tau: 1 }],
    ['blocks=32', { type: 'blocks', length: 32 }],
    ['blocks=32:margin', { type: 'blocks', length: 32, schedule: 'margin' }],
    [
      'blocks=8:entropy-bounded=0.5',
      { type: 'blocks', length: 8, schedule: { type: 'entropy-bounded', gamma: 0.5 } },
    ],
    ['threshold=0.9,strict,at-least=2', { type: 'threshold', tau: 0.9, strict: true, atLeast: 2 }],
    [
      'blocks=32,steps=16,from=canvas,window=block:threshold=0.95,at-least=counts',
      {
        type: 'blocks',
        length: 32,
        steps: 16,
        from: 'canvas',
        window: 'block',
        schedule: { type: 'threshold', tau: 0.95, atLeast: 'counts' },
      },
    ],
  ] as const)('%s', (text, schedule) => {
    expect(parseSchedule(text)).toEqual(schedule);
    expect(formatSchedule(schedule as Schedule)).toBe(text);
  });

  test.each([
    ['', TypeError],
    ['fast', TypeError],
    ['entropy=1', TypeError],
    ['entropy-bounded', TypeError],
    ['entropy-bounded=', TypeError],
    ['entropy-bounded=a', TypeError],
    ['entropy-bounded=-1', RangeError],
    ['entropy-bounded=1=2', TypeError],
    ['threshold', TypeError],
    ['threshold=0', RangeError],
    ['threshold=1.5', RangeError],
    ['blocks', TypeError],
    ['blocks=0', RangeError],
    ['blocks=2.5', RangeError],
    ['blocks=4:fast', TypeError],
    ['blocks=4:blocks=2', TypeError],
    ['blocksize=4', RangeError],
    ['entropy,strict', TypeError],
    ['entropy-bounded=1,strict', TypeError],
    ['threshold=0.9,fast', TypeError],
    ['threshold=0.9,strict=1', TypeError],
    ['threshold=0.9,at-least', TypeError],
    ['threshold=0.9,at-least=0', TypeError],
    ['threshold=0.9,at-least=2=3', TypeError],
    ['threshold=0.9,', TypeError],
    ['blocks=4,from=end', TypeError],
    ['blocks=4,steps=counts', TypeError],
  ])('refuses %j and quotes it', (text, kind) => {
    expect(() => parseSchedule(text)).toThrow(kind);
    const quoted = text.includes(':') ? text.slice(text.indexOf(':') + 1) : text;
    expect(() => parseSchedule(text)).toThrow(`'${quoted}'`);
  });
});
