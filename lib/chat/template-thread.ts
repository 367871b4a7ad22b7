import { serveThread } from '../worker/thread';
import { type ChatTemplate, readChatTemplate, type TemplatePlace } from './chat-template';

/** Longer than any text that a model takes. */
const lengthLimit = 2 ** 26;

serveThread(async (place: TemplatePlace) => {
  const template = await readChatTemplate(place);
  return {
    ready: template.kind,
    answer(args: Parameters<ChatTemplate['render']>): string {
      const text = template.render(...args);
      if (text.length <= lengthLimit) return text;
      throw new RangeError(`the chat template wrote ${text.length} characters`);
    },
  };
});
