import { families } from '../../../lib/families';
import { Template } from '../../../lib/jinja';

const messages = [
  { role: 'system', content: 'S' },
  { role: 'user', content: 'U' },
  { role: 'assistant', content: 'A' },
  { role: 'user', content: 'V' },
];

function rendered(name: string, said: readonly object[]): string {
  const template = families.find((family) => family.name === name)?.chat?.template as string;
  return new Template(template).render({ messages: said, add_generation_prompt: true });
}

test.each([
  [
    'llada',
    '<|startoftext|><|start_header_id|>system<|end_header_id|>\n\nS<|eot_id|><|start_header_id|>user<|end_header_id|>\n\nU<|eot_id|>' +
      '<|start_header_id|>assistant<|end_header_id|>\n\nA<|eot_id|><|start_header_id|>user<|end_header_id|>\n\nV<|eot_id|>' +
      '<|start_header_id|>assistant<|end_header_id|>\n\n',
  ],
  [
    'llada-moe',
    '<role>SYSTEM</role>S<|role_end|><role>HUMAN</role>U<|role_end|><role>ASSISTANT</role>A<|role_end|>' +
      '<role>HUMAN</role>V<|role_end|><role>ASSISTANT</role>',
  ],
  [
    'dream',
    '<|im_start|>system\nS<|im_end|>\n<|im_start|>user\nU<|im_end|>\n<|im_start|>assistant\nA<|im_end|>\n' +
      '<|im_start|>user\nV<|im_end|>\n<|im_start|>assistant\n',
  ],
])('the turns of %s', (name, expected) => {
  expect(rendered(name, messages)).toBe(expected);
});

test('Dream has a system message of its own', () => {
  expect(rendered('dream', messages.slice(1, 2))).toBe(
    '<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n<|im_start|>user\nU<|im_end|>\n<|im_start|>assistant\n',
  );
});

test('every family but RND1 names the end of a turn', () => {
  const ends = families.map(({ name, chat }) => [name, chat?.endOfTurn]);
  expect(Object.fromEntries(ends)).toEqual({
    rnd1: undefined,
    llada: '<|eot_id|>',
    'llada-moe': '<|role_end|>',
    llada2: '<|role_end|>',
    dream: '<|im_end|>',
    qwen3: '<|im_end|>',
    'qwen3-moe': '<|im_end|>',
    'a2d-qwen3': '<|im_end|>',
    sdar: '<|im_end|>',
  });
});
