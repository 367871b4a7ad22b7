/** Runs the server inside a program and queries it with OpenAI's client: `npx tsx examples/serve.ts` */
import OpenAI from 'openai';
import { DiffusionLM } from '../lib';
import { createServer } from '../lib/server'; // 'rnd1/server' outside this repository

async function main(): Promise<void> {
  const model = await DiffusionLM.load();
  const server = await createServer(model, { apiKeys: ['secret-key'] });
  const url = await server.listen({ port: 0 });
  const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: 'secret-key' });

  const { data } = await client.models.list();
  const name = data[0]?.id as string;
  console.log('serving', name);

  const chat = await client.chat.completions.create({
    model: name,
    messages: [{ role: 'user', content: 'What is 47+38?' }],
    max_tokens: 32,
  });
  console.log(chat.choices[0]?.message.content?.trim(), `(${chat.usage?.completion_tokens} tokens)`);

  // Text is streamed as soon as everything before it is final.
  const stream = await client.chat.completions.create({
    model: name,
    messages: [{ role: 'user', content: 'Sort q d x a m' }],
    max_tokens: 32,
    stream: true,
  });
  for await (const { choices } of stream) process.stdout.write(choices[0]?.delta.content ?? '');
  console.log();

  await server.close();
  await model.dispose();
}

main();
