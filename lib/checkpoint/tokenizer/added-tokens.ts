/** A token that is found in a text before the tokenizer's model sees it, as tokenizer.json describes it. */
export interface AddedToken {
  readonly id: number;
  readonly content: string;
  /** Matches only if no word continues on either side. */
  readonly single_word?: boolean;
  /** White space before it belongs to it. */
  readonly lstrip?: boolean;
  /** White space after it belongs to it. */
  readonly rstrip?: boolean;
}

/** A section of a text: an added token, or text (id null) for the tokenizer's model. */
export interface Section {
  readonly id: number | null;
  readonly text: string;
}

interface Node {
  readonly next: Map<number, Node>;
  token: AddedToken | null;
}

/** UTF-16 units of all tokens of one search, as they are spelled: each may need a node. */
const spelledLimit = 2 ** 20;

/** Letters, marks, digits and joining characters: `\w` of Rust's regular expressions. */
const wordAtEnd = /[\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\p{Join_Control}]$/u;
const wordAtStart = /^[\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\p{Join_Control}]/u;
const whiteSpace = /\p{White_Space}/u;

/**
 * Finds added tokens in texts as the Rust library `tokenizers` does: from left to right, the longest one if several
 * begin. A token that `single_word` excludes stays text, and the search continues after it.
 */
export class AddedTokens {
  readonly #root: Node = { next: new Map(), token: null };

  /** @param spell normalizes a token as the searched text is */
  constructor(tokens: readonly AddedToken[], spell: (content: string) => string = (content) => content) {
    let all = 0;
    for (const token of tokens) {
      const spelled = spell(token.content);
      all += spelled.length;
      if (all > spelledLimit) {
        throw new Error(`added tokens are spelled with more than ${spelledLimit} characters in all`);
      }
      let node = this.#root;
      for (let i = 0; i < spelled.length; i++) {
        const unit = spelled.charCodeAt(i);
        let next = node.next.get(unit);
        if (next === undefined) {
          next = { next: new Map(), token: null };
          node.next.set(unit, next);
        }
        node = next;
      }
      if (spelled !== '') node.token = token;
    }
  }

  /** The sections of a text, in order; none of them is empty. */
  split(text: string): Section[] {
    const sections: Section[] = [];
    let done = 0;
    const plain = (end: number) => {
      if (done < end) sections.push({ id: null, text: text.slice(done, end) });
    };
    for (let start = 0; start < text.length; ) {
      const found = this.#longest(text, start);
      if (found === null) {
        start++;
        continue;
      }
      const { token, end } = found;
      if (!token.single_word || isWord(text, start, end)) {
        const first = token.lstrip ? spaceBefore(text, start, done) : start;
        plain(first);
        done = token.rstrip ? spaceBehind(text, end) : end;
        sections.push({ id: token.id, text: text.slice(first, done) });
      }
      start = Math.max(end, done);
    }
    plain(text.length);
    return sections;
  }

  #longest(text: string, start: number): { token: AddedToken; end: number } | null {
    let node: Node | undefined = this.#root;
    let found: { token: AddedToken; end: number } | null = null;
    for (let end = start; end < text.length; ) {
      node = node.next.get(text.charCodeAt(end));
      if (node === undefined) break;
      end++;
      if (node.token !== null) found = { token: node.token, end };
    }
    return found;
  }
}

/** Whether no word continues before `start` or after `end`. */
function isWord(text: string, start: number, end: number): boolean {
  return (
    !wordAtEnd.test(text.slice(Math.max(0, start - 2), start)) && !wordAtStart.test(text.slice(end, end + 2))
  );
}

function spaceBefore(text: string, start: number, min: number): number {
  let first = start;
  while (first > min && whiteSpace.test(text.charAt(first - 1))) first--;
  return first;
}

function spaceBehind(text: string, end: number): number {
  let last = end;
  while (last < text.length && whiteSpace.test(text.charAt(last))) last++;
  return last;
}
