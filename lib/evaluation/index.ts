export type { DataSource } from './data/data';
export type { LikelihoodEstimate } from './likelihood/combine';
export type { MaskedRow } from './likelihood/draws';
export { estimateLikelihood } from './likelihood/estimate';
export { type GreedyContinuation, type GreedyOptions, greedyContinuation } from './likelihood/greedy';
export type { Estimator, LikelihoodOptions } from './likelihood/options';
export { type ProgramOptions, ProgramRunner, type ProgramVerdict } from './programs/program-runner';
export type { Sandbox } from './programs/sandbox';
export type { TaskFileSource } from './prompts/task-files';
export { PythonRandom } from './python/random';
export type { PlainValue } from './python/values';
export { evaluationReport } from './report/report';
export { type BuildRequestsOptions, buildRequests, type EvaluationRequest } from './requests';
export { compareResults, type PairedScores } from './run/compare';
export type { EvaluationCosts } from './run/costs';
export { type EvaluatedTask, evaluate } from './run/evaluate';
export type { EvaluatedModel, EvaluationQuestion, ModelAnswer } from './run/evaluated-model';
export { EvaluationFolder } from './run/folder';
export type {
  AnsweredDocument,
  EvaluateOptions,
  EvaluationGeneration,
  EvaluationLikelihood,
  EvaluationProgress,
} from './run/options';
export { type EvaluationPreset, presetNames } from './run/presets';
export {
  type EvaluationConfig,
  type HarnessResults,
  type HarnessSampleCounts,
  harnessResults,
  harnessSamples,
} from './run/results';
export type { Estimate } from './scoring/aggregates';
export type { Filter } from './scoring/filters';
export type { ExactMatch, Metric, PassedTests } from './scoring/metrics';
export {
  type EvaluationOutput,
  type EvaluationScores,
  type FilteredAnswer,
  type GroupScores,
  type ProgramOutput,
  type ScoredDocument,
  scoreOutputs,
  type TaskScores,
} from './scoring/scores';
export { type SplitOptions, type SplitTokens, splitTokens } from './split';
export type {
  ChoiceTask,
  CommonTask,
  DataSplit,
  DrawnExamples,
  EvaluationDocument,
  ExamplePool,
  FillTask,
  FirstExamples,
  FixedExamples,
  GenerationTask,
  ListedExamples,
  Target,
  TaskDefinition,
} from './tasks/definition';
export { taskNames } from './tasks/table';
