import fc from 'fast-check';
import { Template, TemplateError } from '../../../lib/jinja';
import { target } from './target';

const value = fc.constantFrom(
  ...[
    'messages',
    'x',
    'none',
    'true',
    '1',
    '-3',
    '2.5',
    "'text'",
    '[1, "a", none]',
    '{"a": [1]}',
    'undefined',
  ],
  ...['messages[0].content', 'messages[-1]["role"]', 'loop.index', 'namespace(a=1)', 'range(9)', 'dict(a=1)'],
  ...[
    "'a' * 999999999",
    'range(99999999)',
    'x.constructor',
    'x.__proto__',
    '"%999999999d" % 1',
    '10 ** 9999',
  ],
);
const suffix = fc.constantFrom(
  ...['|length', '|trim', '|upper', "|join(',')", '|list', '|tojson', '|tojson(indent=4)', '|default("d")'],
  ...['|first', '|last', '|sort', '|int', '|string', '|replace("a", "bb")', '|batch(3)', '|center(99999999)'],
  ...['.strip("x")', '.split(" ")', '.items()', '.get("a")', '[1:]', '[::-1]', ' is defined', ' is none'],
  ...[' + 1', ' ~ "b"', ' * 3', ' in x', ' == 1', ' if x else 2', '|map(attribute="role")', '.format(1, 2)'],
);
const expression = fc
  .tuple(value, fc.array(suffix, { maxLength: 4 }))
  .map(([head, rest]) => head + rest.join(''));
const open = fc.constantFrom('{%', '{%-', '{%+');
const shut = fc.constantFrom('%}', '-%}');

/** Templates that may parse: statements, expressions and texts in any order. */
const { source } = fc.letrec<{ source: string; part: string }>((tie) => ({
  source: fc.array(tie('part'), { maxLength: 5 }).map((parts) => parts.join('')),
  part: fc.oneof(
    { depthSize: 'small' },
    fc.string({ unit: fc.constantFrom('a', ' ', '\n', '{', '%', '}', '#', '{{', '%}'), maxLength: 8 }),
    expression.map((inner) => `{{ ${inner} }}`),
    fc.tuple(open, shut, expression).map(([a, b, inner]) => `${a} set x = ${inner} ${b}`),
    fc
      .tuple(open, shut, expression, tie('source'))
      .map(([a, b, inner, body]) => `${a} if ${inner} ${b}${body}${a} else ${b}${body}{% endif %}`),
    fc
      .tuple(open, shut, expression, tie('source'))
      .map(([a, b, inner, body]) => `${a} for x in ${inner} ${b}${body}${a} endfor ${b}`),
    tie('source').map((body) => `{% macro m(x, y=1) %}${body}{% endmacro %}{{ m(x) }}{{ m(1, y=2) }}`),
    tie('source').map((body) => `{% filter upper %}${body}{% endfilter %}{% raw %}${body}{% endraw %}`),
    fc.constantFrom('{# note #}', '{% break %}', '{{ raise_exception("no") }}', '{% include "x" %}', '{{'),
  ),
}));

/** A template is text or a TemplateError, soon and not much larger than it may be. */
export const templates = target('chat templates', 500, async () => ({
  inputs: source,
  try(text) {
    const messages = [
      { role: 'user', content: 'Hello {{ x }}' },
      { role: 'assistant', content: 'ä\u0000 %s', tool_calls: [] },
    ];
    const start = performance.now();
    try {
      const rendered = new Template(text).render({ messages, x: [3, 1, 2], add_generation_prompt: true });
      if (rendered.length > 2 ** 24) throw new Error(`${rendered.length} characters`);
    } catch (error) {
      if (!(error instanceof TemplateError)) throw error;
    }
    const seconds = (performance.now() - start) / 1000;
    if (seconds > 20) throw new Error(`${seconds} s`);
  },
}));
