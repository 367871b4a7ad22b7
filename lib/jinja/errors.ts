/** A template that cannot be compiled, or that failed while it was rendered. */
export class TemplateError extends Error {
  override readonly name = 'TemplateError';
  /** Line of the template, from 1; null where none is to blame. */
  line: number | null;

  constructor(
    message: string,
    /** `raised`: the template itself refused its input, by `raise_exception`. */
    readonly kind: 'syntax' | 'render' | 'raised' | 'limit' = 'render',
    line: number | null = null,
  ) {
    super(message);
    this.line = line;
  }
}

/** Ends rendering with what Python would raise. */
export function fail(message: string): never {
  throw new TemplateError(message);
}
