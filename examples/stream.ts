/** Prints a text as it unmasks, step by step: `npx tsx examples/stream.ts` */
import { DiffusionLM } from '../lib';

async function main(): Promise<void> {
  const model = await DiffusionLM.load();
  const frames = model.denoise('Sort q d x a m', { steps: 6, stopAtEos: false });
  for await (const { step, steps, written, committed } of frames) {
    console.log(`${step}/${steps}  ${written.join('').padEnd(33)}  committed ${committed.length}`);
  }
  await model.dispose();
}

main();
