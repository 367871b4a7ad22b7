import { longestLine } from '../batch/json-lines';
import type { Answer } from '../batch/outcome';
import type { DiffusionLM } from '../index';
import type { TemplateOption } from './input';
import { loadModel } from './loading';
import type { ModelFlags } from './options';

/** Flags of commands that answer lines with a model of their own. */
export interface LineServerFlags extends ModelFlags {
  readonly name?: string;
  readonly maxRunning: number;
  readonly maxRowsPerStep?: number;
  readonly maxCanvasTokens?: number;
  readonly promptTimeout?: number;
  readonly quiet?: boolean;
  readonly verbose?: boolean;
}

/** Loads the model and gives `work` what answers a line: the routes of a server that does not listen. */
export async function withLineServer(
  flags: LineServerFlags,
  chatTemplate: TemplateOption,
  signal: AbortSignal,
  work: (answer: Answer, model: DiffusionLM) => Promise<void>,
): Promise<void> {
  const model: DiffusionLM = await loadModel(flags, signal);
  try {
    // Loaded here, so that other commands start without the HTTP dependencies.
    const { createServer } = require('../server') as typeof import('../server');
    const { lineAnswers } = require('../server/batch-lines') as typeof import('../server/batch-lines');
    const { name, maxRunning, maxCanvasTokens } = flags;
    const server = await createServer(model, {
      modelName: name,
      chatTemplate,
      page: false,
      maxRunning,
      // Lines of a chunk may be more than run at the same time.
      maxQueued: 16 * maxRunning,
      // There is one client.
      maxPerClient: 17 * maxRunning,
      maxBodyBytes: longestLine,
      maxCanvasTokens,
      shutdownTimeout: 0,
    });
    try {
      await work(lineAnswers(server.app, ''), model);
    } finally {
      await server.close();
    }
  } finally {
    await model.dispose();
  }
}
