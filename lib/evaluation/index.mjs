// One build for both module systems: `import` gets the same classes that `require` gets.
import evaluation from './index.js';

export const {
  buildRequests,
  compareResults,
  estimateLikelihood,
  evaluate,
  evaluationReport,
  greedyContinuation,
  harnessResults,
  harnessSamples,
  presetNames,
  scoreOutputs,
  splitTokens,
  taskNames,
  EvaluationFolder,
  ProgramRunner,
  PythonRandom,
} = evaluation;
