/** Fills the middle of a text, and several holes at once: `npx tsx examples/infill.ts` */
import { DiffusionLM } from '../lib';

async function main(): Promise<void> {
  const model = await DiffusionLM.load();

  // Completes the word: the model attends to both sides.
  const between = await model.infill({
    prefix: 'Question: Reverse mo',
    suffix: 'n\nAnswer: noom',
    length: 1,
  });
  console.log(between.text);

  // Several holes, filled together.
  const holes = await model.fill('Question: Reverse di_mo_d\nAnswer: dnomaid', {
    hole: '_',
    tokensPerHole: 1,
  });
  console.log(holes.text);
  console.log('written:', holes.written);

  await model.dispose();
}

main();
