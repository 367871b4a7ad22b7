import { load, native, writes } from '../diffusion-lm/nano-model';

jest.mock('../../../lib/runtime/binding');

/** All parts of a stream, and its return value. */
async function collect<T, R>(stream: AsyncGenerator<T, R, void>): Promise<{ parts: T[]; result: R }> {
  const parts: T[] = [];
  for (;;) {
    const next = await stream.next();
    if (next.done) return { parts, result: next.value };
    parts.push(next.value);
  }
}

const wrapped = (prompt: string) => `Question: ${prompt}\nAnswer:`;
const slowly = { maxNewTokens: 24, steps: 23, schedule: 'confidence' } as const;

describe('stream', () => {
  it('gives the answer of generate in parts, without the white space around it', async () => {
    native.model = writes('  one  two \n', wrapped('x').length);
    const model = await load();
    const { parts, result } = await collect(model.stream('x', slowly));
    expect(parts.join('')).toBe('one  two');
    expect(parts.length).toBeGreaterThan(3);
    // White space may be trailing and is then trimmed, so it is only yielded with the text after it.
    for (const part of parts) expect(part).toBe(part.trimEnd());
    expect(result.text).toBe('one  two');
    expect(result.written).toEqual(['  one  two \n']);
    const alone = await model.generate('x', { ...slowly, seed: result.seed });
    expect({ ...result }).toEqual({ ...alone });
  });

  it('keeps a completion as it is', async () => {
    native.model = writes(' to be ', 1);
    const model = await load();
    const { parts } = await collect(model.stream('x', { ...slowly, mode: 'completion' }));
    expect(parts.join('')).toBe(' to be ');
    expect(parts[0]).toBe(' ');
  });

  it('waits for the last byte of a character', async () => {
    native.model = writes('a€🙂b', 1);
    const model = await load();
    const { parts } = await collect(model.stream('x', { ...slowly, mode: 'completion' }));
    expect(parts).toEqual(['a', '€', '🙂', 'b']);
  });

  it('yields nothing after a masked position', async () => {
    // Confidence grows with the position, so the first position, and with it the first part, comes last.
    const text = 'abcdef';
    native.model = (tokens) => {
      const logits = writes(text, 1)(tokens);
      for (let position = 1; position <= text.length; position++) {
        logits[(position - 1) * 264 + (text.charCodeAt(position - 1) as number)] = 20 + position;
      }
      return logits;
    };
    const model = await load();
    const options = { mode: 'completion', maxNewTokens: 7, steps: 6, schedule: 'confidence' } as const;
    const { parts } = await collect(model.stream('x', options));
    expect(parts).toEqual([text]);
  });

  it('continues to the last position with stopAtEos: false, and yields the same text', async () => {
    native.model = writes('one', 1);
    const model = await load();
    const options = { ...slowly, mode: 'completion', stopAtEos: false } as const;
    const { parts, result } = await collect(model.stream('x', options));
    expect(parts).toEqual(['o', 'n', 'e']);
    expect(result.finishReason).toBe('length');
  });

  it('ends with the signal, and computes nothing more once it is left', async () => {
    native.model = writes('one two three', 1);
    const model = await load();
    const options = { ...slowly, mode: 'completion' } as const;
    const controller = new AbortController();
    const aborted = model.stream('x', { ...options, signal: controller.signal });
    expect((await aborted.next()).value).toBe('o');
    const reason = new Error('enough');
    controller.abort(reason);
    await expect(aborted.next()).rejects.toBe(reason);

    const left = model.stream('x', options);
    await left.next();
    const steps = native.sessions[0]?.batches.length;
    expect(await left.return(undefined as never)).toEqual({ done: true, value: undefined });
    expect(await left.next()).toEqual({ done: true, value: undefined });
    expect(native.sessions[0]?.batches).toHaveLength(steps as number);
  });

  it('reports wrong arguments with the first part', async () => {
    const model = await load();
    const wrong = model.stream('x', { stepz: 1 } as object);
    await expect(wrong.next()).rejects.toThrow("did you mean 'steps'?");
  });
});
