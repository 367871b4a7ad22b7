import { failure } from './files';
import { read } from './tiny-config';

describe('generation_config.json', () => {
  test('wins over config.json, and null or absence leaves it to config.json', async () => {
    const config = { bos_token_id: 1, num_diffusion_steps: 64 };
    const wins = await read(config, {
      mask_token_id: 8,
      eos_token_id: 9,
      pad_token_id: 10,
      bos_token_id: 11,
      num_diffusion_steps: 12,
      max_new_tokens: 13,
      task_template: 'Q: {prompt}\nA:',
    });
    expect(wins.tokens).toEqual({ maskTokenId: 8, eosTokenIds: [9], padTokenId: 10, bosTokenId: 11 });
    expect(wins.generation).toEqual({ steps: 12, maxNewTokens: 13, taskTemplate: 'Q: {prompt}\nA:' });
    const leaves = await read(config, { eos_token_id: null, bos_token_id: null, num_diffusion_steps: null });
    expect(leaves.tokens).toEqual({ maskTokenId: 7, eosTokenIds: [5], padTokenId: 3, bosTokenId: 1 });
    expect(leaves.generation).toEqual({ steps: 64 });
  });

  test('may be absent', async () => {
    const { tokens, generation, rawGeneration } = await read({
      num_diffusion_steps: undefined,
      eos_token_id: null,
    });
    expect(tokens).toEqual({ maskTokenId: 7, eosTokenIds: [], padTokenId: 3, bosTokenId: null });
    expect(generation).toEqual({ steps: 256 });
    expect(rawGeneration).toEqual({});
  });

  test('takes 0 as an id like any other', async () => {
    const { tokens } = await read({}, { eos_token_id: 0, pad_token_id: 0, bos_token_id: 0 });
    expect(tokens).toEqual({ maskTokenId: 7, eosTokenIds: [0], padTokenId: 0, bosTokenId: 0 });
    expect((await read({}, { mask_token_id: 0 })).tokens.maskTokenId).toBe(0);
  });

  test('takes a list of ends of text, each once', async () => {
    expect((await read({}, { eos_token_id: [9, 5, 9] })).tokens.eosTokenIds).toEqual([9, 5]);
    expect((await read({}, { eos_token_id: [] })).tokens.eosTokenIds).toEqual([]);
  });

  test.each([
    ['mask_token_id', 512, 'mask_token_id must be a token id below vocab_size 512, not 512'],
    ['eos_token_id', [5, -1], 'eos_token_id must be'],
    ['max_new_tokens', 0, 'max_new_tokens must be a positive integer'],
    ['num_diffusion_steps', 1.5, 'num_diffusion_steps must be a positive integer'],
    ['task_template', 'Question:', 'task_template must be a string that contains {prompt}'],
    [
      'task_template',
      '{prompt}'.repeat(17),
      'task_template must be a string that contains {prompt} at most 16 times',
    ],
    ['task_template', 5, 'task_template must be a string'],
  ])('with %s %p is refused by name', async (key, value, problem) => {
    const message = await failure(() => read({}, { [key]: value }), 'invalid_checkpoint');
    expect(message).toContain('generation_config.json');
    expect(message).toContain(problem);
  });

  test('that is malformed is refused', async () => {
    const message = await failure(() => read({}, '{,}'), 'invalid_checkpoint');
    expect(message).toContain('generation_config.json is not valid JSON');
  });
});
