import { endOf, isSpecial } from '../../../../lib/server/page/recording.js';
import { record } from './run';

const recording = record();
const states = (count: number) => recording.cellsAt(count).map(({ state }) => state);
const texts = (count: number) => recording.cellsAt(count).map(({ text }) => text);

test('before the first frame everything is masked and nothing is guessed', () => {
  expect(states(0)).toEqual(['fixed', 'fixed', 'masked', 'masked', 'masked', 'masked']);
  expect(texts(0)).toEqual(['A', ':', '', '', '', '']);
  expect(recording.cellsAt(0).every(({ guess }) => guess === null)).toBe(true);
});

test('a frame shows what it committed as fresh, what came before as written', () => {
  expect(states(1)).toEqual(['fixed', 'fixed', 'masked', 'fresh', 'masked', 'fresh']);
  expect(states(2)).toEqual(['fixed', 'fixed', 'fresh', 'written', 'masked', 'written']);
  expect(texts(2)).toEqual(['A', ':', '4', '7', '', '<|endoftext|>']);
});

test('guesses are those of the frame that is shown, commits keep their step and scores', () => {
  expect(recording.cellsAt(1)[2]?.guess).toMatchObject({ text: '9', confidence: 0.4 });
  expect(recording.cellsAt(2)[2]).toMatchObject({
    guess: null,
    commit: { text: '4', confidence: 0.6, step: 3, frame: 2 },
  });
});

test('figures count what is written, in the time that the server took', () => {
  expect(recording.figuresAt(0)).toEqual({
    step: 0,
    committed: 0,
    written: 0,
    holes: 4,
    perStep: 0,
    perSecond: null,
    seconds: 0,
    entropy: null,
  });
  expect(recording.figuresAt(2)).toMatchObject({
    step: 3,
    committed: 1,
    written: 3,
    perStep: 1.5,
    perSecond: 10,
  });
  expect(recording.figuresAt(1).entropy).toBeCloseTo(0.85);
  expect(recording.committed).toEqual([2, 1, 1]);
});

test('the written text ends where the model ended it', () => {
  expect([0, 1, 2, 3].map((count) => recording.writtenAt(count))).toEqual(['░░░░', '░7░', '47░', '47']);
  expect(endOf(recording.cellsAt(3))).toBe(4);
  expect(endOf(recording.cellsAt(0))).toBe(6);
});

test('the result is what the server sent, without tokens that are no text; of a run that stopped, what there is', () => {
  const run = record();
  expect(run.result).toBe('A:47');
  const usage = { prompt_tokens: 2, completion_tokens: 4, steps: 3 };
  run.end = { text: '1 < 2 |> <|im_end|><|endoftext|>', finish_reason: 'stop', usage, elapsed_ms: 1 };
  expect(run.result).toBe('1 < 2 |> ');
});

test.each([
  ['<|im_end|>', true],
  ['<|endoftext|>', true],
  ['</s>', true],
  ['', true],
  ['<|', false],
  ['<b>', false],
  [' ', false],
])('special: %j %s', (text, special) => expect(isSpecial(text)).toBe(special));
