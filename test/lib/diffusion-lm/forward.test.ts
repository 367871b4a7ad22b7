import { load, sessionOf } from './nano-model';

jest.mock('../../../lib/runtime/binding');

describe('forward', () => {
  it('returns only logits by default', async () => {
    const model = await load();
    const output = await model.forward([5, 6, 7]);
    expect(Object.keys(output)).toEqual(['logits', 'shape']);
    expect(output.shape).toEqual([3, 264]);
    expect(sessionOf().requests[0]).toMatchObject({
      rows: null,
      logits: true,
      hidden: false,
      routing: false,
    });
  });

  it('splits the result by layer', async () => {
    const model = await load();
    const { hidden, routing, logits, shape } = await model.forward(Int32Array.of(5, 6, 7), {
      positions: [2, 0, 2],
      hidden: true,
      routing: true,
    });
    expect(shape).toEqual([3, 264]);
    expect([logits[0], logits[264], logits[2 * 264]]).toEqual([1002, 1000, 1002]);
    expect(hidden?.layers).toHaveLength(4);
    for (const [rows, base] of [
      [hidden?.embed, 2000],
      [hidden?.layers[1], 2200],
      [hidden?.finalNorm, 2500],
    ] as const) {
      expect(rows).toHaveLength(3 * 128);
      expect([rows?.[0], rows?.[128], rows?.[256]]).toEqual([base + 2, base, base + 2]);
    }
    expect(routing).toHaveLength(4);
    expect([...(routing?.[3]?.expertIds ?? [])]).toEqual([4302, 4302, 4300, 4300, 4302, 4302]);
    expect(routing?.[3]?.logits).toHaveLength(3 * 8);
    expect([...(routing?.[0]?.expertWeights ?? [])]).toEqual([5002, 5002, 5000, 5000, 5002, 5002]);
  });

  it('ends with the reason of its signal at once', async () => {
    const model = await load();
    sessionOf().beforeResult = () => new Promise(() => {});
    const controller = new AbortController();
    const pending = model.forward([1], { signal: controller.signal });
    controller.abort('enough');
    await expect(pending).rejects.toBe('enough');
    await expect(model.forward([1], { signal: controller.signal })).rejects.toBe('enough');
  });

  it.each<[unknown, object, ErrorConstructor, string]>([
    [[], {}, RangeError, 'tokens'],
    [undefined, {}, TypeError, 'undefined'],
    [[264], {}, RangeError, '264'],
    [new Array(257).fill(1), {}, RangeError, '257'],
    [[1], { positions: [] }, RangeError, 'positions'],
    [[1], { positions: [1] }, RangeError, 'positions[0] is 1'],
    [[1], { hidden: 1 }, TypeError, '1'],
    [[1], { routing: 'yes' }, TypeError, "'yes'"],
    [[1], { forcedExperts: Int32Array.of(1) }, RangeError, 'forcedExperts has 1'],
    [[1], { forcedExperts: new Int32Array(8).fill(8) }, RangeError, '8'],
    [[1], { signal: 1 }, TypeError, '1'],
  ])('%p with %p is refused', async (tokens, options, kind, quoted) => {
    const model = await load();
    await expect(model.forward(tokens as number[], options)).rejects.toThrow(kind);
    await expect(model.forward(tokens as number[], options)).rejects.toThrow(quoted);
  });
});

describe('forwardAll', () => {
  it('returns what forward returns for each canvas, from one call', async () => {
    const model = await load();
    const outputs = await model.forwardAll([
      { tokens: [5, 6, 7], positions: [2] },
      { tokens: [5], hidden: true },
    ]);
    const { requests } = sessionOf();
    expect(requests).toHaveLength(2);
    const alone = [
      await model.forward([5, 6, 7], { positions: [2] }),
      await model.forward([5], { hidden: true }),
    ];
    expect(outputs).toEqual(alone);
    expect(await model.forwardAll([])).toEqual([]);
    expect(sessionOf().requests).toHaveLength(4);
  });

  it('names the canvas with a wrong option', async () => {
    const model = await load();
    await expect(model.forwardAll([{ tokens: [1] }, { tokens: [1], signal: 1 } as never])).rejects.toThrow(
      "canvases[1] has no 'signal'",
    );
    await expect(model.forwardAll([{ tokens: [1] }], { hidden: true } as never)).rejects.toThrow(
      "options has no 'hidden'",
    );
  });
});
