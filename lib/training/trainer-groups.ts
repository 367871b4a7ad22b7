import { numberOption, optionsObject, quote } from '../support/validate';
import type { LearningRates, OptimizerOptions, ParameterGroup } from './trainer-types';

/** Options of the optimizer with all defaults. */
export interface Optimizer {
  readonly rates: Readonly<Record<ParameterGroup, number>>;
  /** Rates by tensor; the first pattern that matches counts. */
  readonly patterns: readonly RatePattern[];
  readonly betas: readonly [number, number];
  readonly epsilon: number;
  readonly weightDecay: number;
  readonly clip: number;
  readonly warmup: number;
}

/** A learning rate of tensors by their names. */
export interface RatePattern {
  /** As it was given. */
  readonly text: string;
  readonly pattern: RegExp;
  readonly rate: number;
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
  tensors: true,
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
    patterns: readPatterns(options.learningRate),
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

function readPatterns(given: number | LearningRates): RatePattern[] {
  const name = 'optimizer.learningRate.tensors';
  const tensors = typeof given === 'number' ? undefined : given.tensors;
  if (tensors === undefined) return [];
  if (typeof tensors !== 'object' || tensors === null)
    throw new TypeError(`${name} must be an object, not ${quote(tensors)}`);
  return Object.entries(tensors).map(([text, rate]) => ({
    text,
    pattern: patternOf(name, text),
    rate: numberOption(`${name}[${quote(text)}]`, rate, 0),
  }));
}

function patternOf(name: string, text: string): RegExp {
  try {
    // Alone first: the brackets around it must not make it one.
    return new RegExp(`^(?:${new RegExp(text).source})$`);
  } catch (error) {
    throw new TypeError(`${name}: ${quote(text)} is not a regular expression: ${(error as Error).message}`);
  }
}

/** A tensor of the checkpoint, by which its rate is chosen. */
export interface RatedTensor {
  readonly name: string;
  /** The roles that it is stored for. */
  readonly parts: readonly { readonly role: string }[];
}

/**
 * The learning rates of tensors, by role.
 *
 * @throws RangeError for a pattern that matches none
 */
export function ratesByRole(
  { rates, patterns }: Optimizer,
  tensors: readonly RatedTensor[],
): Map<string, number> {
  const idle = patterns.find(({ pattern }) => !tensors.some(({ name }) => pattern.test(name)));
  if (idle !== undefined)
    throw new RangeError(
      `optimizer.learningRate.tensors: no tensor of the checkpoint is named ${quote(idle.text)}`,
    );
  const byRole = new Map<string, number>();
  for (const { name, parts } of tensors) {
    const found = patterns.find(({ pattern }) => pattern.test(name));
    for (const { role } of parts) byRole.set(role, found?.rate ?? rates[groupOf(role)]);
  }
  return byRole;
}
