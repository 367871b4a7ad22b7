import { type ChatMessage, type ChatOptions, DiffusionLM } from '../../lib';
import { temporaryFolder } from '../lib/checkpoint/files';
import type { Checkpoint } from '../support/families';
import { writeTwin } from '../support/instruct-twin';
import { device } from '../support/models';

/** What a turn answers, and the rows of its steps. */
async function turn(model: DiffusionLM, messages: readonly ChatMessage[], options: ChatOptions) {
  const rows: number[] = [];
  const remove = model.onStep((report) => rows.push(report.rows));
  const { text, tokens, positions } = await model.chat(messages, { stopAtEos: false, seed: 5, ...options });
  // Reports come on a later tick.
  await new Promise(setImmediate);
  remove();
  return { answer: { text, tokens: [...tokens] }, prompt: tokens.length - positions.length, rows };
}

test.each<[Checkpoint, number, ChatOptions]>([
  ['tiny-qwen3', 1, { maxNewTokens: 24 }],
  ['tiny-qwen3-moe', 1, { maxNewTokens: 24, temperature: 1 }],
  ['tiny-llada2', 32, { maxNewTokens: 64 }],
])('%s: turns of a conversation compute what is new', async (checkpoint, block, options) => {
  const model = await DiffusionLM.load(writeTwin(temporaryFolder(), { checkpoint }), {
    device,
    dtype: 'f32',
    threads: 2,
  });
  const messages: ChatMessage[] = [{ role: 'system', content: 'Be brief. '.repeat(9) }];
  let known = 0;
  for (const content of ['Hi', 'Why is the sky blue?', 'And the sea?', 'Thanks']) {
    messages.push({ role: 'user', content });
    const { answer, prompt, rows } = await turn(model, messages, options);
    const plain = await turn(model, messages, { ...options, cache: false });
    expect(answer).toEqual(plain.answer);
    // The prompt of the turn before is known, but for a block that was not full.
    expect(rows[0]).toBeLessThanOrEqual(prompt - known + 2 * block - 1);
    expect(plain.rows[0]).toBeGreaterThanOrEqual(prompt);
    known = prompt;
    messages.push({ role: 'assistant', content: answer.text });
  }
  await model.dispose();
});
