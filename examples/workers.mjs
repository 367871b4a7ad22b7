/** A model in each of two worker threads; they share the mapped weights: `node examples/workers.mjs` */
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { RND1 } from 'rnd1';

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

/** What a thread does. One thread of compute for each model: by default, each would take all processors. */
async function answer(questions) {
  const model = await RND1.load({ threads: 1 });
  const results = await Promise.all(questions.map((question) => model.generate(question)));
  parentPort.postMessage(results.map(({ text }, i) => `${questions[i]} → ${text}`));
  await model.dispose();
}

await (isMainThread ? main() : answer(workerData));
