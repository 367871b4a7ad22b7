import type { Terminal } from '../../../lib/cli/render';
import { Sparkline } from '../../../lib/cli/sparkline';
import { TrainView } from '../../../lib/cli/train-view';
import { evaluationEvent, stepEvent } from '../../training/events';
import { Screen } from './screen';

const { TERM } = process.env;
beforeAll(() => {
  process.env.TERM = 'xterm';
});
afterAll(() => {
  if (TERM === undefined) delete process.env.TERM;
  else process.env.TERM = TERM;
});

/** A view whose steps take a second each. */
function viewOn(terminal: Terminal, options = {}) {
  let time = 0;
  const view = new TrainView(terminal, { ...options, now: () => time });
  const step = (number: number, fields = {}) => {
    time += 1000;
    view.show(stepEvent(number, { milliseconds: { ...stepEvent(1).milliseconds, total: 1000 }, ...fields }));
  };
  return { view, step };
}

describe('in a terminal', () => {
  test('two lines are drawn in place', () => {
    const screen = new Screen(80, 20);
    const { view, step } = viewOn(screen);
    for (let number = 1; number <= 250; number++) step(number, { loss: 4 - number / 100 });
    const [progress, numbers, ...rest] = screen.lines();
    expect(rest).toEqual([]);
    expect(progress).toBe('step 250/1,000  ██████░░░░░░░░░░░░░░░░░░  25 %  12:30 left');
    expect(numbers).toMatch(/^loss 1\.590 {2}█[▁▂▃▄▅▆▇█]{29,30}▁ {2}12,346 tokens\/s {2}lr 1\.00e-3$/);
    view.close();
    expect(screen.lines()).toEqual([]);
  });

  test('lines of other events stay above', () => {
    const screen = new Screen(80, 20);
    const { view, step } = viewOn(screen);
    view.show(evaluationEvent(0));
    step(1);
    view.show({
      type: 'checkpoint',
      step: 1,
      folder: `${process.cwd()}/runs/x/checkpoint-1`,
      milliseconds: 1234,
    });
    step(2);
    view.show({ type: 'warning', step: 2, message: 'an expert\x1b[31m gets no rows' });
    step(3, { applied: false, loss: Number.NaN });
    expect(screen.lines()).toEqual([
      'step 0: evaluation: 2.500 nats per token, cross entropy 1.500',
      'step 1: checkpoint runs/x/checkpoint-1, 1.2 s',
      'rnd1: warning: step 2: an expert␛[31m gets no rows',
      'rnd1: warning: step 3: gradients were not finite, the weights did not change',
      expect.stringMatching(/^step 3\/1,000 /),
      expect.stringMatching(/^loss 2\.737 /),
    ]);
    view.show({ type: 'done', step: 3, steps: 1000, checkpoint: 'x', complete: false });
    view.close();
    expect(screen.lines()).toHaveLength(4);
  });

  test.each([
    [
      120,
      /^step 9\/1,000 {2}█*░{23,24} {2}0 % {2}16:31 left$/,
      /^loss 2\.\d{3} {2}\S+ {2}12,346 tokens\/s {2}lr 1\.00e-3$/,
    ],
    [44, /^step 9\/1,000 {2}░+ {2}0 % {2}16:31 left$/, /^loss 2\.\d{3} {2}[▁-█]+ {2}12,346 tokens\/s$/],
    [28, /^step 9\/1,000 {2}16:31 left$/, /^loss 2\.\d{3} {2}12,346 tokens\/s$/],
    [20, /^step 9\/1,000$/, /^loss 2\.\d{3}$/],
    [8, /^step 9…$/, /^loss 2…$/],
  ])('%d columns hold what is most important', (columns, progress, numbers) => {
    const screen = new Screen(columns, 20);
    const { step } = viewOn(screen);
    for (let number = 1; number <= 9; number++) step(number);
    expect(screen.lines()).toEqual([expect.stringMatching(progress), expect.stringMatching(numbers)]);
  });

  test('a narrower window leaves no remains', () => {
    const screen = new Screen(80, 20);
    const { view, step } = viewOn(screen);
    for (let number = 1; number <= 40; number++) step(number);
    screen.resize(40);
    step(41);
    expect(screen.lines()).toHaveLength(2);
    view.close();
    expect(screen.lines()).toEqual([]);
  });

  test('quick steps are not all drawn, but the last is', () => {
    const screen = new Screen(80, 20);
    let time = 0;
    const view = new TrainView(screen, { now: () => time });
    for (let step = 1; step <= 1000; step++) {
      time += 1;
      view.show(stepEvent(step));
    }
    expect(screen.writes).toBe(11);
    expect(screen.lines()[0]).toBe('step 1,000/1,000  ████████████████████████  100 %');
  });
});

describe('without a terminal', () => {
  const lines: string[] = [];
  const pipe: Terminal = { write: (text) => lines.push(text) };
  beforeEach(() => {
    lines.length = 0;
  });

  test('a plain line every few seconds, of the first and the last step', () => {
    const { view, step } = viewOn(pipe, { every: 4000 });
    for (let number = 1; number <= 10; number++) step(number, { steps: 10 });
    view.show(evaluationEvent(10));
    view.close();
    expect(lines).toEqual([
      'step 1/10  loss 3.000  12,346 tokens/s  lr 1.00e-3  0:09 left\n',
      expect.stringMatching(/^step 5\/10 {2}loss 2\.\d+ .* 0:05 left\n$/),
      expect.stringMatching(/^step 9\/10 .* 0:01 left\n$/),
      expect.stringMatching(/^step 10\/10 .* lr 1\.00e-3\n$/),
      'step 10: evaluation: 2.500 nats per token, cross entropy 1.500\n',
    ]);
  });

  test('nothing with quiet', () => {
    const { view, step } = viewOn(pipe, { quiet: true });
    step(1);
    view.show(evaluationEvent(1));
    view.show({ type: 'warning', step: 1, message: 'x' });
    view.close();
    expect(lines).toEqual([]);
  });
});

describe('the curve', () => {
  const curveOf = (values: readonly number[], columns: number) => {
    const line = new Sparkline();
    for (const value of values) line.add(value);
    return line.text(columns);
  };

  test('goes from the lowest to the highest value', () => {
    expect(curveOf([0, 1, 2, 3, 4, 5, 6, 7], 32)).toBe('▁▂▃▄▅▆▇█');
    expect(curveOf([7, 0], 32)).toBe('█▁');
    expect(curveOf([3, 3], 32)).toBe('▁▁');
    expect(curveOf([], 32)).toBe('');
    expect(curveOf([1, 2], 0)).toBe('');
  });

  test('has means of neighbours where there are more values than columns, all weighted alike', () => {
    expect(curveOf([0, 2, 7, 9, 14, 16], 3)).toBe('▁▅█');
    const long = Array.from({ length: 100_000 }, (_, i) => i);
    expect(curveOf(long, 8)).toBe('▁▂▃▄▅▆▇█');
  });
});
