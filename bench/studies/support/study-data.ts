import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { Random } from '../../../examples/support/random';
import { canvasOf, writeTokenFile } from '../../../models/nano-training/data';
import { canvasLength, type Fact, factsText, factsTogether, makeFacts, makeSkill } from './texts';

/** Facts of a study by what training shows of them. */
export interface StudyFacts {
  /** In the data of autoregression and of conversion. */
  readonly kept: readonly Fact[];
  /** In the data of autoregression only: the knowledge at risk. */
  readonly lost: readonly Fact[];
  /** In neither. */
  readonly fresh: readonly Fact[];
}

/** Canvases of each token file. */
export interface StudySizes {
  readonly facts: number;
  readonly pretraining: number;
  readonly conversion: number;
  readonly heldOut: number;
  /** Facts of each kind that are trained again at the end. */
  readonly again: number;
}

/** Share of the canvases that hold facts. */
const factShares = { pretraining: 50, conversion: 40 };

/** The facts of a seed. */
export function studyFacts({ facts, again }: Pick<StudySizes, 'facts' | 'again'>, seed: number): StudyFacts {
  const all = makeFacts(facts + again, new Random(seed));
  return { kept: all.slice(0, facts / 2), lost: all.slice(facts / 2, facts), fresh: all.slice(facts) };
}

/** Token files of a study, made if they are not there. */
export interface StudyFiles {
  readonly pretraining: string;
  readonly pretrainingHeldOut: string;
  readonly conversion: string;
  readonly conversionHeldOut: string;
  /** Lost and fresh facts in equal parts. */
  readonly again: string;
}

export function writeStudyFiles(
  folder: string,
  sizes: StudySizes,
  { kept, lost, fresh }: StudyFacts,
  seed: number,
): StudyFiles {
  mkdirSync(folder, { recursive: true });
  const write = (name: string, canvases: number, number: number, next: (random: Random) => string) => {
    const path = join(folder, `${name}.bin`);
    const random = new Random(1000 * (seed + 1) + number);
    if (!existsSync(path))
      writeTokenFile(path, canvases, canvasLength, () => canvasOf(next(random), canvasLength));
    return path;
  };
  const mixed = (share: number, facts: readonly Fact[]) => (random: Random) => {
    if (random.below(100) >= share) {
      const { question, answer } = makeSkill(random);
      return question + answer;
    }
    return factsText(some(facts, random));
  };
  const pretraining = mixed(factShares.pretraining, [...kept, ...lost]);
  const conversion = mixed(factShares.conversion, kept);
  return {
    pretraining: write('pretraining', sizes.pretraining, 1, pretraining),
    pretrainingHeldOut: write('pretraining-held-out', sizes.heldOut, 2, pretraining),
    conversion: write('conversion', sizes.conversion, 3, conversion),
    conversionHeldOut: write('conversion-held-out', sizes.heldOut, 4, conversion),
    again: write('again', 64 * sizes.again, 5, (random) =>
      factsText(some([...lost.slice(0, sizes.again), ...fresh], random)),
    ),
  };
}

/** Different facts that share a canvas. */
function some(facts: readonly Fact[], random: Random): Fact[] {
  const chosen = new Set<Fact>();
  while (chosen.size < factsTogether) chosen.add(random.pick(facts));
  return [...chosen];
}
