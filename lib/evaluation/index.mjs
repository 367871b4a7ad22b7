// One build for both module systems: `import` gets the same classes that `require` gets.
import evaluation from './index.js';

export const {
  buildRequests,
  estimateLikelihood,
  greedyContinuation,
  scoreOutputs,
  splitTokens,
  taskNames,
  PythonRandom,
} = evaluation;
