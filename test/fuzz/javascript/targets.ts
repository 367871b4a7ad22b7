import { configurations, headers } from './checkpoint';
import { ggufFiles } from './gguf';
import { bodies } from './server';
import type { Target } from './target';
import { templates } from './template';
import { tokenizer } from './text';

/** Everything written in TypeScript that is fed from outside. */
export const targets: readonly Target[] = [configurations, headers, ggufFiles, tokenizer, templates, bodies];
