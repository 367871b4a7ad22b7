import { serveThread } from '../../worker/thread';
import type { GivenText } from './text-workers';
import { Tokenizer } from './tokenizer';

/** Location of the thread's tokenizer. */
export interface TokenizerPlace {
  readonly folder: string;
  readonly vocabulary: number | undefined;
}

/** Maximum number of ids that are sent back; no canvas has more. */
const idLimit = 2 ** 20;

serveThread(async ({ folder, vocabulary }: TokenizerPlace) => {
  const tokenizer = await Tokenizer.loadHere(folder, vocabulary);
  return {
    ready: null,
    answer(texts: readonly GivenText[]): Int32Array[] {
      let count = 0;
      return texts.map(({ text, continues }) => {
        const ids = tokenizer?.encode(text, { continues }) ?? new Int32Array();
        count += ids.length;
        if (count > idLimit) {
          throw new RangeError(
            `a text of more than ${idLimit} tokens: that is more than the model attends to`,
          );
        }
        return ids;
      });
    },
  };
});
