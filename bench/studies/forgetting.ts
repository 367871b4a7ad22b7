/**
 * Do low learning rates outside attention keep what autoregression has learned? A small model learns facts and skills by
 * autoregression, is converted, and learns masked diffusion with different rates; half of the facts are never shown again.
 * Each part is skipped if it is done and resumed if it was interrupted; FOLDER/seed-N.json holds a seed's results. With
 * one instruction set all machines compute the same bits:
 *
 *     RND1_CPU=avx2 npx tsx bench/studies/forgetting.ts FOLDER [--seeds 1,2] [--quick]
 */
import { existsSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { convert } from '../../lib/training';
import { runMain } from '../support/main';
import { type Arm, armFolder, armName, arms } from './support/arms';
import {
  type Again,
  type ArmResult,
  forgettingPanels,
  forgettingTables,
  type Point,
  type SeedResult,
} from './support/forgetting-report';
import { panelsSvg } from './support/panels';
import { askFolder, factQuestions, skillQuestions } from './support/questions';
import { checkpoints, finish, lossesOfRun, type RunCheckpoint } from './support/runs';
import { kept, startingModel, studyArguments, writeResults } from './support/study';
import {
  type StudyFacts,
  type StudyFiles,
  type StudySizes,
  studyFacts,
  writeStudyFiles,
} from './support/study-data';
import { canvasLength, type Fact } from './support/texts';

/** How much is trained and measured. */
interface Plan extends StudySizes {
  readonly batch: number;
  readonly pretrainingSteps: number;
  readonly conversionSteps: number;
  readonly warmup: number;
  readonly points: number;
  readonly againSteps: number;
  readonly againPoints: number;
  /** Facts and skills that are asked for. */
  readonly asked: number;
  readonly arms: readonly Arm[];
}

/**
 * So few facts that a conversion reads out nearly all that it is shown, without which a lost fact would say nothing. In
 * trials of the arm 1e-3 : 1e-3, 1,500 steps read out a third of 4,096 facts, and 500 steps nine tenths of 1,024.
 */
const whole: Plan = {
  facts: 1024,
  pretraining: 400_000,
  conversion: 200_000,
  heldOut: 512,
  again: 300,
  batch: 128,
  pretrainingSteps: 1500,
  conversionSteps: 1000,
  warmup: 100,
  points: 8,
  againSteps: 200,
  againPoints: 10,
  asked: 510,
  arms,
};

/** For a look at whether all parts work; the figures mean nothing. */
const quick: Plan = {
  ...whole,
  facts: 24,
  pretraining: 64,
  conversion: 64,
  heldOut: 8,
  again: 6,
  batch: 4,
  pretrainingSteps: 4,
  conversionSteps: 4,
  warmup: 1,
  points: 2,
  againSteps: 2,
  againPoints: 1,
  asked: 6,
  arms: arms.slice(0, 2),
};

async function main(): Promise<void> {
  const { folder, seeds, quick: inSmall } = studyArguments('forgetting');
  const results: SeedResult[] = [];
  for (const seed of seeds) {
    const place = join(folder, `seed-${seed}`);
    results.push(await kept(`${place}.json`, () => new Seed(place, seed, inSmall ? quick : whole).run()));
    writeResults(join(folder, 'forgetting.json'), results);
  }
  console.log(forgettingTables(results));
  writeFileSync(join(folder, 'forgetting.svg'), panelsSvg(forgettingPanels(results)));
}

/** The runs of one seed: of the model, of data and of masks. */
class Seed {
  readonly #facts: StudyFacts;
  readonly #files: StudyFiles;

  constructor(
    private readonly folder: string,
    private readonly seed: number,
    private readonly plan: Plan,
  ) {
    this.#facts = studyFacts(plan, seed);
    this.#files = writeStudyFiles(join(folder, 'data'), plan, this.#facts, seed);
  }

  async run(): Promise<SeedResult> {
    const { seed, plan } = this;
    const pretrained = await this.#pretrain();
    const facts = this.#facts;
    const shares = await askFolder(pretrained, {
      kept: factQuestions(facts.kept.slice(0, plan.asked), 'all'),
      lost: factQuestions(facts.lost.slice(0, plan.asked), 'all'),
      skills: this.#skills(),
    });
    const before = {
      kept: shares.kept.tokens,
      lost: shares.lost.tokens,
      skills: shares.skills.questions,
    };
    console.log(`seed ${seed}, pretrained: ${JSON.stringify(before)}`);
    const converted = this.#place('converted');
    if (!existsSync(converted)) await convert(pretrained, converted);
    const results: ArmResult[] = [];
    for (const arm of plan.arms) {
      const output = this.#place(`arm_${armFolder(arm)}`);
      results.push(await kept(`${output}.json`, () => this.#arm(arm, converted, output)));
      for (const run of [output, againOf(output)])
        for (const each of checkpoints(run)) rmSync(each.folder, { recursive: true });
    }
    return { seed, pretrained: before, arms: results };
  }

  async #pretrain(): Promise<string> {
    const { seed, plan } = this;
    const start = await startingModel(this.#place('start'), seed);
    const output = this.#place('pretraining');
    await finish({
      ...this.#common(),
      model: start,
      output,
      data: this.#files.pretraining,
      evaluation: { data: this.#files.pretrainingHeldOut, every: 500, canvases: plan.heldOut },
      objective: 'ar',
      steps: plan.pretrainingSteps,
      saveEvery: 500,
      saveLimit: 1,
      learningRate: 1e-3,
      schedule: { kind: 'wsd', warmup: 0.05, decay: 0.2 },
    });
    return last(checkpoints(output)).folder;
  }

  async #arm(arm: Arm, converted: string, output: string): Promise<ArmResult> {
    const { seed, plan } = this;
    const every = Math.floor(plan.conversionSteps / plan.points);
    await finish({
      ...this.#common(),
      model: converted,
      output,
      data: this.#files.conversion,
      evaluation: { data: this.#files.conversionHeldOut, every, canvases: plan.heldOut },
      objective: 'mdlm',
      steps: plan.conversionSteps,
      saveEvery: every,
      learningRate: { base: arm.rest, attention: arm.attention },
      schedule: { kind: 'wsd', warmup: plan.warmup, decay: 0.2 },
      randomLength: 0,
    });
    const points: Point[] = [];
    for (const checkpoint of checkpoints(output)) points.push(await this.#measure(output, checkpoint));
    const again = await this.#learnAgain(againOf(output), last(checkpoints(output)).folder);
    const measured = { seed, arm: armName(arm), points, again };
    console.log(`seed ${seed}, ${armName(arm)}: ${JSON.stringify(last(points))}`);
    return measured;
  }

  async #measure(run: string, { step, folder }: RunCheckpoint): Promise<Point> {
    const facts = this.#facts;
    const [askedKept, askedLost] = [facts.kept, facts.lost].map((each) => each.slice(0, this.plan.asked)) as [
      Fact[],
      Fact[],
    ];
    const shares = await askFolder(folder, {
      skills: this.#skills(),
      kept: factQuestions(askedKept, 'one'),
      keptAll: factQuestions(askedKept, 'all'),
      lost: factQuestions(askedLost, 'one'),
      lostAll: factQuestions(askedLost, 'all'),
    });
    const causal = `${folder}-causal`;
    await convert(folder, causal, { reverse: true });
    const { lostCausal } = await askFolder(causal, { lostCausal: factQuestions(askedLost, 'all') });
    rmSync(causal, { recursive: true });
    const losses = lossesOfRun(run).find((each) => each.step === step);
    if (losses === undefined) throw new Error(`${run} has no evaluation at step ${step}`);
    const { loss, maskedCrossEntropy } = losses;
    return {
      step,
      loss,
      maskedCrossEntropy,
      skills: shares.skills.questions,
      kept: shares.kept.tokens,
      keptAll: shares.keptAll.tokens,
      lost: shares.lost.tokens,
      lostAll: shares.lostAll.tokens,
      lostCausal: lostCausal.tokens,
    };
  }

  /** Forgotten facts are relearned as fast as new ones are learned; hidden ones faster. */
  async #learnAgain(output: string, model: string): Promise<Again[]> {
    const { plan } = this;
    await finish({
      ...this.#common(),
      batch: Math.min(32, plan.batch),
      model,
      output,
      data: this.#files.again,
      objective: 'mdlm',
      steps: plan.againSteps,
      saveEvery: Math.floor(plan.againSteps / plan.againPoints),
      learningRate: 1e-3,
      schedule: { kind: 'constant', warmup: 0.05 },
      randomLength: 0,
    });
    const { lost, fresh } = this.#facts;
    const questions = {
      lost: factQuestions(lost.slice(0, plan.again), 'one'),
      fresh: factQuestions(fresh, 'one'),
    };
    const points: Again[] = [];
    for (const { step, folder } of [{ step: 0, folder: model }, ...checkpoints(output)]) {
      const shares = await askFolder(folder, questions);
      points.push({ step, lost: shares.lost.tokens, fresh: shares.fresh.tokens });
    }
    return points;
  }

  #skills() {
    return skillQuestions(this.plan.asked, 2 ** 31);
  }

  #common() {
    const { seed, plan } = this;
    const { batch } = plan;
    return { seed, batch, sequenceLength: canvasLength, logEvery: 10, tensorBoard: false };
  }

  #place(name: string): string {
    return join(this.folder, name);
  }
}

const againOf = (run: string) => `${run}_again`;

function last<T>(list: readonly T[]): T {
  return list.at(-1) as T;
}

runMain(main);
