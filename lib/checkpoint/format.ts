import { printableJson } from '../support/printable';

/** A name from a file, quoted for a message and cut to a readable length. */
export function quote(name: string): string {
  return printableJson(JSON.stringify(name.length > 200 ? `${name.slice(0, 200)}…` : name));
}

/** `[151936, 2048]` */
export function shapeText(shape: readonly number[]): string {
  return `[${shape.join(', ')}]`;
}

/** The first few of a list and how many there are beyond. */
export function firstFew(items: readonly string[], limit = 5): string {
  const more = items.length - limit;
  return items.slice(0, limit).join(', ') + (more > 0 ? ` and ${more} more` : '');
}
