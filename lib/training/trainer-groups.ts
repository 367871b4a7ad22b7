import { numberOption, optionsObject, quote } from '../support/validate';
import type { LearningRates, OptimizerOptions, ParameterGroup } from './trainer-types';

/** Options of the optimizer with all defaults. */
export interface Optimizer {
  readonly rates: Readonly<Record<ParameterGroup, number>>;
  readonly betas: readonly [number, number];
  readonly epsilon: number;
  readonly weightDecay: number;
  readonly clip: number;
  readonly warmup: number;
}

/** The group of a role (types/native.d.ts). */
export function groupOf(role: string): ParameterGroup {
  if (role === 'embedding' || role === 'head' || role === 'norm') return role;
  if (/\.(attention|mlp)\.norm$/.test(role)) return 'norm';
  if (role.endsWith('.mlp.router')) return 'router';
  return role.includes('.attention.') ? 'attention' : 'mlp';
}

/** Whether weight decay applies: to matrices, but not to the embedding. */
export function decays(role: string, shape: readonly number[]): boolean {
  return shape.length === 2 && role !== 'embedding';
}

const rateNames = {
  base: true,
  attention: true,
  router: true,
  mlp: true,
  embedding: true,
  head: true,
  norm: true,
} as const;

const optimizerNames = {
  learningRate: true,
  betas: true,
  epsilon: true,
  weightDecay: true,
  clip: true,
  warmup: true,
} as const;

/** Checks the options and fills in defaults. */
export function readOptimizer(given: OptimizerOptions): Optimizer {
  const options = optionsObject('optimizer', given, optimizerNames);
  const { betas = [0.9, 0.95], epsilon = 1e-8, weightDecay = 0.1, clip = 1, warmup = 0 } = options;
  if (!Array.isArray(betas) || betas.length !== 2)
    throw new TypeError(`optimizer.betas must be two numbers, not ${quote(betas)}`);
  const [beta1, beta2] = betas.map((beta, i) => {
    const value = numberOption(`optimizer.betas[${i}]`, beta, 0, 1);
    if (value === 1) throw new RangeError(`optimizer.betas[${i}] must be less than 1`);
    return value;
  });
  return {
    rates: readRates(options.learningRate),
    betas: [beta1 as number, beta2 as number],
    epsilon: numberOption('optimizer.epsilon', epsilon, 0),
    weightDecay: numberOption('optimizer.weightDecay', weightDecay, 0),
    clip: numberOption('optimizer.clip', clip, 0),
    warmup: numberOption('optimizer.warmup', warmup, 0),
  };
}

function readRates(given: number | LearningRates): Optimizer['rates'] {
  const name = 'optimizer.learningRate';
  if (typeof given !== 'number' && (typeof given !== 'object' || given === null))
    throw new TypeError(`${name} must be a number or an object, not ${quote(given)}`);
  const rates = typeof given === 'number' ? { base: given } : optionsObject(name, given, rateNames);
  const base = numberOption(typeof given === 'number' ? name : `${name}.base`, rates.base, 0);
  const of = (group: ParameterGroup) => {
    const rate = (rates as LearningRates)[group];
    return rate === undefined ? base : numberOption(`${name}.${group}`, rate, 0);
  };
  return {
    attention: of('attention'),
    router: of('router'),
    mlp: of('mlp'),
    embedding: of('embedding'),
    head: of('head'),
    norm: of('norm'),
  };
}
