import { configurations, headers } from './checkpoint';
import { bodies } from './server';
import type { Target } from './target';
import { templates } from './template';
import { tokenizer } from './text';

/** Everything written in TypeScript that is fed from outside. */
export const targets: readonly Target[] = [configurations, headers, tokenizer, templates, bodies];
