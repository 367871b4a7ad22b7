/** Loads a model in each of two worker threads, which share the mapped weights: `node examples/workers.mjs` */
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { DiffusionLM } from 'rnd1';

async function main() {
  const questions = [
    ['What is 47+38?', 'Reverse lantern'],
    ['Sort z k m q', 'What is 9+8?'],
  ];
  const answers = await Promise.all(
    questions.map(async (some) => {
      const worker = new Worker(fileURLToPath(import.meta.url), { workerData: some });
      const [message] = await once(worker, 'message'); // rejects when the thread fails
      return message;
    }),
  );
  for (const line of answers.flat()) console.log(line);
}

/** Runs in each worker. `threads: 1`, since by default each model would use all cores. */
async function answer(questions) {
  const model = await DiffusionLM.load({ threads: 1 });
  const results = await Promise.all(questions.map((question) => model.generate(question)));
  parentPort.postMessage(results.map(({ text }, i) => `${questions[i]} → ${text}`));
  await model.dispose();
}

await (isMainThread ? main() : answer(workerData));
