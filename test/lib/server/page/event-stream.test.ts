import { EventStreamParser } from '../../../../lib/server/page/event-stream.js';

const parse = (chunks: readonly string[]) => {
  const parser = new EventStreamParser();
  return chunks.flatMap((chunk) => parser.push(chunk));
};
const expected = [
  { event: 'start', data: '{"a":1}' },
  { event: 'message', data: 'one\ntwo' },
];

test.each([
  ['\n', 'line feeds'],
  ['\r\n', 'carriage returns and line feeds'],
  ['\r', 'carriage returns'],
])('takes a stream apart wherever it is cut: %j', (end) => {
  const lines = [
    ': a comment',
    'event: start',
    'id: 7',
    'data: {"a":1}',
    '',
    'data: one',
    'data:two',
    '',
    '',
  ];
  // The character after the last carriage return decides whether it ends a line.
  const stream = `${lines.join(end)}:`;
  expect(parse([stream])).toEqual(expected);
  expect(parse([...stream])).toEqual(expected);
  for (let cut = 1; cut < stream.length; cut++) {
    expect(parse([stream.slice(0, cut), stream.slice(cut)])).toEqual(expected);
  }
});

test('an event without data is none, and an unfinished one is not told', () => {
  expect(parse(['event: ping\n\n', 'event: end\ndata: {}\n'])).toEqual([]);
});

test('a name holds for one event', () => {
  expect(parse(['event: a\ndata: 1\n\ndata: 2\n\n']).map(({ event }) => event)).toEqual(['a', 'message']);
});
