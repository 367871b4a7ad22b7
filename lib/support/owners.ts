const owners = new WeakMap<AbortSignal, string>();

/** Sets the owner of the requests with this signal: owners take turns if not all requests can be served at once. */
export function setOwner(signal: AbortSignal, owner: string): void {
  owners.set(signal, owner);
}

/** The owner of the requests with this signal; requests without an owner share the owner `''`. */
export function ownerOf(signal: AbortSignal | undefined): string {
  return (signal && owners.get(signal)) ?? '';
}
