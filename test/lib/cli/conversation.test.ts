import { once } from 'node:events';
import { PassThrough } from 'node:stream';
import { LineReader, TerminalReader } from '../../../lib/cli/chat-input';
import { Conversation, readTurn } from '../../../lib/cli/conversation';
import { UsageError } from '../../../lib/cli/input';

const never = new AbortController().signal;

describe('a line', () => {
  test.each([
    ['Hi there', { kind: 'message', text: 'Hi there' }],
    ['  Hi  ', { kind: 'message', text: 'Hi' }],
    ['', { kind: 'nothing' }],
    [' \t', { kind: 'nothing' }],
    ['//usr/bin', { kind: 'message', text: '/usr/bin' }],
    ['a /help', { kind: 'message', text: 'a /help' }],
    ['/help', { kind: 'command', name: 'help', argument: '' }],
    ['/system Be  brief.\nAnd kind.', { kind: 'command', name: 'system', argument: 'Be  brief.\nAnd kind.' }],
    ['/system', { kind: 'command', name: 'system', argument: '' }],
    ['/save a b.json ', { kind: 'command', name: 'save', argument: 'a b.json' }],
  ])('%j', (line, turn) => expect(readTurn(line)).toEqual(turn));

  test.each([
    ['/foo', 'there is no command /foo: /help lists all'],
    ['/', 'there is no command /'],
    ['/quit now', '/quit takes nothing after it'],
    ['/save', '/save needs the name of a new file'],
  ])('%j is refused', (line, message) => {
    expect(() => readTurn(line)).toThrow(UsageError);
    expect(() => readTurn(line)).toThrow(message);
  });
});

test('a conversation keeps its system message, and forgets its turns', () => {
  const conversation = new Conversation('S');
  conversation.add('Q', 'A');
  expect(conversation.asking('R').map(({ role, content }) => `${role} ${content}`)).toEqual([
    'system S',
    'user Q',
    'assistant A',
    'user R',
  ]);
  conversation.reset();
  expect(conversation.messages).toEqual([{ role: 'system', content: 'S' }]);
  conversation.setSystem('');
  expect(conversation.messages).toEqual([]);
});

test('lines of a pipe are turns, unless a backslash ends them', async () => {
  const input = new PassThrough();
  const reader = new LineReader(input);
  input.end('one\r\ntwo \\\nand more\n\nthree\\');
  const turns = [];
  for (;;) {
    const turn = await reader.next(never);
    if (turn === null) break;
    turns.push(turn);
  }
  expect(turns).toEqual(['one', 'two \nand more', '', 'three']);
});

test('waiting for a line ends with the signal', async () => {
  for (const reader of [new LineReader(new PassThrough()), terminal().reader]) {
    const controller = new AbortController();
    const next = reader.next(controller.signal);
    controller.abort(new Error('enough'));
    await expect(next).rejects.toThrow('enough');
    reader.close();
  }
});

/** Streams that look like a terminal to readline. */
function terminal() {
  const input = Object.assign(new PassThrough(), { isTTY: true, setRawMode: () => {} });
  const output = Object.assign(new PassThrough(), { isTTY: true, columns: 80 });
  let shown = '';
  output.on('data', (chunk) => {
    shown += chunk;
  });
  return { input, reader: new TerminalReader(input, output), shown: () => shown };
}

describe('in a terminal', () => {
  test.each([
    ['a line', 'one\r', 'one'],
    ['a backslash', 'one\\\rtwo\r', 'one\ntwo'],
    ['a pasted block', '\x1b[200~one\rtwo\r\x1b[201~ three\r', 'one\ntwo\n three'],
    ['a corrected line', 'onx\x7fe\r', 'one'],
    ['a line that Ctrl-C removed', 'one\x03two\r', 'two'],
    ['a turn that Ctrl-C removed', 'one\\\rtwo\x03three\r', 'three'],
    ['Ctrl-C at the empty prompt', '\x03', null],
    ['Ctrl-D', '\x04', null],
  ])('%s', async (_, typed, expected) => {
    const { input, reader, shown } = terminal();
    const next = reader.next(never);
    input.write(typed);
    expect(await next).toBe(expected);
    // Pasted blocks are marked while it reads, and only then.
    expect(shown().startsWith('\x1b[?2004h')).toBe(true);
    expect(shown().trimEnd().endsWith('\x1b[?2004l')).toBe(true);
  });

  test('what is typed ahead is not lost', async () => {
    const { input, reader } = terminal();
    const first = reader.next(never);
    input.write('one\rtwo\rthr');
    expect(await first).toBe('one');
    expect(await reader.next(never)).toBe('two');
    const third = reader.next(never);
    input.write('ee\r');
    expect(await third).toBe('three');
  });

  test('earlier turns come back', async () => {
    const { input, reader } = terminal();
    for (const turn of ['one', 'two']) {
      const next = reader.next(never);
      input.write(`${turn}\r`);
      expect(await next).toBe(turn);
    }
    const again = reader.next(never);
    input.write('\x1b[A\x1b[A\r');
    expect(await again).toBe('one');
  });

  test('the end of the input is the end', async () => {
    const { input, reader } = terminal();
    const next = reader.next(never);
    input.end();
    await once(input, 'end');
    expect(await next).toBeNull();
  });
});
