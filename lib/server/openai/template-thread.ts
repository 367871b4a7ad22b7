import type { DiffusionLM } from '../../diffusion-lm';
import { serveThread } from '../../worker/thread';
import type { ServerSettings } from '../options';
import { type ChatTemplate, readChatTemplate } from './chat-template';

/** The parts of a model that `readChatTemplate` reads: the thread has no model. */
export interface TemplatePlace extends Pick<ServerSettings, 'chatTemplate'> {
  readonly folder: string;
  readonly taskTemplate: string | null;
}

/** Longer than any text that a model takes. */
const lengthLimit = 2 ** 26;

serveThread(async ({ folder, taskTemplate, chatTemplate }: TemplatePlace) => {
  const model = { info: { folder }, config: { generation: { taskTemplate } } } as DiffusionLM;
  const template = await readChatTemplate(model, { chatTemplate });
  return {
    ready: template.kind,
    answer(args: Parameters<ChatTemplate['render']>): string {
      const text = template.render(...args);
      if (text.length <= lengthLimit) return text;
      throw new RangeError(`the chat template wrote ${text.length} characters`);
    },
  };
});
