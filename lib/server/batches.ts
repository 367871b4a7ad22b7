import type { FastifyInstance } from 'fastify';
import { withAttempts } from '../batch/attempts';
import { BatchFolder } from '../batch/folder';
import { BatchRunner } from '../batch/runner';
import { lineAnswers } from './batch-lines';
import type { Context } from './context';
import { addBatches } from './openai/batches';
import { addFiles } from './openai/files';
import type { ServerSettings } from './options';

/** Bytes of a line besides its body. */
const envelope = 2 ** 16;
const day = 24 * 60 * 60;
/** Milliseconds between two removals of old files. */
const cleaning = 60 * 60 * 1000;
const attempts = { attempts: 3, pause: 1000 };

/**
 * Opens the folder of files and batches; null if the settings name none.
 *
 * @throws RND1Error `io`, also while another server uses it
 */
export async function openFolder(settings: ServerSettings): Promise<BatchFolder | null> {
  const { batchFolder, maxFileBytes, maxFolderBytes: maxBytes, keepDays, apiKeys } = settings;
  if (batchFolder === null) return null;
  const maxBytesPerOwner = apiKeys.length > 1 ? Math.ceil(maxBytes / 2) : maxBytes;
  return BatchFolder.open(batchFolder, { maxFileBytes, maxBytes, maxBytesPerOwner, keep: keepDays * day });
}

/** Adds files and batches to a server. Batches run from the moment it is ready until it closes. */
export function addFilesAndBatches(app: FastifyInstance, context: Context, folder: BatchFolder): void {
  const { maxBatchLines: maxLines, maxBodyBytes, maxRunningPerClient: canvases } = context.settings;
  const runner = new BatchRunner(folder, {
    rules: { maxLines, maxLineBytes: maxBodyBytes + envelope },
    canvases,
    answerFor: (owner) => withAttempts(lineAnswers(app, `batches of ${owner}`), attempts),
    onError: (error, { id }) => app.log.error({ err: error, batch: id }, 'batch failed'),
  });
  const removeOld = () =>
    folder.removeOld().catch((error: unknown) => app.log.error({ err: error }, 'cannot remove old files'));
  let timer: NodeJS.Timeout | undefined;
  app.addHook('onReady', async () => {
    await removeOld();
    timer = setInterval(removeOld, cleaning).unref();
    runner.start();
  });
  app.addHook('preClose', async () => {
    clearInterval(timer);
    await runner.close();
    await folder.close();
  });
  addFiles(app, context, folder);
  addBatches(app, context, folder, runner);
}
