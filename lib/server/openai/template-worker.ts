import { lossText } from '../../checkpoint/tokenizer/text-workers';
import type { DiffusionLM } from '../../diffusion-lm';
import { RND1Error, type RND1ErrorCode } from '../../support/errors';
import { Lane, type LossReason, ThreadFailed, ThreadLost } from '../../worker/lane';
import { threadFile } from '../../worker/thread-file';
import { ApiError } from '../errors';
import type { ServerSettings } from '../options';
import type { ChatTemplate } from './chat-template';

/** Seconds for reading and parsing a template. */
const startLimit = 10;
const heapMegabytes = 512;

/** The chat template in a worker thread: a checkpoint's template may take any amount of time and memory. */
export interface TemplateWorker extends Pick<ChatTemplate, 'kind'> {
  /** Requests whose messages wait to be rendered. */
  readonly pending: number;
  /** @throws ApiError `chat_template_failed`, also beyond the limits of time and memory */
  render(args: Parameters<ChatTemplate['render']>, signal: AbortSignal): Promise<string>;
  close(): void;
}

/**
 * Starts the thread, and reads the template there.
 *
 * @throws as `readChatTemplate`
 */
export async function openTemplateWorker(
  model: DiffusionLM,
  { chatTemplate }: Pick<ServerSettings, 'chatTemplate'>,
  onLost: (reason: LossReason) => void,
): Promise<TemplateWorker> {
  const { folder } = model.info;
  const { limit } = model.textWorkers;
  const data = { folder, taskTemplate: model.config.generation.taskTemplate, chatTemplate };
  const file = threadFile('server/openai/template-thread');
  if (file === null) {
    throw new RND1Error(
      'unsupported_model',
      'the files of its worker threads are missing: install rnd1 of the same version beside the bundle, or keep it external',
    );
  }
  const lane: Lane<ChatTemplate['kind'], Parameters<ChatTemplate['render']>, string> = new Lane({
    file,
    data,
    startLimit,
    limit,
    heapMegabytes,
    onLost,
  });
  const kind = await lane.start().catch((error: unknown) => {
    lane.close(new Error('closed'));
    if (error instanceof ThreadLost) {
      const message = `${folder}: reading its chat template ${lossText(error.reason, startLimit, heapMegabytes)}`;
      throw new RND1Error('invalid_checkpoint', message, { cause: error });
    }
    throw rebuilt(error);
  });
  return {
    kind,
    get pending() {
      return lane.pending;
    },
    render: (args, signal) =>
      lane.ask(args, signal).catch((error: unknown) => {
        if (!(error instanceof ThreadLost)) throw rebuilt(error);
        const told = lossText(error.reason, error.starting ? startLimit : limit, heapMegabytes);
        throw failed(`the chat template ${told}`, error);
      }),
    close: () => lane.close(new ApiError(503, 'shutting_down', 'the server is shutting down')),
  };
}

function failed(message: string, cause: unknown): ApiError {
  return new ApiError(400, 'chat_template_failed', message, { param: 'messages', cause });
}

/** Recreates an error of the worker thread in this thread. */
function rebuilt(error: unknown): unknown {
  if (!(error instanceof ThreadFailed)) return error;
  const { name, message, code, status, param } = error.told;
  if (name === 'ApiError') {
    return new ApiError(status ?? 500, code ?? 'internal_error', message, { param, cause: error });
  }
  if (name === 'RND1Error') return new RND1Error(code as RND1ErrorCode, message, { cause: error });
  if (name === 'TypeError') return new TypeError(message, { cause: error });
  return failed(`the chat template refuses the messages: ${message}`, error);
}
