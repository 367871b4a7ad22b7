// One build for both module systems: `import` gets the same classes that `require` gets.
import training from './index.js';

export const { Trainer, convert, initialize, plot, readTrainConfig, tokenize, train } = training;
