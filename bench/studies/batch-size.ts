/**
 * Does masked diffusion want larger batches than autoregression? Gradient noise scales along a run of each, and branches
 * from a third of each run with batches of 16 to 1,024 canvases and the same tokens. Each part is skipped if it is done
 * and resumed if it was interrupted; FOLDER/seed-N.json holds a seed's results. With one instruction set all machines
 * compute the same bits:
 *
 *     RND1_CPU=avx2 npx tsx bench/studies/batch-size.ts FOLDER [--seeds 1,2] [--quick]
 */
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { convert, Trainer, type TrainOptions } from '../../lib/training';
import { type Canvas, type DataSet, openData } from '../../lib/training/data/data-set';
import { evaluate } from '../../lib/training/evaluate';
import { runMain } from '../support/main';
import { type Branch, batchSizePanels, batchSizeTables, type NoisePoint } from './support/batch-size-report';
import { measureNoise, type Noise, secondMoments } from './support/noise';
import {
  alikeBatches,
  objectiveOf,
  type StudyObjective,
  studyBatches,
  studyModel,
} from './support/objectives';
import { panelsSvg } from './support/panels';
import { checkpoints, finish } from './support/runs';
import { kept, nano, startingModel, studyArguments, writeResults } from './support/study';
import { type StudyFiles, type StudySizes, studyFacts, writeStudyFiles } from './support/study-data';
import { canvasLength } from './support/texts';

const beta2 = 0.95;

/** How much is trained and measured. */
interface Plan extends StudySizes {
  readonly batch: number;
  readonly learningRate: number;
  /** Of autoregression, of masked diffusion. */
  readonly steps: { readonly ar: number; readonly mdlm: number };
  readonly warmup: number;
  readonly points: number;
  /** Batches of a gradient whose noise is measured, canvases of each, and how often that is done. */
  readonly parts: number;
  readonly partCanvases: number;
  readonly repeats: number;
  readonly branches: readonly number[];
  /** Canvases that each branch sees. */
  readonly branchCanvases: number;
}

const whole: Plan = {
  facts: 4096,
  pretraining: 400_000,
  conversion: 200_000,
  heldOut: 512,
  again: 300,
  batch: 128,
  learningRate: 1e-3,
  steps: { ar: 1600, mdlm: 800 },
  warmup: 80,
  points: 8,
  parts: 128,
  partCanvases: 16,
  repeats: 4,
  branches: [16, 64, 256, 1024],
  branchCanvases: 61_440,
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
  steps: { ar: 4, mdlm: 4 },
  warmup: 1,
  points: 2,
  parts: 2,
  partCanvases: 2,
  repeats: 2,
  branches: [2, 4],
  branchCanvases: 8,
};

async function main(): Promise<void> {
  const { folder, seeds, quick: inSmall } = studyArguments('batch-size');
  const plan = inSmall ? quick : whole;
  const noise: NoisePoint[] = [];
  const branches: Branch[] = [];
  for (const [i, seed] of seeds.entries()) {
    const place = join(folder, `seed-${seed}`);
    const measured = await kept(`${place}.json`, async () => {
      const runs = new Seed(place, seed, plan);
      await runs.train();
      // Noise scales of one seed: they have a spread of their own.
      return { noise: i === 0 ? await runs.noise() : [], branches: await runs.branches() };
    });
    if (noise.length === 0) noise.push(...measured.noise);
    branches.push(...measured.branches);
    writeResults(join(folder, 'batch-size.json'), { noise, branches });
  }
  console.log(batchSizeTables({ noise, branches }));
  writeFileSync(join(folder, 'batch-size.svg'), panelsSvg(batchSizePanels({ noise, branches })));
}

/** The runs of one seed. */
class Seed {
  readonly #files: StudyFiles;

  constructor(
    private readonly folder: string,
    private readonly seed: number,
    private readonly plan: Plan,
  ) {
    this.#files = writeStudyFiles(join(folder, 'data'), plan, studyFacts(plan, seed), seed);
  }

