import { Template, TemplateError } from '../../../lib/jinja';

function failure(source: string): TemplateError {
  try {
    new Template(source).render({ a: {} });
  } catch (error) {
    if (error instanceof TemplateError) return error;
    throw error;
  }
  throw new Error(`${source.slice(0, 60)} is rendered`);
}

const nested =
  '{% set ns = namespace(x=[1]) %}{% for i in range(100) %}{% set ns.x = [ns.x, ns.x] %}{% endfor %}';
const deep = '{% set ns = namespace(x=1) %}{% for i in range(90000) %}{% set ns.x = [ns.x] %}{% endfor %}';

test.each([
  "{% set ns = namespace(x='a') %}{% for i in range(100) %}{% set ns.x = ns.x ~ ns.x %}{% endfor %}",
  "{{ 'a' * 10 ** 9 }}",
  '{{ [0] * 10 ** 9 }}',
  "{{ '%1000000000d' % 1 }}",
  "{{ '%*s' % (10 ** 9, 1) }}",
  "{{ '{:>1000000000}'.format(1) }}",
  "{{ '{:1000000000,}'.format(1) }}",
  "{{ 'a'|center(10 ** 9) }}",
  "{{ 'a'.ljust(10 ** 9) }}",
  "{{ 'a'.zfill(10 ** 9) }}",
  "{{ '\\t'.expandtabs(10 ** 9) }}",
  "{{ 'a\\nb'|indent(10 ** 9) }}",
  '{{ [1]|tojson(indent=10 ** 9) }}',
  "{{ range(100000)|join('a' * 100000) }}",
  "{{ ('a' * 100000).replace('a', 'b' * 100000) }}",
  "{{ ('a ' * 100000)|wordwrap(1, wrapstring='b' * 10000) }}",
  "{{ [1]|batch(10 ** 9, 'x')|list }}",
  '{{ [1]|slice(10 ** 9)|list }}',
  '{{ 2 ** 1000000 }}',
  '{% for i in range(20000) %}{% for j in range(20000) %}{% endfor %}{% endfor %}',
  "{% for i in range(90000) %}{% for j in range(90000) %}{{ 'a' * 1000 }}{% endfor %}{% endfor %}",
  '{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}',
  '{% macro f(n) %}{{ f(n) }}{{ f(n) }}{% endmacro %}{{ f(0) }}',
  '{% for x in [1] recursive %}{{ loop([1]) }}{% endfor %}',
  `${nested}{{ ns.x }}`,
  `${nested}{{ ns.x|tojson }}`,
  `${nested}{% set a = ns.x %}${nested}{{ ns.x == a }}`,
  `${deep}{{ ns.x }}`,
  `${deep}{{ ns.x|tojson }}`,
  "{% set s = 'a' * 4000000 %}{% for i in range(90000) %}{{ s.find('a' * 90000 ~ 'b') }}{% endfor %}",
  "{% set s = '😀' * 3000000 %}{% for i in range(90000) %}{{ s[i] }}{% endfor %}",
])('ends what takes too much: %s', (source) => {
  expect(failure(source)).toMatchObject({ kind: 'limit', line: 1 });
});

test('a range is as long as in Python’s sandbox', () => {
  expect(failure('{{ range(100001) }}').message).toContain('Range too big');
  expect(new Template('{{ range(100000)|length }}').render({})).toBe('100000');
});

test.each([
  ['(', '1', ')'],
  ['[', '', ']'],
  ['not ', '1', ''],
  ['-', '1', ''],
  ['', '1', ' + 1'],
  ['', 'a', '.a'],
  ['', '1', '|abs'],
  ['', 'a', '(1)'],
  ['{1: ', '1', '}'],
])('refuses sources that nest too deeply: %s%s%s', (before, middle, after) => {
  const source = `{{ ${before.repeat(20_000)}${middle}${after.repeat(20_000)} }}`;
  expect(failure(source)).toMatchObject({
    kind: 'syntax',
    message: expect.stringContaining('nests too deeply'),
  });
});

test('blocks nest no deeper', () => {
  const source = `${'{% if 1 %}'.repeat(5000)}${'{% endif %}'.repeat(5000)}`;
  expect(failure(source).message).toContain('nests too deeply');
});

test('nothing of JavaScript is within reach', () => {
  for (const name of [
    'constructor',
    '__proto__',
    'prototype',
    'toString',
    'hasOwnProperty',
    'call',
    'length',
  ]) {
    const source = `{{ a.${name} }}{{ a['${name}'] }}{{ [].${name} }}{{ ''.${name} }}{{ range.${name} }}{{ ${name} }}`;
    expect([name, new Template(source).render({ a: {} })]).toEqual([name, '']);
  }
  const variables = JSON.parse('{"a": {"__proto__": {"x": 1}}}') as Record<string, unknown>;
  expect(new Template("{{ a.x }}{{ a['__proto__'].x }}").render(variables)).toBe('1');
});

test('errors say the line and what they are', () => {
  expect(failure('a\n{% for %}')).toMatchObject({ kind: 'syntax', line: 2 });
  expect(failure('a\nb\n{{ 1 +\n none }}')).toMatchObject({ kind: 'render', line: 4 });
  expect(failure("\n{{ raise_exception('no') }}")).toMatchObject({ kind: 'raised', line: 2, message: 'no' });
  expect(failure("{% include 'x' %}").message).toContain('include is not supported');
});

test('large input may take longer', () => {
  const source = '{% for m in messages %}{{ m.content|trim|upper|lower }}{% endfor %}';
  const messages = Array.from({ length: 5000 }, () => ({ content: 'a'.repeat(1000) }));
  expect(new Template(source).render({ messages })).toHaveLength(5_000_000);
});
