const owners = new WeakMap<AbortSignal, string>();

/** Says whose the requests with this signal are: where not all can be served at once, owners take turns. */
export function setOwner(signal: AbortSignal, owner: string): void {
  owners.set(signal, owner);
}

/** Whose the requests with this signal are; those of nobody in particular are one owner's. */
export function ownerOf(signal: AbortSignal | undefined): string {
  return (signal && owners.get(signal)) ?? '';
}
