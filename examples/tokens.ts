/** The token-level API with a tokenizer of your own: `npx tsx examples/tokens.ts` */
import { DiffusionLM } from '../lib';

// The nano model's ids are the 256 bytes; 256 and above are special.
const encode = (text: string) => [...Buffer.from(text)];
const decode = (ids: Iterable<number>) => Buffer.from([...ids].filter((id) => id < 256)).toString();

async function main(): Promise<void> {
  const model = await DiffusionLM.load();

  const { tokens, positions } = await model.generateTokens({
    prefix: encode('Question: Reverse window\nAnswer:'),
    maxNewTokens: 32,
    steps: 16,
  });
  console.log('written:', decode(Array.from(positions, (position) => tokens[position] as number)));

  // Position i − 1 predicts position i, so the last one predicts what follows `wodni`.
  const { logits, shape } = await model.forward(encode('Question: Reverse window\nAnswer: wodni'));
  const [rows, vocabulary] = shape;
  const last = logits.subarray((rows - 1) * vocabulary);
  console.log('most probable next byte:', decode([last.indexOf(Math.max(...last))]));

  await model.dispose();
}

main();
