/** A model's name on the hub: `radicalnumerics/RND1-Base-0910`. */
export type Repository = `${string}/${string}`;

/** Whether a text can be the name of a model on the hub: an owner and a name. It need not exist. */
export function isRepository(text: string): text is Repository {
  const parts = text.split('/');
  return (
    text.length <= 96 &&
    parts.length === 2 &&
    parts.every((part) => /^\w(?:[\w.-]*\w)?$/.test(part) && !/--|\.\./.test(part))
  );
}

/** Whether a revision is the hash of a commit. */
export function isCommit(revision: string): boolean {
  return /^[0-9a-f]{40}$/.test(revision);
}
