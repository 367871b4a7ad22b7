import { RND1Error } from '../../support/errors';
import { printableName } from '../../support/printable';
import { readJsonLines } from '../data/json-lines';
import { estimateMean } from '../scoring/aggregates';
import type { EvaluationDocument } from '../tasks/definition';
import { sampledTasks, samplesPath } from './samples';

/** Two results of a task, document by document. */
export interface PairedScores {
  /** Name of the task. */
  readonly task: string;
  /** As in the names of scores: `acc`. */
  readonly metric: string;
  /** Name of the filter. */
  readonly filter: string;
  /** Documents that both have. */
  readonly documents: number;
  /** Documents that only one has. */
  readonly unpaired: number;
  /** Whether a document was put to the models in different words. */
  readonly promptsDiffer: boolean;
  /** Means over the common documents. */
  readonly first: number;
  /** The same of the other results. */
  readonly second: number;
  /** `second` − `first`. */
  readonly difference: number;
  /** Standard error of the mean of the differences; null for a single document. */
  readonly standardError: number | null;
  /** Documents on which the second scores higher. */
  readonly better: number;
  /** Documents on which it scores lower. */
  readonly worse: number;
  /**
   * Probability of a difference at least as large if neither were better: McNemar's exact test, of the documents that
   * differ.
   */
  readonly probability: number;
}

/**
 * Compares two folders of results, document by document: far smaller differences are significant than between two means.
 *
 * @throws RND1Error `io`, `invalid_data` if they have no task in common or a file is no file of samples
 */
export async function compareResults(first: string, second: string): Promise<PairedScores[]> {
  const [names, others] = [await sampledTasks(first), await sampledTasks(second)];
  const common = names.filter((name) => others.includes(name));
  if (common.length === 0)
    throw new RND1Error(
      'invalid_data',
      `${printableName(first)} and ${printableName(second)} have no samples of the same task`,
    );
  const pairs: PairedScores[] = [];
  for (const task of common)
    pairs.push(...comparedTask(task, await samplesOf(first, task), await samplesOf(second, task)));
  return pairs;
}

/** A line of samples. */
interface Sample {
  readonly doc_id: number;
  readonly filter: string;
  readonly metrics: readonly string[];
  readonly prompt: string;
  readonly scores: Readonly<Record<string, number>>;
}

async function samplesOf(folder: string, task: string): Promise<Sample[]> {
  const path = samplesPath(folder, task);
  return (await readJsonLines(path)).map((line, i) =>
    sampleOf(line, `${printableName(path)}, line ${i + 1}`),
  );
}

function sampleOf(line: EvaluationDocument, place: string): Sample {
  const { doc_id, filter, metrics, arguments: asked } = line;
  const names = Array.isArray(metrics) ? metrics : [];
  const scores = Object.fromEntries(names.map((name) => [name, line[name]]));
  if (!Number.isSafeInteger(doc_id) || typeof filter !== 'string' || names.length === 0)
    throw new RND1Error('invalid_data', `${place}: it is no sample`);
  if (!Object.values(scores).every((score) => typeof score === 'number'))
    throw new RND1Error('invalid_data', `${place}: a score is no number`);
  return {
    doc_id: doc_id as number,
    filter,
    metrics: names,
    prompt: JSON.stringify(asked),
    scores: scores as Record<string, number>,
  };
}

function comparedTask(task: string, first: readonly Sample[], second: readonly Sample[]): PairedScores[] {
  const keyOf = ({ doc_id, filter }: Sample) => `${doc_id} ${filter}`;
  const others = new Map(second.map((sample) => [keyOf(sample), sample]));
  const filters = [...new Set(first.map(({ filter }) => filter))];
  return filters.flatMap((filter) => {
    const mine = first.filter((sample) => sample.filter === filter);
    const pairs = mine.flatMap((sample) => {
      const other = others.get(keyOf(sample));
      return other === undefined ? [] : [[sample, other] as const];
    });
    if (pairs.length === 0) return [];
    const theirs = second.filter((sample) => sample.filter === filter).length;
    return (pairs[0]?.[0].metrics ?? []).map((metric) => ({
      task,
      metric,
      filter,
      documents: pairs.length,
      unpaired: mine.length + theirs - 2 * pairs.length,
      promptsDiffer: pairs.some(([a, b]) => a.prompt !== b.prompt),
      ...paired(pairs.map(([a, b]) => [a.scores[metric] as number, b.scores[metric] as number])),
    }));
  });
}

function paired(scores: readonly (readonly [number, number])[]) {
  const differences = scores.map(([a, b]) => b - a);
  const { value: difference, standardError } = estimateMean(differences);
  const better = differences.filter((each) => each > 0).length;
  const worse = differences.filter((each) => each < 0).length;
  return {
    first: estimateMean(scores.map(([a]) => a)).value,
    second: estimateMean(scores.map(([, b]) => b)).value,
    difference,
    standardError,
    better,
    worse,
    probability: signTest(better, worse),
  };
}

/** The probability that a fair coin, thrown as often, shows sides at least as unequal. */
export function signTest(heads: number, tails: number): number {
  const throws = heads + tails;
  // In logarithms: binomial coefficients are soon beyond what a number holds.
  let term = throws * Math.log(0.5);
  let total = Math.exp(term);
  for (let i = 1; i <= Math.min(heads, tails); i++) {
    term += Math.log((throws - i + 1) / i);
    total += Math.exp(term);
  }
  return Math.min(1, 2 * total);
}
