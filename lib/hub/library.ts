import type * as Hub from '@huggingface/hub';

/** `@huggingface/hub`, loaded when it is needed first: who loads a folder does not pay for it. */
export function hubLibrary(): typeof Hub {
  return require('@huggingface/hub');
}
