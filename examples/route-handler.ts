/**
 * A route handler of the kind that Next.js and others take: a standard Request in, a Response out that streams.
 * In Next.js: this file without `main` as app/api/denoise/route.ts, and `serverExternalPackages: ['rnd1']` in
 * next.config.js. Here, `npx tsx examples/route-handler.ts` plays the server.
 */
import { RND1, toJSON } from '../lib';

/** Native code needs Node.js; Next.js asks. */
export const runtime = 'nodejs';

// Once per process: requests share the model, and its steps.
let loading: Promise<RND1> | undefined;
const loadModel = () => {
  loading ??= RND1.load();
  return loading;
};

/** `{ "prompt": "…" }` → a line of JSON for each step: what is written so far, and at last the result. */
export async function POST(request: Request): Promise<Response> {
  const { prompt } = (await request.json().catch(() => ({}))) as { prompt?: unknown };
  if (typeof prompt !== 'string') return Response.json({ error: 'prompt must be a string' }, { status: 400 });

  const model = await loadModel();
  // A client that goes away stops costing with the next step.
  const frames = model.denoise(prompt, { steps: 16, signal: request.signal });
  const encoder = new TextEncoder();
  const body = new ReadableStream<Uint8Array>({
    // Called when the client has room for more, so a slow one slows its own canvas and nothing piles up.
    async pull(controller) {
      try {
        const { done, value } = await frames.next();
        const line = done ? { result: toJSON(value) } : { step: value.step, written: value.written[0] };
        controller.enqueue(encoder.encode(`${JSON.stringify(line)}\n`));
        if (done) controller.close();
      } catch (error) {
        controller.error(error);
      }
    },
    async cancel() {
      await frames.return(undefined as never);
    },
  });
  return new Response(body, { headers: { 'content-type': 'application/x-ndjson' } });
}

async function main(): Promise<void> {
  const request = new Request('http://localhost/api/denoise', {
    method: 'POST',
    body: JSON.stringify({ prompt: 'Reverse lantern' }),
  });
  const { body } = await POST(request);
  for await (const text of (body as ReadableStream<Uint8Array>).pipeThrough(new TextDecoderStream()))
    process.stdout.write(text);
  await (await loadModel()).dispose();
}

if (require.main === module) main();
