/** The name of a model or data set on the hub: `radicalnumerics/RND1-Base-0910`. */
export type Repository = `${string}/${string}`;

/** What a repository of the hub holds. */
export type RepositoryKind = 'model' | 'dataset';

/** The path of a repository's page on the hub. */
export function webPath(repo: Repository, kind: RepositoryKind = 'model'): string {
  return kind === 'dataset' ? `datasets/${repo}` : repo;
}

/** Whether a text can be the name of a model on the hub, which need not exist: an owner and a name, no GGUF file. */
export function isRepository(text: string): text is Repository {
  const parts = text.split('/');
  return (
    text.length <= 96 &&
    parts.length === 2 &&
    !text.endsWith('.gguf') &&
    parts.every((part) => /^\w(?:[\w.-]*\w)?$/.test(part) && !/--|\.\./.test(part))
  );
}

/** Whether a revision is the hash of a commit. */
export function isCommit(revision: string): boolean {
  return /^[0-9a-f]{40}$/.test(revision);
}
