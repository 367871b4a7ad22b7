// The variables that the command line reads itself; lib/hub/ reads those of Hugging Face, and the addon reads RND1_CPU.

/** RND1_DEBUG: whether errors are printed with their stack traces. */
export const showsStackTraces = () => Boolean(process.env.RND1_DEBUG);

/** RND1_API_KEY: the server's keys, separated by commas. */
export const apiKeys = () =>
  (process.env.RND1_API_KEY ?? '')
    .split(',')
    .map((key) => key.trim())
    .filter((key) => key !== '');

/** RND1_CPU: the instruction set whose CPU kernels are to be used; undefined for the best one. */
export const forcedInstructionSet = () => process.env.RND1_CPU || undefined;
