import type { Template } from '../../index';
import type { PlainValue } from '../python/values';
import type { Filter } from '../scoring/filters';
import type { Metric } from '../scoring/metrics';

/** One document of a data set: its columns by name. */
export type EvaluationDocument = Readonly<Record<string, unknown>>;

/** A split of a data set on the hub, in its own words. */
export interface DataSplit {
  /** Names on the hub (`openai/gsm8k`) under which the same data are published; the first that is there is used. */
  readonly repositories: readonly string[];
  /** The configuration, `main` for example. */
  readonly config: string;
  /** `test`, `train`, `validation` or `dev`. */
  readonly split: string;
}

/** Examples that a task file fixes, with what else the file says. */
export interface FixedExamples {
  /** The version of the task that the file defines. */
  readonly version?: number;
  /** Text before the examples. @default '' */
  readonly description?: string;
  /** Text between a question and its answer. @default the task's own */
  readonly targetDelimiter?: string;
  /** The examples, in order; columns as in the data set, or as the task's `exampleAnswer` reads them. */
  readonly samples: readonly EvaluationDocument[];
}

/** The first examples of a split, the same for every document. */
export interface FirstExamples {
  /** The kind of pool. */
  readonly type: 'first';
  /** The split. */
  readonly from: DataSplit;
}

/** Examples drawn from a split for every document, by Python's random numbers. */
export interface DrawnExamples {
  /** The kind of pool. */
  readonly type: 'drawn';
  /** The split. */
  readonly from: DataSplit;
  /** Whether an example that is the document itself is left out, and not replaced. @default false */
  readonly dropItself?: boolean;
}

/** The first examples of a fixed list. */
export interface ListedExamples {
  /** The kind of pool. */
  readonly type: 'fixed';
  /** The list. */
  readonly examples: FixedExamples;
}

/** Where the examples before a question come from. */
export type ExamplePool = FirstExamples | DrawnExamples | ListedExamples;

/** A right answer: the index of a choice, a text, or a list if the text of the data is one. */
export type Target = PlainValue;

/** What all tasks have. */
export interface CommonTask {
  /** Name of the task, unique. */
  readonly name: string;
  /** Name in tables. @default name */
  readonly alias?: string;
  /** Number that changes whenever prompts or scores do. */
  readonly version: number;
  /** The documents to be answered. */
  readonly documents: DataSplit;
  /** The examples that may stand before a question. */
  readonly examples: ExamplePool;
  /** Number of examples unless the caller asks for another. */
  readonly shots: number;
  /** Text before the examples, blank lines included. */
  readonly description: string;
  /** Text between a question and its answer. */
  readonly targetDelimiter: string;
  /** The question, as it stands in the prompt. */
  question(document: EvaluationDocument): string;
  /** The answer of an example, as it stands in the prompt. */
  exampleAnswer(document: EvaluationDocument): string;
}

/** A task whose answer is the most likely of some choices. */
export interface ChoiceTask extends CommonTask {
  /** The kind of task. */
  readonly kind: 'choice';
  /** The choices, without the delimiter before them. */
  choices(document: EvaluationDocument): readonly string[];
  /** The index of the right choice. */
  target(document: EvaluationDocument): number;
  /** `acc`: the most likely choice; `acc_norm`: that of the highest likelihood per character. */
  readonly metrics: readonly ('acc' | 'acc_norm')[];
}

/** A task whose answer is written. */
export interface GenerationTask extends CommonTask {
  /** The kind of task. */
  readonly kind: 'generation';
  /** The right answer, as the data have it. */
  target(document: EvaluationDocument): string;
  /** The answer ends before the first of these. */
  readonly until: readonly string[];
  /** Ways to read the answer; each is scored. */
  readonly filters: readonly Filter[];
  /** How the answer is compared. */
  readonly metric: Metric;
}

/** A task whose answer is written into the holes of a text. It has no examples. */
export interface FillTask extends CommonTask {
  /** The kind of task. */
  readonly kind: 'fill';
  /** The text with its holes. */
  template(document: EvaluationDocument): Template;
  /** Whether the text with its holes filled is a right one. */
  isRight(document: EvaluationDocument, filled: string): boolean;
}

/** A task: where its data are, how a document is asked, how an answer is scored. */
export type TaskDefinition = ChoiceTask | GenerationTask | FillTask;
