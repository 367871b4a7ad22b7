/**
 * A route handler for Next.js and similar frameworks: takes a standard Request and returns a streaming Response.
 * In Next.js: use this file without `main` as app/api/denoise/route.ts, and set `serverExternalPackages: ['rnd1']` in
 * next.config.js. Here, `npx tsx examples/route-handler.ts` calls the handler itself.
 */
import { DiffusionLM, toJSON } from '../lib';

/** Tells Next.js to run this in Node.js, which native code needs. */
export const runtime = 'nodejs';

// Loaded once per process: requests share the model and its steps.
let loading: Promise<DiffusionLM> | undefined;
const loadModel = () => {
  loading ??= DiffusionLM.load();
  return loading;
};

/** `{ "prompt": "…" }` → a line of JSON per step with the text so far, and a last line with the result. */
export async function POST(request: Request): Promise<Response> {
  const { prompt } = (await request.json().catch(() => ({}))) as { prompt?: unknown };
  if (typeof prompt !== 'string') return Response.json({ error: 'prompt must be a string' }, { status: 400 });

  const model = await loadModel();
  // When the client disconnects, the work stops before the next step.
  const frames = model.denoise(prompt, { steps: 16, signal: request.signal });
  const encoder = new TextEncoder();
  const body = new ReadableStream<Uint8Array>({
    // Backpressure: called when the client can take more, so a slow client slows only its own canvas.
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
