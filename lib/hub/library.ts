import type * as Hub from '@huggingface/hub';

/** `@huggingface/hub`, loaded on first use: loading from a folder does not need it. */
export function hubLibrary(): typeof Hub {
  return require('@huggingface/hub');
}
