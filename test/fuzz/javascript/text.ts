import fc from 'fast-check';
import { Tokenizer } from '../../../lib/index';
import { nanoFolder as nano } from '../../support/models';
import { target, unlessRefused } from './target';

const anyText = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 200 }),
  fc.string({ unit: 'grapheme', maxLength: 200 }),
  fc.string({
    unit: fc.constantFrom(' ', '\n', 'a', '<|mask|>', '<|endoftext|>', 'é', '👩‍🚀', '\ud83d', '\0'),
  }),
);

/** Text that becomes tokens becomes the same text again, but for halves of surrogate pairs. */
export const tokenizer = target('tokenizer', 400, async () => {
  const tokenizer = (await Tokenizer.load(nano)) as Tokenizer;
  return {
    inputs: anyText,
    async try(text) {
      const ids = await unlessRefused(() => tokenizer.encode(text));
      if (ids === null) return;
      const again = tokenizer.decode(ids, { skipSpecialTokens: false });
      const whole = Buffer.from(text, 'utf8').toString('utf8');
      if (again !== whole) throw new Error(`${JSON.stringify(whole)} came back as ${JSON.stringify(again)}`);
    },
  };
});
