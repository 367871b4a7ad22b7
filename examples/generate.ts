/** Asks one question: `npx tsx examples/generate.ts 'What is 47+38?'` */
import { DiffusionLM } from '../lib';

async function main(): Promise<void> {
  const model = await DiffusionLM.load(); // or DiffusionLM.load({ model: 'a checkpoint folder' })
  const { text, forwards, positions } = await model.generate(process.argv[2] ?? 'What is 47+38?', {
    schedule: { type: 'entropy-bounded', gamma: 0.1 },
  });
  console.log(text);
  console.log(`${positions.length} positions, ${forwards} forward passes`);
  await model.dispose();
}

main();