  /** A run of each objective, the second from the first one's end. */
  async train(): Promise<void> {
    const { seed, plan } = this;
    const start = await startingModel(this.#place('start'), seed);
    await this.#run('ar', start);
    const converted = this.#place('converted');
    if (!existsSync(converted))
      await convert(join(this.#place('ar'), `checkpoint-${plan.steps.ar}`), converted);
    await this.#run('mdlm', converted);
  }

  /** Noise scales at the checkpoints of both runs. */
  async noise(): Promise<NoisePoint[]> {
    const points: NoisePoint[] = [];
    for (const run of ['ar', 'mdlm'] as const) {
      const objectives: StudyObjective[] =
        run === 'ar' ? ['ar'] : ['mean', 'elbo', 'elbo stratified', 'elbo complementary'];
      const data = await this.#data(run);
      try {
        for (const { step, folder } of checkpoints(this.#place(run)))
          for (const objective of objectives)
            points.push(
              await this.#kept(`noise_${run}_${step}_${objective.replace(' ', '-')}`, async () => ({
                run,
                step,
                objective,
                ...(await this.#noiseAt(folder, objective, data)),
              })),
            );
      } finally {
        await data.close();
      }
    }
    return points;
  }

  /** Branches of both runs from their first third on, with the optimizer's state. */
  async branches(): Promise<Branch[]> {
    const found: Branch[] = [];
    for (const run of ['ar', 'mdlm'] as const) {
      const third = this.#thirdOf(run);
      for (const batch of this.plan.branches)
        found.push(await this.#kept(`branch_${run}_${batch}`, () => this.#branch(run, third, batch)));
    }
    return found;
  }

  async #noiseAt(folder: string, objective: StudyObjective, data: DataSet) {
    const { parts, partCanvases, repeats, learningRate } = this.plan;
    await using trainer = await Trainer.open(folder, { optimizer: { learningRate }, resume: true });
    const moments = await secondMoments(trainer, beta2);
    const measured: Noise[] = [];
    let scored = 0;
    for (let repeat = 0; repeat < repeats; repeat++) {
      const first = repeat * parts * partCanvases;
      const made = alikeBatches(objective, await data.read(first, parts * partCanvases), {
        first,
        microBatch: partCanvases,
        seed: BigInt(this.seed) + 1000n,
      });
      scored += made.scored / (parts * partCanvases * repeats);
      measured.push(await measureNoise(trainer, made.batches, partCanvases, moments));
    }
    const scale = measured.map(({ all }) => (all ? all.noise / all.signal : Number.NaN));
    console.log(`${folder}, ${objective}: ${scale.map((each) => each.toFixed(0)).join(', ')} canvases`);
    return { repeats: measured, scored };
  }

  async #branch(run: 'ar' | 'mdlm', folder: string, batch: number): Promise<Branch> {
    const { branchCanvases, learningRate, batch: base, heldOut } = this.plan;
    const objective = run === 'ar' ? 'ar' : 'mean';
    const data = await this.#data(run);
    const held = await this.#data(run, true);
    const rate = learningRate * Math.sqrt(batch / base);
    try {
      await using trainer = await Trainer.open(folder, { optimizer: { learningRate: rate }, resume: true });
      const canvases = await held.read(0, heldOut);
      const steps = Math.floor(branchCanvases / batch);
      const losses: number[] = [];
      for (let step = 1; step <= steps; step++) {
        const first = (step - 1) * batch;
        const made = studyBatches(objective, await data.read(first, batch), {
          first,
          microBatch: Math.min(batch, 256),
          seed: BigInt(this.seed) + 2000n,
        });
        await trainer.step(made.batches, { rate: 1 });
        // The last fifth, in five parts.
        if (Math.floor((25 * step) / steps) > Math.max(20, Math.floor((25 * (step - 1)) / steps)))
          losses.push(await this.#lossOf(trainer, canvases, objective));
      }
      console.log(`${run}, batch ${batch}: ${losses.map((loss) => loss.toFixed(4)).join(', ')}`);
      return { seed: this.seed, run, batch, losses };
    } finally {
      await data.close();
      await held.close();
    }
  }

  async #lossOf(trainer: Trainer, canvases: readonly Canvas[], objective: StudyObjective): Promise<number> {
    const { loss } = await evaluate(trainer, canvases, objectiveOf(objective, 0n), studyModel, {
      microBatch: 256,
    });
    return loss;
  }

  async #run(run: 'ar' | 'mdlm', model: string): Promise<void> {
    const { seed, plan } = this;
    const { pretraining, conversion } = this.#files;
    const steps = plan.steps[run];
    const options: TrainOptions = {
      model,
      output: this.#place(run),
      data: run === 'ar' ? pretraining : conversion,
      objective: run,
      steps,
      saveEvery: Math.floor(steps / plan.points),
      learningRate: plan.learningRate,
      schedule: { kind: 'constant', warmup: plan.warmup },
      optimizer: { betas: [0.9, beta2] },
      timeSampling: 'independent',
      randomLength: 0,
      batch: plan.batch,
      sequenceLength: canvasLength,
      seed,
      logEvery: 10,
      tensorBoard: false,
    };
    await finish(options);
  }

  #thirdOf(run: 'ar' | 'mdlm'): string {
    const wanted = this.plan.steps[run] / 3;
    const [nearest] = checkpoints(this.#place(run)).sort(
      (a, b) => Math.abs(a.step - wanted) - Math.abs(b.step - wanted),
    );
    if (nearest === undefined) throw new Error(`${this.#place(run)} has no checkpoint`);
    return nearest.folder;
  }

  /** Canvases that the runs have seen in another order, or those that they have not. */
  #data(run: 'ar' | 'mdlm', heldOut = false): Promise<DataSet> {
    const files = this.#files;
    const [seen, unseen] =
      run === 'ar'
        ? [files.pretraining, files.pretrainingHeldOut]
        : [files.conversion, files.conversionHeldOut];
    return openData([heldOut ? unseen : seen], {
      sequenceLength: canvasLength,
      seed: BigInt(this.seed) + 100n,
      shuffle: !heldOut,
      vocabulary: 264,
      model: nano,
    });
  }

  #kept<T>(name: string, measure: () => Promise<T>): Promise<T> {
    return kept(this.#place(`${name}.json`), measure);
  }

  #place(name: string): string {
    return join(this.folder, name);
  }
}

runMain(main);
