import { inspect } from 'node:util';
import { Secrets } from '../../../lib/hub/redaction';
import { HostileHub } from './hostile-hub';
import { download, nano, rejection, repo, Workbench } from './workbench';

const bench = new Workbench();
const hostile = new HostileHub();
const token = 'hf_SecretOfTheTests0123456789';
const json = { 'content-type': 'application/json' };

/** Expects neither the token nor most of it in an error, however it is printed. */
async function expectSilence(): Promise<void> {
  const error = await rejection(download({ token }, { attempts: 1 }));
  expect(error).toMatchObject({ name: 'RND1Error' });
  const told = [inspect(error, { depth: 20, showHidden: true, maxStringLength: null })];
  for (let cause: unknown = error; cause instanceof Object; cause = (cause as Error).cause) {
    told.push(String((cause as Error).stack), (cause as Error).message, JSON.stringify(cause));
  }
  expect(told.join('\n').toLowerCase()).not.toContain('hf_secretof');
  expect(told.join('\n')).not.toContain(Buffer.from(token).toString('base64'));
}

describe('a token that the hub sends back is not quoted', () => {
  test.each([400, 401, 403, 404, 409, 429, 500])('from an error of status %i', async (status) => {
    hostile.answer = ({ headers }, response) => {
      const error = `you sent ${headers.authorization}`;
      response.writeHead(status, { ...json, 'x-request-id': token }).end(JSON.stringify({ error }));
    };
    await expectSilence();
    hostile.answer = ({ headers }, response) => {
      response.writeHead(status, { 'x-error-message': `you sent ${headers.authorization}`.repeat(20) }).end();
    };
    await expectSilence();
  });

  test.each([
    ['what is no JSON', () => `{ you sent ${token}`],
    ['what is no commit', () => JSON.stringify({ id: repo, sha: token })],
    [
      'what is cut when it is quoted',
      () => JSON.stringify({ id: repo, sha: 'x'.repeat(60) + token.repeat(5) }),
    ],
    ['another form', () => JSON.stringify({ id: repo, sha: Buffer.from(token).toString('base64') })],
  ])('from %s', async (_, body) => {
    hostile.answer = (_, response) => {
      response.writeHead(200, json).end(body());
    };
    await expectSilence();
  });

  test('from what is no HTTP', async () => {
    hostile.answer = (_, response) => {
      response.socket?.end(`HTTP/1.1 200 OK\r\nx y z: ${token}\r\n\r\n`);
    };
    await expectSilence();
  });

  test.each([`http://${token}.invalid/`, `http://127.0.0.1:2/${token}`, `http://127.0.0.1:2/?t=${token}`])(
    'from a redirect to %s',
    async (location) => {
      hostile.answer = (_, response) => {
        response.writeHead(302, { location }).end();
      };
      await expectSilence();
    },
  );

  test('from a file of the model', async () => {
    process.env.HF_ENDPOINT = bench.hub.url;
    for (const content of [`{"model_type": "${token}"}`, `{"${token}": 1, "${token}": 2}`]) {
      bench.hub.add(repo, { ...nano, 'config.json': Buffer.from(content) });
      await expectSilence();
    }
  });

  test('from a list', async () => {
    process.env.HF_ENDPOINT = bench.hub.url;
    bench.hub.editList = (entries) => entries.map((entry) => ({ ...entry, oid: token, lfs: undefined }));
    await expectSilence();
  });

  test('from a warning', async () => {
    process.env.HF_ENDPOINT = bench.hub.url;
    await download();
    process.env.HF_ENDPOINT = hostile.url;
    hostile.answer = ({ headers }, response) => {
      response.writeHead(500, json).end(JSON.stringify({ error: `\x1b[31m${headers.authorization}` }));
    };
    const warn = jest.spyOn(process, 'emitWarning').mockImplementation(() => {});
    await download({ token });
    const [[message]] = warn.mock.calls as unknown as [[string]];
    warn.mockRestore();
    expect(message).toContain('answers 500: ␛[31mBearer ***');
  });
});

describe('Secrets', () => {
  const secrets = new Secrets([token, 'pass word']);

  test.each([
    [`a ${token} b ${token}`, 'a *** b ***'],
    [token.toUpperCase(), '***'],
    [`cut ${token.slice(0, 12)}… off`, 'cut ***… off'],
    [`its end ${token.slice(5)}, its middle ${token.slice(8, 18)}.`, 'its end ***, its middle ***.'],
    [Buffer.from(`a${token}`).toString('hex'), '61***'],
    ['pass%20word', '***'],
    ['https://user:word@host/path', 'https://***@host/path'],
    ['see http://host/a?sig=1&key=2, ok', 'see http://host/a?*** ok'],
    ['"https://host/a?b"', '"https://host/a?***"'],
    ['İ hf_secretOfTheTests0123456789', 'İ ***'],
    ['plain text: 1/2? yes@no', 'plain text: 1/2? yes@no'],
  ])('%s', (text, clean) => {
    expect(secrets.text(text)).toBe(clean);
  });

  test.each(['', 'x', 'xy', 'Bearer ', 'a:'])('in Base64 behind %p', (before) => {
    for (const encoding of ['base64', 'base64url'] as const) {
      const text = secrets.text(Buffer.from(`${before}${token}`).toString(encoding));
      expect(text).toMatch(/^.{0,12}\*\*\*.{0,3}$/);
    }
  });

  test('leaves errors what they are, and drops what they carry', () => {
    const inner = Object.assign(new Error(token), { code: 'E', socket: { token }, list: [token, 1] });
    const outer = new TypeError('x', { cause: inner });
    Object.assign(inner, { cause: outer });
    expect(secrets.error(outer)).toBe(outer);
    expect(outer).toBeInstanceOf(TypeError);
    expect(inner).toMatchObject({ message: '***', code: 'E', socket: undefined, list: ['***', 1] });
    expect(secrets.error(7)).toBe(7);
  });

  test('short ones are not looked for everywhere', () => {
    expect(new Secrets(['a', '']).text('banana')).toBe('banana');
  });
});
