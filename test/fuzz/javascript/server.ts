import fc from 'fast-check';
import { DiffusionLM } from '../../../lib/index';
import { createServer } from '../../../lib/server';
import { mutatedText } from './mutations';
import { target } from './target';

/** A request that each route answers, with most of its fields. */
const requests = {
  '/v1/completions': {
    model: 'nano',
    prompt: 'Question: What is 1+1?\nAnswer:',
    max_tokens: 4,
    temperature: 0,
    top_p: 1,
    n: 1,
    stream: false,
    logprobs: 2,
    echo: false,
    stop: ['\n'],
    suffix: null,
    seed: 1,
    steps: 2,
    schedule: 'entropy',
  },
  '/v1/chat/completions': {
    model: 'nano',
    messages: [
      { role: 'system', content: 'Be brief.' },
      { role: 'user', content: [{ type: 'text', text: 'What is 1+1?' }] },
      { role: 'assistant', content: null, tool_calls: [] },
      { role: 'user', content: 'Sort b a', name: 'me' },
    ],
    max_completion_tokens: 4,
    stream: true,
    stream_options: { include_usage: true },
    logprobs: true,
    top_logprobs: 1,
    tools: [],
    response_format: { type: 'text' },
    logit_bias: {},
    metadata: {},
    steps: 2,
  },
  '/v1/denoise': {
    prefix: 'Question: What is 1+1?\nAnswer:',
    length: 4,
    steps: 2,
    schedule: { type: 'threshold', tau: 0.9 },
  },
} as const;

type Route = keyof typeof requests;

/** Whatever is posted gets an answer, or an error in OpenAI's shape that blames the client. */
export const bodies = target('bodies of requests', 300, async () => {
  const model = await DiffusionLM.load(undefined, { device: 'cpu', threads: 1 });
  const server = await createServer(model, { modelName: 'nano', page: false });
  const routes = Object.keys(requests) as Route[];
  return {
    inputs: fc.oneof(...routes.map((route) => mutatedText(requests[route]).map((body) => ({ route, body })))),
    async try({ route, body }) {
      const {
        statusCode,
        headers,
        body: answer,
      } = await server.app.inject({
        method: 'POST',
        url: route,
        headers: { 'content-type': 'application/json' },
        payload: body,
      });
      if (statusCode >= 500) throw new Error(`status ${statusCode}: ${answer.slice(0, 300)}`);
      if (statusCode === 200) {
        if (!/^(application\/json|text\/event-stream)/.test(String(headers['content-type'])))
          throw new Error(`an answer of type ${headers['content-type']}`);
        return;
      }
      const { error } = JSON.parse(answer) as {
        error?: { message?: unknown; type?: unknown; code?: unknown };
      };
      if (typeof error?.message !== 'string' || typeof error.type !== 'string' || error.code === undefined)
        throw new Error(`status ${statusCode} with ${answer.slice(0, 300)}`);
      if (error.message.length > 5000) throw new Error(`a message of ${error.message.length} characters`);
    },
    async close() {
      await server.close();
      await model.dispose();
    },
  };
});
