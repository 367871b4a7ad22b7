import fc from 'fast-check';

type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

/** Values that parsers and checks stumble over. */
export const awkward: fc.Arbitrary<Json> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.constantFrom<Json>(null, true, false, '', 0, -1, 1, [], {}, '0', 'null', [null]),
  },
  {
    weight: 3,
    arbitrary: fc.constantFrom<Json>(
      ...[1e308, 5e-324, 0.5, 2 ** 31, 2 ** 32, 2 ** 53, -(2 ** 63), 1e20],
      ...['\u0000', '\u001b[2J', '\ud800', '\u202e', '�', 'ﷺ'.repeat(200), 'a'.repeat(5000)],
      ...['__proto__', 'constructor', 'toString', '../../etc/passwd', '(a+)+$', '{% for %}', '{{ x }}'],
    ),
  },
  { weight: 2, arbitrary: fc.integer() },
  { weight: 2, arbitrary: fc.string({ unit: 'grapheme', maxLength: 20 }) },
  { weight: 1, arbitrary: fc.jsonValue({ maxDepth: 4 }) as fc.Arbitrary<Json> },
  { weight: 1, arbitrary: fc.integer({ min: 1, max: 3000 }).map(nested) },
);

function nested(depth: number): Json {
  let value: Json = 0;
  for (let i = 0; i < depth; i++) value = i % 2 ? [value] : { a: value };
  return value;
}

/** `value` with a few of its parts replaced, left out, doubled or moved. */
export function mutated(value: unknown): fc.Arbitrary<Json> {
  const change = fc.record({
    where: fc.nat(),
    how: fc.constantFrom('replace', 'replace', 'replace', 'remove', 'add', 'double', 'copy'),
    value: awkward,
    other: fc.nat(),
  });
  return fc.array(change, { minLength: 1, maxLength: 4 }).map((changes) => {
    let root = structuredClone(value) as Json;
    for (const { where, how, value: fresh, other } of changes) {
      const paths = pathsOf(root);
      const path = paths[where % paths.length] as readonly string[];
      root = changed(root, path, (old) => {
        if (how === 'replace') return fresh;
        if (how === 'remove') return undefined;
        if (how === 'copy') return valueAt(root, paths[other % paths.length] as readonly string[]);
        if (Array.isArray(old)) return how === 'double' ? [...old, ...old] : [...old, fresh];
        if (typeof old === 'object' && old !== null) {
          // A key of another object, as Python would take it: an own property, even `__proto__`.
          const copy = { ...old };
          const key = typeof fresh === 'string' ? fresh : 'extra';
          Object.defineProperty(copy, key, {
            value: fresh,
            enumerable: true,
            configurable: true,
            writable: true,
          });
          return copy;
        }
        return typeof old === 'string' ? old + old : fresh;
      });
    }
    return root;
  });
}

/** The text of `value`, mutated as JSON and now and then as text. */
export function mutatedText(value: unknown): fc.Arbitrary<string> {
  const text = mutated(value).map((json) => JSON.stringify(json) ?? '');
  const cut = fc.tuple(text, fc.nat(), fc.nat(), fc.oneof(fc.constant(''), fc.string({ maxLength: 6 })));
  return fc.oneof(
    { weight: 3, arbitrary: text },
    {
      weight: 1,
      arbitrary: cut.map(([text, at, length, put]) => {
        const start = at % (text.length + 1);
        return text.slice(0, start) + put + text.slice(start + (length % 30));
      }),
    },
  );
}

function pathsOf(value: Json, path: readonly string[] = []): (readonly string[])[] {
  if (typeof value !== 'object' || value === null || path.length > 50) return [path];
  return [path, ...Object.entries(value).flatMap(([key, inner]) => pathsOf(inner, [...path, key]))];
}

function valueAt(value: Json, path: readonly string[]): Json {
  return path.reduce<Json>((inner, key) => (inner as Record<string, Json>)[key] as Json, value);
}

function changed(
  value: Json,
  [key, ...rest]: readonly string[],
  change: (old: Json) => Json | undefined,
): Json {
  if (key === undefined) return change(value) ?? null;
  if (Array.isArray(value)) {
    return value.flatMap((inner, i) => {
      if (String(i) !== key) return [inner];
      if (rest.length > 0) return [changed(inner, rest, change)];
      const fresh = change(inner);
      return fresh === undefined ? [] : [fresh];
    });
  }
  const copy = { ...(value as Record<string, Json>) };
  const fresh = rest.length > 0 ? changed(copy[key] as Json, rest, change) : change(copy[key] as Json);
  if (fresh === undefined) delete copy[key];
  else copy[key] = fresh;
  return copy;
}
